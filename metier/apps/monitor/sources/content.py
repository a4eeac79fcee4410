"""The content of a file that grows, plain or gzip, read at any place; and how a file is known again.

A file is known again by what it holds: its beginning and what lies just before the place that reading has got to. A
copy, a restored backup, or a rotated file that was compressed meanwhile is thus still the same; one that was emptied
and filled anew is not.
"""

from __future__ import annotations

import os
import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

GZIP_MAGIC = b"\x1f\x8b"
EDGE = 512
"""Bytes of the beginning, and before the place of reading, by which a file is known again."""
BLOCK = 1 << 18


class Content(Protocol):
    """The bytes of an open file, unzipped."""

    path: Path
    inode: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes; fewer only at the end of what is there now. Raises `OSError`."""
        ...

    def damage(self, final: bool) -> str:
        """Why nothing can be read behind what was read; `final`: also that it ends too early. `""` for nothing."""
        ...

    def shrunk(self) -> bool:
        """Whether bytes that were read are no longer there."""
        ...

    def close(self) -> None: ...


def opened(path: Path) -> Content:
    """The content of a file. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    zipped = os.pread(handle, 2, 0) == GZIP_MAGIC
    return Zipped(path, handle) if zipped else Plain(path, handle)


def mark(content: Content, offset: int) -> str:
    """What the content up to `offset` is known by; `""` for nothing at all."""
    if offset == 0:
        return ""
    around = content.read_at(max(0, offset - EDGE), min(EDGE, offset))
    return blake2b(content.read_at(0, min(EDGE, offset)) + around, digest_size=8).hexdigest()


class Plain:
    """A file as it is."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle
        self.inode = os.fstat(handle).st_ino
        self._read = 0

    def read_at(self, offset: int, count: int) -> bytes:
        block = os.pread(self._handle, count, offset)
        while len(block) < count and (more := os.pread(self._handle, count - len(block), offset + len(block))):
            block += more
        self._read = max(self._read, offset + len(block))
        return block

    def damage(self, final: bool) -> str:
        return ""

    def shrunk(self) -> bool:
        return os.fstat(self._handle).st_size < self._read

    def close(self) -> None:
        os.close(self._handle)


class Zipped:
    """A gzip file of one or many members, whose last one may still be written.

    It can only be unzipped from its beginning: to go on at a place, everything before it is unzipped once. Behind a
    damaged part nothing can be read.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle
        self.inode = os.fstat(handle).st_ino
        self._raw, self._start = 0, 0
        self._ahead, self._head, self._input = bytearray(), b"", b""
        self._unzip, self._damage = zlib.decompressobj(wbits=31), ""

    def read_at(self, offset: int, count: int) -> bytes:
        if offset + count <= len(self._head):
            return self._head[offset : offset + count]
        if offset < self._start:
            self._rewind()
        while self._start + len(self._ahead) < offset + count:
            block = self._more()
            if not block:
                break
            self._ahead += block
            if len(self._head) < EDGE:
                self._head = bytes(self._ahead[:EDGE])  # nothing was dropped yet: `_start` is 0 until `EDGE` is passed
            self._drop(offset - EDGE)
        self._drop(offset - EDGE)
        return bytes(self._ahead[offset - self._start : offset - self._start + count])

    def damage(self, final: bool) -> str:
        if self._damage:
            return f"the gzip file is damaged ({self._damage}): what follows cannot be read"
        return "the gzip file ends too early" if final and self._raw and not self._unzip.eof else ""

    def shrunk(self) -> bool:
        return os.fstat(self._handle).st_size < self._raw

    def close(self) -> None:
        os.close(self._handle)

    def _rewind(self) -> None:
        self._raw, self._start = 0, 0
        self._ahead, self._input = bytearray(), b""
        self._unzip, self._damage = zlib.decompressobj(wbits=31), ""

    def _drop(self, before: int) -> None:
        """Forgets what lies before a place."""
        if before > self._start and len(self._head) == EDGE:
            gone = min(before - self._start, len(self._ahead))
            del self._ahead[:gone]
            self._start += gone

    def _more(self) -> bytes:
        """The next unzipped bytes, few however well they were zipped; none at the end of what is there."""
        while not self._damage:
            if not self._input:
                self._input = os.pread(self._handle, BLOCK, self._raw)
                self._raw += len(self._input)
            if self._unzip.eof:
                self._input = self._input.lstrip(b"\0")  # padding between members, as gzip itself ignores
                if self._input:
                    self._unzip = zlib.decompressobj(wbits=31)
            if not self._input:
                return b""
            before = self._unzip.copy()
            try:
                block = self._unzip.decompress(self._input, BLOCK)
            except zlib.error as error:
                self._damage = str(error)
                return _salvaged(before, self._input)
            self._input = self._unzip.unused_data if self._unzip.eof else self._unzip.unconsumed_tail
            if block:
                return block
        return b""


def _salvaged(unzip: zlib._Decompress, content: bytes) -> bytes:
    """What can be unzipped of a damaged block: it is fed by the byte, so that the last whole symbol comes out."""
    found = b""
    for at in range(len(content)):
        try:
            found += unzip.decompress(content[at : at + 1])
        except zlib.error:
            break
    return found
