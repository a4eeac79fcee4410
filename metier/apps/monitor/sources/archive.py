"""An archive, replayed in the order of its documents' own times, as fast as it is asked.

It gives the same documents in the same order with the same times of arrival, every time: what a replay is for. A
document arrives at its own time, or at that of the latest before it where it is out of order; one without a time, or of
a time that is yet to come, arrives with the one before it in the file.
"""

from __future__ import annotations

import heapq
import json
import logging
import threading
import time as clocks
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metier.apps.monitor.item import Received
from metier.apps.monitor.normalise import Normaliser, Rules
from metier.apps.monitor.sources import Batch
from metier.apps.monitor.sources.growing import Growing, Place
from metier.apps.monitor.sources.lines import checked_encoding
from metier.errors import DataError

logger = logging.getLogger(__name__)

CHUNK = 256
DAY = 86_400.0
LOOK = 1.0
"""Seconds after which a `read` that found nothing in the span gives back what it has got to."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when (inclusive) to when (exclusive) an archive is replayed, seconds since 1970, UTC; and how many documents
    are held back so that those behind them can come first."""

    start: float = float("-inf")
    end: float = float("inf")
    buffer: int = 10_000


@dataclass(order=True, slots=True)
class Held:
    """A document that waits for earlier ones: ordered by time, then by its number in the file."""

    time: float
    number: int
    received: Received
    chunk: Chunk


@dataclass(eq=False, slots=True)
class Chunk:
    """Documents that were read together: where they begin, the number of the first, the time before them, and how many
    of them are not yet given out."""

    place: Place
    first: int
    before: float | None
    left: int = 0


class ArchiveSource:
    """A file of JSON lines or CSV, plain or gzip, in the order of time as far as `span.buffer` documents reach.

    A document that is further out of place comes late, and the first of them is logged: sort the archive then. The
    position names the oldest chunk of which something is left, and what was given out of what follows it.

    Args:
        path: of the archive.
        name: of the source; that of the file, where it is empty.
        span: what of it.
        rules: where the time of a document stands, and how it is written.
        encoding: of the texts.

    Raises:
        DataError: where there is no such file; on reading, where its first documents have no time.
    """

    def __init__(
        self, path: Path | str, name: str = "", *, span: Span | None = None, rules: Rules | None = None,
        encoding: str = "utf-8",
    ) -> None:  # fmt: skip
        self.path, self.span = Path(path), span or Span()
        if not self.path.is_file():
            raise DataError(f"{path} is no file.", expected="an archive: JSONL or CSV, plain or gzip")
        self.name = name or self.path.name
        self.disorder = 0
        self._time_of = Normaliser(rules).time_of
        self._today = clocks.time() + DAY
        self._file = Growing(self.path, self.name, checked_encoding(encoding))
        self._last: str | None = None
        self._closed, self._turn = False, threading.Lock()
        self._begin(Chunk(Place(), 0, None))

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`; never waits, since nothing will come that is not there."""
        with self._turn:
            if position != self._last:
                self._resume(json.loads(position) if position else {})
            return self._read(limit, wait)

    def _read(self, limit: int, wait: float) -> Batch:
        received: list[Received] = []
        until = clocks.monotonic() + max(wait, LOOK)
        while len(received) < limit and not self._closed:
            if len(self._heap) > self.span.buffer or (self._whole and not self._next and self._heap):
                received.append(self._given())
            elif self._whole and not self._next or not received and clocks.monotonic() > until:
                break
            else:
                self._take()
        ended = self._whole and not self._next and not self._heap
        self._last = self._position()
        return Batch(received, self._last, ended, self._fault if ended else "")

    def acknowledge(self, position: str) -> None:
        """An archive stays what it is."""

    def close(self) -> None:
        self._closed = True
        with self._turn:
            self._file.close()

    def _begin(self, chunk: Chunk) -> None:
        """Goes to a chunk, with nothing held."""
        self._heap: list[Held] = []
        self._next: deque[tuple[float, Received]] = deque()
        self._chunks: deque[Chunk] = deque()
        self._place, self._number, self._taken, self._before = chunk.place, chunk.first, chunk.first, chunk.before
        self._after = (float("-inf"), -1)
        self._known = 0
        self._whole, self._fault = False, ""

    def _resume(self, kept: dict[str, Any]) -> None:
        """Reads again what was held at a position: of what had been read, that which had not been given out."""
        self._begin(Chunk(Place(*kept.get("place", ())), kept.get("first", 0), kept.get("before")))
        self._known = taken = kept.get("taken", 0)
        after = tuple(kept["after"]) if kept.get("after") else self._after
        self._after = (float(after[0]), int(after[1]))
        while self._taken < taken and not (self._whole and not self._next):
            if not self._next:
                self._load(min(CHUNK, taken - self._taken))
            else:
                self._take()

    def _position(self) -> str:
        while self._chunks and self._chunks[0].left == 0:
            self._chunks.popleft()
        oldest = self._chunks[0] if self._chunks else Chunk(self._place, self._number, self._before)
        after = None if self._after[1] < 0 else self._after
        kept = {"place": oldest.place.kept(), "first": oldest.first, "before": oldest.before, "taken": self._taken}
        return json.dumps({**kept, "after": after})

    def _load(self, limit: int) -> None:
        """Reads the next chunk."""
        part = self._file.read(self._place, limit, 0.0, final=True)
        self._whole, self._fault = part.exhausted, part.fault
        times = [self._time(received.content) for received in part.received]
        if self._before is None and part.received:
            known = next((moment for moment in times if moment is not None), None)
            if known is None:
                raise DataError(
                    f"None of the first {len(times)} documents of {self.path.name} says when it was published.",
                    expected="a field with the time", hint="name it in the settings (fields.time)",
                )  # fmt: skip
            self._before = known
        if part.received:
            self._chunks.append(Chunk(self._place, self._number, self._before, len(times)))
        for received, moment in zip(part.received, times, strict=True):
            self._before = self._before if moment is None else moment
            assert self._before is not None
            self._next.append((self._before, received))
        self._place = part.place
        self._number += len(times)

    def _time(self, content: Mapping[str, Any] | str) -> float | None:
        moment = self._time_of(content)
        return None if moment is None or moment > self._today else moment

    def _take(self) -> None:
        """Puts the next document of the file among those that are held, where it is in the span."""
        if not self._next:
            self._load(CHUNK)
            return
        moment, received = self._next.popleft()
        number, chunk = self._taken, self._chunks[-1]
        self._taken += 1
        # what had been read before a position and comes before the last that was given out was given out itself: one
        # that is late is given out at once
        given = number < self._known and (moment, number) <= self._after
        if given or not self.span.start <= moment < self.span.end:
            chunk.left -= 1
            return
        heapq.heappush(self._heap, Held(moment, number, received, chunk))

    def _given(self) -> Received:
        held = heapq.heappop(self._heap)
        held.chunk.left -= 1
        if (held.time, held.number) < self._after:
            self.disorder += 1
            if self.disorder == 1:
                logger.warning(
                    "%s is out of order by more than %d documents from document %d on: these come late",
                    self.path.name, self.span.buffer, held.number + 1,
                )  # fmt: skip
        self._after = max(self._after, (held.time, held.number))
        return replace(held.received, at=self._after[0])
