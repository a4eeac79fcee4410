"""Files that grow: one of them, or a folder of them."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import Batch
from metier.apps.monitor.sources.growing import Growing, Place
from metier.apps.monitor.sources.lines import checked_encoding
from metier.errors import DataError

logger = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at files in which there was nothing."""
PATTERNS = tuple(f"*.{kind}{zipped}" for kind in ("jsonl", "ndjson", "csv", "tsv") for zipped in ("", ".gz"))
PLACES = 64
"""Files of a folder whose places are kept."""


class FileSource:
    """One file of JSON lines or CSV, plain or gzip; see `metier.apps.monitor.sources.growing.Growing`.

    Args:
        path: of the file; it need not be there yet.
        name: of the source; that of the file, where it is empty.
        follow: whether the file may grow; else the source ends where it ends.
        encoding: of its texts.
        clock: what says when a document arrived.
    """

    def __init__(
        self, path: Path | str, name: str = "", *, follow: bool = True, encoding: str = "utf-8",
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.path, self.follow, self.clock = Path(path), follow, clock
        self.name = name or self.path.name
        self._file = Growing(self.path, self.name, checked_encoding(encoding))
        self._closed, self._turn = threading.Event(), threading.Lock()

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`. The position names the byte, the line, and what the file is known by."""
        place = _place(position)
        until = time.monotonic() + wait
        while True:
            with self._turn:
                part = self._file.read(place, limit, self.clock(), final=not self.follow)
            place = part.place
            ended = part.exhausted and not self.follow
            if part.received or ended or not _pause(self._closed, until, part.exhausted):
                return Batch(part.received, json.dumps(place.kept()), ended, part.fault)

    def acknowledge(self, position: str) -> None:
        """Nothing to forget: the file stays whose it is."""

    def close(self) -> None:
        self._closed.set()
        with self._turn:
            self._file.close()


class FolderSource:
    """The files of a folder, in the order of their names; each is read to its present end before the next.

    Where each of up to `PLACES` files was read to is kept. Of more files, those first by name that were read to their
    end are forgotten: neither they nor new files with names before theirs are looked at again, so that files that are
    added should be named in order (by date), as those of archives are. Hidden files, and those that end in `.part` or
    `.tmp`, are left alone.

    Args:
        folder: which must be there.
        name: of the source; that of the folder, where it is empty.
        patterns: the names of the files that are read; a rotated file should not have one of them.
        follow: whether files may grow and come.
        encoding: of their texts.
        clock: what says when a document arrived.

    Raises:
        DataError: where there is no such folder.
    """

    def __init__(
        self, folder: Path | str, name: str = "", *, patterns: Sequence[str] = PATTERNS, follow: bool = True,
        encoding: str = "utf-8", clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.folder, self.patterns, self.follow, self.clock = Path(folder), tuple(patterns), follow, clock
        if not self.folder.is_dir():
            raise DataError(f"{folder} is no folder.", expected="a folder of JSONL or CSV files", hint="make it first")
        self.name = name or self.folder.name
        self.encoding = checked_encoding(encoding)
        self._files: dict[str, Growing] = {}
        self._listed: dict[str, int] = {}
        self._current = ""
        self._passed: list[str] = []
        self._closed, self._turn = threading.Event(), threading.Lock()

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`. The position names the place in each file, and the last file that was forgotten."""
        kept = json.loads(position) if position else {}
        behind, places = kept.get("behind", ""), {name: Place(*place) for name, place in kept.get("files", {}).items()}
        until = time.monotonic() + wait
        while True:
            with self._turn:
                received, faults = self._round(places, behind, limit)
                behind = self._forget(places, behind)
            ended = not received and not self.follow
            if received or ended or not _pause(self._closed, until, True):
                files = {name: place.kept() for name, place in sorted(places.items())}
                return Batch(received, json.dumps({"behind": behind, "files": files}), ended, "; ".join(faults[:3]))

    def acknowledge(self, position: str) -> None:
        """Nothing to forget: the files stay whose they are."""

    def close(self) -> None:
        self._closed.set()
        with self._turn:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _round(self, places: dict[str, Place], behind: str, limit: int) -> tuple[list[Received], list[str]]:
        """What the first file that has something has, from the one that was read last on."""
        faults: list[str] = []
        if self._current in places and self._listed.get(self._current):
            received = self._one(self._current, places, limit, faults)
            if received:
                return received, faults
        self._list(places, behind)
        self._passed = []
        for name in self._listed:
            received = self._one(name, places, limit, faults)
            if received:
                self._current = name
                return received, faults
            self._passed.append(name)
        return [], list(dict.fromkeys(faults))

    def _one(self, name: str, places: dict[str, Place], limit: int, faults: list[str]) -> list[Received]:
        file = self._files.setdefault(name, Growing(self.folder / name, self.name, self.encoding))
        place = places.get(name, Place())
        while True:
            part = file.read(place, limit, self.clock(), not self.follow, self._listed[name])
            places[name] = place = part.place
            if part.received or part.exhausted:
                if part.fault:
                    faults.append(part.fault)
                return part.received

    def _list(self, places: dict[str, Place], behind: str) -> None:
        """Looks at the folder. A file that was renamed keeps its place; one that is gone loses it."""
        found: dict[str, int] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name > behind and self._fits(entry.name) and entry.is_file():
                    found[entry.name] = entry.inode()
        moved = {place.inode: name for name, place in places.items() if found.get(name) != place.inode}
        for name, inode in found.items():
            if name not in places and inode in moved:
                places[name] = places.pop(moved[inode])
                self._drop(moved.pop(inode))
        for name in [name for name in places if name not in found]:
            del places[name]
            self._drop(name)
        self._listed = dict(sorted(found.items()))

    def _fits(self, name: str) -> bool:
        if name.startswith(".") or name.endswith((".part", ".tmp")):
            return False
        return any(fnmatch(name, pattern) for pattern in self.patterns)

    def _forget(self, places: dict[str, Place], behind: str) -> str:
        """Keeps `PLACES` places; the last name that was forgotten."""
        many = max(0, len(places) - PLACES)
        for name in self._passed[:many]:
            del places[name]
            self._listed.pop(name, None)
            self._drop(name)
            behind = name
        self._passed = []
        return behind

    def _drop(self, name: str) -> None:
        if name in self._files:
            self._files.pop(name).close()


def _place(position: str) -> Place:
    if not position:
        return Place()
    values: list[Any] = json.loads(position)
    return Place(*values)


def _pause(closed: threading.Event, until: float, idle: bool) -> bool:
    """Waits for the next look, where there is time for one; whether there is."""
    left = until - time.monotonic()
    if left <= 0 or closed.is_set():
        return False
    return not closed.wait(min(POLL, left)) if idle else True
