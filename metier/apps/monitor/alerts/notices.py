"""The outbox: a notice is stored with the alerts that it tells of, then sent, then marked.

A kill loses none, because what is not marked is sent again. It can double one only between the answer of a receiver and
the mark, mostly milliseconds; that one has the same `Idempotency-Key`, by which a receiver knows it. Each receiver has
a thread of its own, so that one that is down keeps neither the others waiting nor the counting.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from metier.apps.hooks import Answer, Hook, Webhook
from metier.apps.monitor.alerts.routes import ReceiverPart
from metier.apps.monitor.alerts.senders import Apprise, Sender
from metier.errors import RecipeError

logger = logging.getLogger(__name__)

PAUSE, LONGEST_PAUSE, PATIENCE = 2.0, 300.0, 86_400.0
"""Seconds before the second try, doubled from try to try up to the longest; how old a notice may get before it is
given up."""
AT_ONCE = 50
"""Notices that are fetched at a time."""
LOOK = 30.0
"""Seconds after which a thread looks by itself, should nobody have woken it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored notice that is not sent yet. `stored_at` and `again_at` are of the wall clock."""

    id: str
    receiver: str
    body: Mapping[str, Any]
    stored_at: float
    tries: int = 0
    again_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write down about a notice after a try: `sent`, `failed` for good, or still `waiting` until `again_at`."""

    id: str
    state: Literal["sent", "failed", "waiting"]
    at: float
    tries: int
    again_at: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The store, as the outbox needs it. Called from the threads of the receivers.

    Args:
        waiting: the unsent notices of a receiver, the oldest first, at most so many. Where several processes send, it
            must hand each notice to one of them.
        mark: writes an outcome down.
    """

    waiting: Callable[[str, int], Sequence[Waiting]]
    mark: Callable[[Outcome], None]


class Outbox:
    """Sends what is stored.

    Args:
        senders: by the names of the receivers.
        shelf: the store.
        per_minute: how many notices a receiver gets at most; 60 where it is not named.
        clock: seconds since 1970, of the wall.
    """

    def __init__(
        self,
        senders: Mapping[str, Sender],
        shelf: Shelf,
        per_minute: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.senders, self.shelf, self.clock = dict(senders), shelf, clock
        rates = per_minute or {}
        self._rates = {name: Rate(rates.get(name, 60), clock()) for name in self.senders}
        self._unmarked: dict[str, dict[str, Outcome]] = {name: {} for name in self.senders}
        self._woken = {name: threading.Event() for name in self.senders}
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """A thread a receiver; they end with the process."""
        for name in self.senders:
            thread = threading.Thread(target=self._run, args=(name,), name=f"metier-notices-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """Something was stored."""
        for event in self._woken.values():
            event.set()

    def stop(self, seconds: float = 5.0) -> None:
        """Sends no more. Waits so long for what is under way; what is not sent stays stored."""
        self._stopped.set()
        self.wake()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def send_due(self, receiver: str) -> float:
        """Sends what one receiver shall have now; seconds until there may be more. Raises what the store raises."""
        self._mark_all(receiver)
        for waiting in self.shelf.waiting(receiver, AT_ONCE):
            now = self.clock()
            pause = max(waiting.again_at - now, self._rates[receiver].wait(now))
            if pause > 0 or self._stopped.is_set():
                return max(pause, 0.0)  # in their order: who is told late of a start is told of the end after it
            self._rates[receiver].take(now)
            answer = self.senders[receiver].send(waiting.id, waiting.body)
            outcome = self._judged(waiting, answer)
            self._unmarked[receiver][waiting.id] = outcome
            self._mark_all(receiver)
            if outcome.state == "waiting":
                return max(0.0, outcome.again_at - self.clock())
        return LOOK

    def _judged(self, waiting: Waiting, answer: Answer) -> Outcome:
        now, tries = self.clock(), waiting.tries + 1
        if answer.taken:
            return Outcome(waiting.id, "sent", now, tries)
        if not answer.again or now - waiting.stored_at > PATIENCE:
            logger.warning("a notice to %s is given up: %s", waiting.receiver, answer.fault)
            return Outcome(waiting.id, "failed", now, tries, 0.0, answer.fault)
        logger.info("a notice to %s is tried again: %s", waiting.receiver, answer.fault)
        pause = max(answer.wait, min(LONGEST_PAUSE, PAUSE * 2 ** min(tries - 1, 20)))
        return Outcome(waiting.id, "waiting", now, tries, now + pause, answer.fault)

    def _mark_all(self, receiver: str) -> None:
        """Writes down what is not yet; as long as the store does not take it, nothing else is sent."""
        unmarked = self._unmarked[receiver]
        for name in list(unmarked):
            self.shelf.mark(unmarked[name])
            del unmarked[name]

    def _run(self, receiver: str) -> None:
        woken = self._woken[receiver]
        while not self._stopped.is_set():
            woken.clear()
            try:
                pause = self.send_due(receiver)
            except Exception:  # the store is away, or a sender is broken: the others go on
                logger.exception("notices to %s have to wait", receiver)
                pause = LOOK
            if pause > 0:
                woken.wait(min(pause, LOOK))


class Rate:
    """A bucket that fills with `per_minute` tokens a minute and holds ten seconds' worth of them, at least one."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_second = per_minute / 60
        self.size = max(1.0, 10 * self.per_second)
        self.tokens, self.at = self.size, now

    def wait(self, now: float) -> float:
        """Seconds until one may be taken."""
        return max(0.0, (1.0 - self._level(now)) / self.per_second)

    def take(self, now: float) -> None:
        """Takes one."""
        self.tokens, self.at = self._level(now) - 1.0, now

    def _level(self, now: float) -> float:
        # A clock that was put back must not empty the bucket.
        return min(self.size, self.tokens + max(0.0, now - self.at) * self.per_second)


def sender(part: ReceiverPart, environment: Mapping[str, str] | None = None) -> Sender:
    """The way to a receiver of the settings.

    Raises:
        RecipeError: where a variable of the environment that it names is not set.
        MissingExtra: where what it needs is not installed.
    """
    found = os.environ if environment is None else environment

    def secret(key: str) -> str:
        name = str(getattr(part, key))
        if name and not found.get(name, "").strip():
            raise RecipeError(
                f"The receiver {part.name!r} needs the environment variable {name}, which is not set.",
                hint=f"set {name}, or leave {key} out",
            )
        return found.get(name, "").strip() if name else ""

    if part.apprise_env:
        return Apprise(secret("apprise_env").split(), part.language)
    url = part.url or secret("url_env")
    return Webhook(Hook(url, secret("token_env"), secret("secret_env"), part.timeout, part.allow_private))
