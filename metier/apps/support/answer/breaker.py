"""A circuit breaker (Nygard 2007): what failed some times in a row is left alone for a while, then tried once."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

FAILURES, PAUSE = 3, 30.0
"""Failures in a row after which nothing is asked, and the seconds until it is tried again."""


class Breaker:
    """Says whether to ask. Any number of threads may use it.

    Args:
        failures: in a row that open it.
        pause: seconds for which it stays open.
        clock: in seconds.
    """

    def __init__(
        self, failures: int = FAILURES, pause: float = PAUSE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures, self.pause, self.clock = failures, pause, clock
        self._failed, self._until = 0, 0.0
        self._lock = Lock()

    def closed(self) -> bool:
        """Whether one may ask now; while it is open, one caller may after each pause."""
        with self._lock:
            if self._failed < self.failures:
                return True
            now = self.clock()
            if now < self._until:
                return False
            self._until = now + self.pause  # nobody else until this one reports, or its report is overdue
            return True

    def told(self, well: bool) -> None:
        """How it went for one who asked."""
        with self._lock:
            self._failed = 0 if well else self._failed + 1
            if self._failed >= self.failures:
                self._until = self.clock() + self.pause
