"""What is done beside the stream, by the clock of the wall: once a day documents that are old enough are let go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from metier.errors import MetierError
from metier.store import audit, retention
from metier.store.retention import Forgotten
from metier.store.store import Store

logger = logging.getLogger(__name__)

DAY = 86_400.0
WHO = "monitor"
LOOK = 600.0
"""Seconds between two looks at whether a day has passed."""


class Retention:
    """Lets documents go that are older than `age`; once a day, also where the process is started many times a day.

    When it was done last is read from the audit log. A thread of its own does it while the monitor runs; a replay has
    none, for its documents are old from the beginning.

    Args:
        store: an open store.
        age: seconds that documents are kept.
        clock: seconds since 1970, of the wall.
    """

    def __init__(self, store: Store, age: float, clock: Callable[[], float] = time.time) -> None:
        self.store, self.age, self.clock = store, age, clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metier-retention", daemon=True)

    def once(self) -> Forgotten | None:
        """Lets go of what is old enough; `None` where less than a day has passed since it was done last."""
        now = self.clock()
        with self.store.read() as connection:
            if now - audit.last(connection, WHO, "forget") < DAY:
                return None
        return retention.forget(self.store, now - self.age, now=now, who=WHO)

    def __enter__(self) -> Retention:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        while True:
            try:
                done = self.once()
                if done is not None:
                    logger.info("%d documents were let go; %d as old are held", done.documents, done.held)
            except MetierError as error:  # the store is away: the next look finds the day still due
                logger.warning("Nothing was let go: %s", error)
            if self._stopped.wait(LOOK):
                return
