"""What goes on beside the service: each chore in a thread of its own, again and again, whatever it brought last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metier.apps.support.settings import SupportSettings
from metier.serve.support.folder import Documents
from metier.serve.support.follow import Follower
from metier.serve.support.office import Office
from metier.serve.support.outbox import Outbox
from metier.store import conversations, customers

logger = logging.getLogger(__name__)
DAY = 86_400.0
SLOWEST = 60.0
"""Seconds between two tries of a chore that fails, at most."""
BATCH = 500
SEND = 0.25
"""Seconds between two looks for messages on their way to a channel."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something that is done every so many seconds."""

    name: str
    every: float
    work: Callable[[], object]


class Chores:
    """Does chores until it is stopped."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(one,), name=f"metier-{one.name}", daemon=True) for one in chores
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 20.0) -> None:
        """Ends when the chores that are being done are done."""
        self._stopped.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _go_on(self, chore: Chore) -> None:
        pause = chore.every
        while not self._stopped.is_set():
            try:
                chore.work()
                pause = chore.every
            except Exception:  # a chore goes on: what failed is in the log
                logger.exception("the chore %s failed", chore.name)
                pause = min(2 * pause, max(SLOWEST, chore.every))
            self._stopped.wait(pause)


def of(at: Office) -> Chores:
    """The chores of a service."""
    settings, known = at.settings, at.support.answerer.parts.known
    chores = [
        Chore("sweep", settings.sweep_seconds, at.sweep),
        Chore("knowledge", settings.follow_seconds, known.follow),
        Chore("others", settings.look_seconds, Follower(at.store, at.hub, at.clock)),
        *(Chore(f"channel-{one.name}", SEND, Outbox(at.store, one, at.clock)) for one in at.channels.each.values()),
    ]
    papers = at.support.answerer.parts.papers
    if at.asked.documents and papers is not None:
        chores.append(Chore("documents", settings.folder_seconds, Documents(at.asked.documents, papers)))
    if at.asked.service.kept is not None:
        chores.append(Chore("retention", DAY, lambda: forget(at, at.asked)))
    return Chores(chores)


def forget(at: Office, asked: SupportSettings) -> int:
    """Erases conversations that are over and older than the settings keep them; how many."""
    if asked.service.kept is None:
        return 0
    now, count = at.clock(), 0
    while True:
        with at.store.read() as connection:
            ids = conversations.aged(connection, now - asked.service.kept, BATCH)
        if not ids:
            return count
        count += customers.erase_customer(at.store, ids, who="retention", now=now).conversations
        for id in ids:
            at.support.originals.forget(id)
