"""A budget of time, and the watch that keeps a fit inside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metier import run
from metier.pipeline.watch import Enough, Watch
from metier.train.loop import Record

BEAT = 2.0
"""Seconds between two notes of how much was spent, so that a killed race knows it."""


class Clock:
    """Seconds of a budget. What earlier processes spent of it counts.

    Args:
        budget: seconds in all.
        spent: seconds that are gone already.
        file: where what was spent is noted.
    """

    def __init__(self, budget: float, spent: float, file: Path) -> None:
        self.budget, self.file = budget, file
        self._start = self._noted = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left; negative beyond the budget."""
        return self.budget - self.spent

    def note(self, *, now: bool = False) -> None:
        """Writes down what was spent, every two seconds."""
        if now or time.monotonic() - self._noted >= BEAT:
            self._noted = time.monotonic()
            run.write_text(self.file, json.dumps({"spent": round(self.spent, 3)}))


def spent_before(file: Path) -> float:
    """What a race had spent when it was cut off."""
    return float(json.loads(file.read_text(encoding="utf-8"))["spent"]) if file.is_file() else 0.0


class Guard:
    """A watch that hands on what it hears, keeps the records of the fit and raises `Enough` past its deadline."""

    def __init__(self, watch: Watch, clock: Clock) -> None:
        self.watch, self.clock = watch, clock
        self.reserve, self.fired, self.armed = 0.0, False, False
        self.records: list[Record] = []

    @contextmanager
    def keeping(self, reserve: float) -> Iterator[None]:
        """Inside, a fit ends when only `reserve` seconds are left."""
        self.reserve, self.fired, self.armed, self.records = reserve, False, True, []
        try:
            yield
        finally:
            self.armed = False

    def say(self, text: str) -> None:
        """One line."""
        self.watch.say(text)

    def stage(self, name: str, total: int) -> None:
        """A stage begins."""
        self.watch.stage(name, total)

    def tick(self, units: int) -> None:
        """Some units are done."""
        self.watch.tick(units)
        self._look()

    def step(self, record: Record) -> None:
        """An update of the fit."""
        self.records.append(record)
        self.watch.step(record)
        self._look()

    def _look(self) -> None:
        self.clock.note()
        if self.armed and self.clock.left < self.reserve:
            self.fired, self.armed = True, False  # what follows, the judging, has its time within the reserve
            raise Enough
