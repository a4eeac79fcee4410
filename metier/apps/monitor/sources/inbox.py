"""Where pushed documents wait: a spool on disk, and the source that reads it.

`POST /v1/documents` calls `Inbox.put`, which returns when the documents are on the disk: what was accepted survives
`kill -9` and the loss of power. Writers that come at the same time share one `fsync` (group commit). A full spool
refuses (`SpoolFull`) instead of growing; the service answers 503 with `Retry-After`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from metier.apps.monitor.sources import DOCUMENT
from metier.apps.monitor.sources.segments import framed, next_number, numbers, path_of, sound_size
from metier.errors import DataError, MetierError

logger = logging.getLogger(__name__)

SEGMENT = 16 << 20
"""Bytes of a file; a new one is begun then, so that old ones can be deleted."""
LIMIT = 1 << 30
"""Bytes of all files together."""
RETRY = 5.0


class SpoolFull(MetierError):
    """The spool takes no more for now.

    Args:
        found: why.
        retry_after: seconds after which it is worth trying again.
    """

    def __init__(self, found: str, retry_after: float = RETRY) -> None:
        self.retry_after = retry_after
        super().__init__(found, hint=f"again in {retry_after:.0f} seconds; nothing of this request was taken")


class Group:
    """Records that go to the disk together."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.size = 0
        self.done = threading.Event()
        self.fault: MetierError | None = SpoolFull("The writing was interrupted.")  # until it is on the disk


class Inbox:
    """Takes documents. One process at a time writes to a folder; any number of its threads may.

    Args:
        folder: of the spool; it is made.
        limit: bytes that may wait.
        prepare: what is done to a document before it is written, such as masking its private data.
        clock: what says when a document arrived.

    Raises:
        DataError: where another process writes to the folder, or nobody can.
    """

    def __init__(
        self,
        folder: Path | str,
        limit: int = LIMIT,
        prepare: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.limit, self.prepare, self.clock = Path(folder), limit, prepare, clock
        self.segment = max(1, min(SEGMENT, limit // 4))
        self._lock = _locked(self.folder)
        self._turn, self._gate = threading.Lock(), threading.Lock()
        self._group = Group()
        self._handle = -1
        self._size = 0
        self._recover()

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes documents, all or none; returns when they are on the disk.

        They are read at least once: after an error some of them may have been taken, so that whoever sends them again
        should give them an id.

        Raises:
            DataError: for a document that is too large, or cannot be written as JSON.
            SpoolFull: where there is no room; nothing was taken.
        """
        at = self.clock()
        written = [self._record(self.prepare(row) if self.prepare else row, at) for row in rows]
        if not written:
            return
        with self._gate:
            group = self._group
            first = not group.records
            group.records += written
            group.size += sum(map(len, written))
        if first:  # writes for all who come until the group before is on the disk
            with self._turn:
                with self._gate:
                    self._group = Group()
                self._commit(group)
        group.done.wait()
        if group.fault is not None:
            raise group.fault

    def waiting(self) -> int:
        """Bytes on the disk, those among them that were read and not yet deleted."""
        total = 0
        for number in numbers(self.folder):
            try:
                total += path_of(self.folder, number).stat().st_size
            except FileNotFoundError:  # deleted by the reader meanwhile
                continue
        return total

    def close(self) -> None:
        """Lets go of the folder. What was taken stays in it."""
        with self._turn:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
            os.close(self._lock)

    @staticmethod
    def _record(row: Mapping[str, Any], at: float) -> bytes:
        try:
            content = orjson.dumps({"at": at, "row": dict(row)}, option=orjson.OPT_NON_STR_KEYS)
        except (TypeError, ValueError) as error:
            raise DataError(f"A document cannot be written as JSON: {error}.", expected="texts and numbers") from None
        if len(content) > DOCUMENT + 64:
            raise DataError(
                f"A document has {len(content) / 2**20:.1f} MB.", expected=f"at most {DOCUMENT >> 20} MB",
                hint="leave out what is not its text",
            )  # fmt: skip
        return framed(content)

    def _commit(self, group: Group) -> None:
        """Writes a group and waits for the disk; `group.fault` says why not."""
        try:
            self._make_room(group.size)
            self._write(b"".join(group.records))
            group.fault = None
        except MetierError as error:
            group.fault = error
        except OSError as error:
            logger.warning("the spool %s cannot be written: %s", self.folder, error.strerror or error)
            group.fault = SpoolFull(f"The spool cannot be written: {error.strerror or error}.")
            self._begin_anew()
        finally:
            group.done.set()

    def _make_room(self, size: int) -> None:
        if self._handle < 0 or self._size >= self.segment:
            self._roll()
        if self.waiting() + size <= self.limit:
            return
        if self._size:  # so that what was read of this file can be deleted
            self._roll()
        raise SpoolFull(f"{self.limit >> 20} MB of documents wait to be read.")

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[os.write(self._handle, view) :]
        os.fsync(self._handle)
        self._size += len(block)

    def _begin_anew(self) -> None:
        """Behind a write that failed nothing can be trusted: its file is cut to what was confirmed, and left."""
        if self._handle >= 0:
            try:
                os.ftruncate(self._handle, self._size)
                os.fsync(self._handle)
            except OSError as error:
                logger.warning("a torn record stays in the spool %s: %s", self.folder, error)
            os.close(self._handle)
            self._handle = -1

    def _roll(self) -> None:
        """Begins a new file."""
        path = path_of(self.folder, next_number(numbers(self.folder)))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _sync_folder(self.folder)
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._size = handle, 0

    def _recover(self) -> None:
        """Cuts off what was half-written when the process before this one ended."""
        known = numbers(self.folder)
        if not known:
            return
        path = path_of(self.folder, known[-1])
        sound, size = sound_size(path), path.stat().st_size
        if sound < size:
            logger.warning("%s: %d bytes of a document that was never confirmed are cut off", path.name, size - sound)
            os.truncate(path, sound)


def _locked(folder: Path) -> int:
    """The lock of a folder, which the process holds until it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be a spool: {error.strerror}.", hint="name a folder that can be written"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise DataError(
            f"Another process writes to the spool {folder}.", expected="one process that takes documents",
            hint="end it, or give this one a folder of its own",
        ) from None  # fmt: skip
    return handle


def _sync_folder(folder: Path) -> None:
    """A new file is only safe once its folder is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
