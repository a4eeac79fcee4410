"""What other processes on the same store write: looked up every second, and told to who listens here."""

from __future__ import annotations

import time
from collections.abc import Callable

from metier.serve.support.hub import Hub
from metier.store import conversations
from metier.store.store import Store

LATE = 15.0
"""Seconds after which a message that was numbered earlier than others cannot become visible later than they did: the
transactions of this house are shorter."""
LIMIT = 10_000


class Follower:
    """Tells a hub what is new in a store; called again and again.

    Args:
        store: an open store.
        hub: is told.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, hub: Hub, clock: Callable[[], float] = time.time) -> None:
        self._store, self._hub, self._clock = store, hub, clock
        with store.read() as connection:
            self._floor = conversations.last_number(connection)
        self._waiting: list[tuple[str, float | None]] = []

    def __call__(self) -> None:
        """Looks once."""
        with self._store.read() as connection:
            found = conversations.since(connection, self._floor, LIMIT)
            waiting = [(one.id, one.queued) for one in conversations.queue(connection)]
        for conversation in dict.fromkeys(id for number, id, _ in found if not self._hub.heard(number)):
            self._hub.said(conversation)
        settled = self._clock() - LATE
        for number, _, at in found:  # up to the first that is young: behind it others may still come to light
            if at >= settled and len(found) < LIMIT:
                break
            self._floor = number
        if waiting != self._waiting:
            self._waiting = waiting
            self._hub.queue_changed()
