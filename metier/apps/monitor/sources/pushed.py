"""The source that reads what was pushed (`metier.apps.monitor.sources.inbox`), in this process or another."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import orjson

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import DOCUMENT, Batch
from metier.apps.monitor.sources.segments import needed, numbers, path_of, records

logger = logging.getLogger(__name__)

POLL = 0.02
BYTES_A_DOCUMENT = 2_048
LEAST, MOST = 1 << 16, 8 << 20


class PushedSource:
    """Reads a spool, and deletes its files once all of what they hold was acknowledged.

    The position is the number of a file and a place in it. A record that is damaged (a disk that lies, a hand in the
    file) ends its file: what follows in it cannot be read, which is logged, and the next file is gone on with.

    Args:
        folder: of the spool; it is made.
        name: of the source.
    """

    def __init__(self, folder: Path | str, name: str = "pushed") -> None:
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._acknowledged = (0, 0)
        self._closed = threading.Event()

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`."""
        number, offset = _parsed(position)
        until = time.monotonic() + wait
        while True:
            received, number, offset = self._next(number, offset, limit)
            left = until - time.monotonic()
            if received or left <= 0 or self._closed.wait(min(POLL, left)):
                return Batch(received, f"{number}:{offset}")

    def acknowledge(self, position: str) -> None:
        """Deletes the files before a position. The newest one stays: its number is the last that was used."""
        self._acknowledged = max(self._acknowledged, _parsed(position))
        self._tidy(numbers(self.folder))

    def close(self) -> None:
        self._closed.set()

    def _next(self, number: int, offset: int, limit: int) -> tuple[list[Received], int, int]:
        """The next documents, and the place behind them, in the next file where this one holds no more."""
        known = numbers(self.folder)  # before reading: a file that is followed by another one grows no more
        if len(known) > 1:
            self._tidy(known)
        for at in (one for one in known if one >= number):
            start = offset if at == number else 0
            found, end = self._records(at, start, limit)
            if found:
                return found, at, end
            if at == known[-1]:
                return [], at, start
            self._complain(at, start)
        return [], number, offset

    def _records(self, number: int, offset: int, limit: int) -> tuple[list[Received], int]:
        want = min(max(LEAST, limit * BYTES_A_DOCUMENT), MOST)
        try:
            with path_of(self.folder, number).open("rb", buffering=0) as file:
                file.seek(offset)
                block = file.read(want)
                if want <= needed(block) <= DOCUMENT * 2:
                    block += file.read(needed(block) - len(block))
        except FileNotFoundError:
            return [], offset
        found: list[Received] = []
        end = 0
        for content, behind in records(block):
            found.append(self._received(content))
            end = behind
            if len(found) == limit:
                break
        return found, offset + end

    def _received(self, content: bytes) -> Received:
        try:
            row = orjson.loads(content)
            return Received(self.name, row["row"], float(row["at"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            return Received(
                self.name, content.decode("utf-8", "backslashreplace"), time.time(), f"no document: {error}"
            )

    def _complain(self, number: int, offset: int) -> None:
        try:
            left = path_of(self.folder, number).stat().st_size - offset
        except FileNotFoundError:
            return
        if left > 0:
            logger.warning("%s: the last %d bytes cannot be read", path_of(self.folder, number).name, left)

    def _tidy(self, known: list[int]) -> None:
        number, offset = self._acknowledged
        for one in known[:-1]:
            path = path_of(self.folder, one)
            try:
                if one < number or (one == number and offset >= path.stat().st_size):
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue


def _parsed(position: str) -> tuple[int, int]:
    number, _, offset = position.partition(":")
    return int(number or 0), int(offset or 0)
