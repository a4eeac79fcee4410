"""JSON lines from standard input, or another pipe.

A pipe cannot be read twice: what was read and not kept when the process ended is lost, at most the last batch and the
`BUFFER` bytes behind it. Where that matters documents go to a file, or to `POST /v1/documents`.
"""

from __future__ import annotations

import os
import selectors
import sys
import time
from collections.abc import Callable
from typing import IO

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import DOCUMENT, Batch
from metier.apps.monitor.sources.lines import SHOWN, JsonLines, Wanted, numbered, overlong

BUFFER = 1 << 16


class StandardInput:
    """Reads a pipe; the position counts its lines, also over the processes that read one after the other.

    Args:
        name: of the source.
        stream: standard input, where there is none.
        clock: what says when a document arrived.
    """

    def __init__(
        self, name: str = "stdin", stream: IO[bytes] | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.name, self.clock = name, clock
        self._stream = stream or sys.stdin.buffer
        self._handle = self._stream.fileno()
        self._waiting, self._wake = os.pipe()
        self._selector: selectors.BaseSelector | None = selectors.PollSelector()
        self._selector.register(self._waiting, selectors.EVENT_READ)
        self._selector.register(self._handle, selectors.EVENT_READ)
        self._lines = JsonLines(name)
        self._buffer = b""
        self._overlong = b""
        self._ended = False

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`."""
        line = int(position or 0)
        until = time.monotonic() + wait
        while True:
            received, line = self._take(line, limit)
            ended = self._ended and not self._buffer
            if received or ended or not self._fill(until):
                return Batch(received, str(line), ended)

    def acknowledge(self, position: str) -> None:
        """A pipe keeps nothing."""

    def close(self) -> None:
        """Ends a `read` that waits. The stream itself is left open: it is whoever's gave it."""
        if self._selector is not None:
            os.write(self._wake, b".")
            self._ended, self._buffer = True, b""

    def _take(self, line: int, limit: int) -> tuple[list[Received], int]:
        """The whole lines of the buffer."""
        lines = self._buffer.split(b"\n", limit)
        rest = lines.pop()
        if self._ended and rest and len(lines) < limit:
            lines, rest = [*lines, rest], b""
        if self._ended and self._overlong and not lines:
            lines = [b""]
        if not lines:
            return self._shorten(line)
        self._buffer = rest
        before = line
        found: list[Received] = []
        if self._overlong:
            found.append(numbered(overlong(self._overlong, self.name, self.clock()), line + 1))
            lines, before, self._overlong = lines[1:], line + 1, b""
            line += 1
        more, taken = self._lines.read(lines, Wanted(limit, self.clock(), before))
        return found + more, line + taken

    def _shorten(self, line: int) -> tuple[list[Received], int]:
        """Forgets what was read of a line that is too long, but for its beginning."""
        if len(self._buffer) > DOCUMENT:
            self._overlong = self._overlong or self._buffer[:SHOWN]
            self._buffer = b""
        return [], line

    def _fill(self, until: float) -> bool:
        """Reads on, as soon as there is something; whether it did, or the end has come."""
        if self._ended or self._selector is None:
            return False
        ready = {key.fd for key, _ in self._selector.select(max(0.0, until - time.monotonic()))}
        if self._waiting in ready or self._handle not in ready:
            return False
        block = os.read(self._handle, BUFFER)
        self._ended = not block
        self._buffer += block
        return True
