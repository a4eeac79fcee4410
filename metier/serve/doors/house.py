"""The parts of one service for people, as routes and pages of every application find them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from metier.serve.doors.door import COOKIE, Caller, Door
from metier.serve.doors.hand import Hand
from metier.serve.doors.settings import ServiceSettings
from metier.store.store import Store

if TYPE_CHECKING:
    from metier.serve.gate import Gate


class House:
    """The parts of one service.

    Args:
        store: an open store.
        settings: of the service.
        clock: seconds since 1970.
    """

    lead = ("Opinion monitoring", "舆情监测")
    """What stands above the form of the log-in, in English and Chinese."""
    cookie = COOKIE
    """Of the session; applications on one host differ in it, so that one logs nobody out of the other."""

    def __init__(self, store: Store, settings: ServiceSettings, clock: Callable[[], float] = time.time) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self.door = Door(store, settings, clock, self.cookie)
        self.gate: Gate | None = None

    def hand(self, caller: Caller) -> Hand:
        """With what a caller does something now."""
        return Hand(self.store, caller.name, self.clock())

    # what `server.DrainingServer` asks
    def drain(self) -> None:
        """From now on nothing new is taken."""
        if self.gate is not None:
            self.gate.draining = True

    @property
    def draining(self) -> bool:
        return self.gate is not None and self.gate.draining

    @property
    def drained(self) -> bool:
        """Whether every request that was accepted has its answer."""
        return self.gate is None or not self.gate.in_flight
