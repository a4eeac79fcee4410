"""Feeds are read in a process of their own, which is ended where one of them takes too long.

The tolerant parser rests on regular expressions, some of which take the square, the cube or worse of what they are
given: 100 kB of line feeds before the first element, or of one word as an author, are minutes, and 5 MB are weeks. A
thread that is in one cannot be stopped, and would take all of the monitor with it. A process can be ended.

`python -m metier.apps.monitor.sources.apart` is that process: on its standard input a line of JSON (`kind`, `url`,
`size`) and then so many bytes, on its standard output a line of JSON, and so on until the input ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from typing import Any, BinaryIO

from metier.apps.monitor.sources.entries import Entry, Feed, NoFeed, parsed
from metier.errors import MissingExtra

SECONDS = 30.0
"""For one feed; an honest one of the largest size takes a few."""


class Apart:
    """Reads feeds in another process, one at a time; it is started with the first feed, and anew after one that had to
    be stopped.

    Args:
        seconds: that one feed may take.

    Raises `MissingExtra` with the first feed where the process does not start.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Any = None

    def parsed(self, body: bytes, kind: str, url: str) -> Feed:
        """The entries of a feed, as `entries.parsed` finds them. Raises `NoFeed`, also where it takes too long."""
        with self._lock:
            line = self._asked(body, kind, url)
        if not line.endswith(b"\n"):
            raise NoFeed(f"it could not be read in {self.seconds:g} seconds")
        found = json.loads(line)
        if "none" in found:
            raise NoFeed(found["none"])
        return Feed([Entry(guid, content) for guid, content in found["entries"]], found["interval"])

    def close(self) -> None:
        """Ends the process; the next feed starts another one."""
        if self._end is not None:
            self._end()
        self._process = None

    def _asked(self, body: bytes, kind: str, url: str) -> bytes:
        """The line that is answered; an incomplete one, or none, where the process ended before it."""
        process = self._process or self._started()
        if process.poll() is not None:  # somebody else ended it
            self.close()
            process = self._started()
        into, out = process.stdin, process.stdout
        timer = threading.Timer(self.seconds, process.kill)
        timer.start()
        try:
            into.write(json.dumps({"kind": kind, "url": url, "size": len(body)}).encode() + b"\n" + body)  # type: ignore[union-attr]
            into.flush()  # type: ignore[union-attr]
            line: bytes = out.readline()  # type: ignore[union-attr]
        except OSError:  # it ended meanwhile
            line = b""
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            self.close()
        return line

    def _started(self) -> subprocess.Popen[bytes]:
        """A process that has everything it needs in its memory: its start is not the fault of a feed."""
        command = [sys.executable, "-P", "-m", "metier.apps.monitor.sources.apart"]
        there = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=there)
        self._end = weakref.finalize(self, _end, self._process)
        if not self._process.stdout.readline():  # type: ignore[union-attr]
            self.close()
            raise MissingExtra("feedparser", "apps")
        return self._process


_shared = Apart()


def read_apart(body: bytes, kind: str, url: str) -> Feed:
    """The entries of a feed, read in the process that all feeds share. Raises `NoFeed`."""
    return _shared.parsed(body, kind, url)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            pipe.close()  # type: ignore[union-attr]
        except OSError:  # what was not written yet is for nobody
            continue


def answer(into: BinaryIO, out: BinaryIO) -> None:
    """What the process does: it answers until its input ends. Where whoever asked is gone, no feed keeps it for ever:
    the alarm, which nothing handles, ends it."""
    import feedparser  # noqa: F401 (it takes longer than most feeds)

    out.write(b"ready\n")
    out.flush()
    while line := into.readline():
        asked = json.loads(line)
        body = into.read(asked["size"])
        if hasattr(signal, "alarm"):
            signal.alarm(int(4 * SECONDS))
        try:
            feed = parsed(body, asked["kind"], asked["url"])
            rows = [(entry.guid, dict(entry.content)) for entry in feed.entries]
            said: dict[str, Any] = {"entries": rows, "interval": feed.interval}
        except NoFeed as fault:
            said = {"none": str(fault)}
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        out.write(json.dumps(said).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    answer(sys.stdin.buffer, sys.stdout.buffer)
