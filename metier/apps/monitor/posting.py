"""Notices on their way: what the engine stored for a receiver is sent, and marked, while the monitor runs live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from metier.apps.monitor.alerts.notices import Outbox, Outcome, Shelf, Waiting, sender
from metier.apps.monitor.alerts.routes import ReceiverPart
from metier.store import notices
from metier.store.store import Store

LAST = 5.0
"""Seconds for the notices of the last step, before the process ends."""


@contextmanager
def posting(
    receivers: Sequence[ReceiverPart], store: Store, environment: Mapping[str, str] | None = None
) -> Iterator[Callable[[], None]]:
    """Inside, notices of the store are sent, a thread a receiver, also those that an earlier process left unsent.

    A replay sends none: what it stores is marked so that nobody sends it later, either. One process a store sends, the
    one that counts.

    Args:
        receivers: who there is to tell.
        store: an open store.
        environment: of the process, where secrets and addresses are.

    Yields:
        What to call when something was stored; without, it is found within half a minute.

    Raises:
        RecipeError: where a variable of the environment that a receiver names is not set.
        MissingExtra: where what a receiver needs is not installed.
    """
    senders = {part.name: sender(part, environment) for part in receivers}
    shelf = _shelf(store)
    outbox = Outbox(senders, shelf, {part.name: part.per_minute for part in receivers})
    outbox.start()
    try:
        yield outbox.wake
        _empty(outbox, shelf)
    finally:
        outbox.stop()


def _empty(outbox: Outbox, shelf: Shelf) -> None:
    """Waits a little for what the last step stored; what is to be tried again later stays for the next process."""
    end = time.monotonic() + LAST
    outbox.wake()
    while time.monotonic() < end and any(
        one.again_at <= time.time() for name in outbox.senders for one in shelf.waiting(name, 1)
    ):
        time.sleep(0.05)


def _shelf(store: Store) -> Shelf:
    def waiting(receiver: str, limit: int) -> list[Waiting]:
        with store.read() as connection:
            found = notices.waiting(connection, receiver, limit)
        return [Waiting(one.id, one.receiver, one.body, one.at, one.tries, one.again) for one in found]

    def mark(outcome: Outcome) -> None:
        sent = outcome.at if outcome.state == "sent" else None
        state = notices.Fate(outcome.state, outcome.tries, outcome.again_at, sent, outcome.fault)
        store.run(lambda connection: notices.mark(connection, outcome.id, state))

    return Shelf(waiting, mark)
