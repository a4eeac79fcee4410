"""The files of the spool: records one behind the other, each with its length and a checksum.

A record is 4 bytes of length, 4 bytes of CRC-32 over the length and the content, and the content. A file is named by a
number that is larger than that of any before it, so that a position (file, offset) never means two things.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

HEADER = struct.Struct("<II")
ENDING = ".spool"


def framed(content: bytes) -> bytes:
    """A record."""
    length = struct.pack("<I", len(content))
    return length + struct.pack("<I", zlib.crc32(content, zlib.crc32(length))) + content


def records(block: bytes, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """`(content, where it ends)` of the whole records of a block; ends before one that is cut off or damaged."""
    while start + HEADER.size <= len(block):
        length, checksum = HEADER.unpack_from(block, start)
        end = start + HEADER.size + length
        if end > len(block):
            return
        content = block[start + HEADER.size : end]
        if zlib.crc32(content, zlib.crc32(block[start : start + 4])) != checksum:
            return
        yield content, end
        start = end


def needed(block: bytes) -> int:
    """Bytes of the first record of a block, as its length says; 0 where not even that is there."""
    return HEADER.size + int(HEADER.unpack_from(block)[0]) if len(block) >= HEADER.size else 0


def numbers(folder: Path) -> list[int]:
    """The files of a spool, in order."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    stems = [name.removesuffix(ENDING) for name in names if name.endswith(ENDING)]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())


def path_of(folder: Path, number: int) -> Path:
    """The file of a number."""
    return folder / f"{number:020d}{ENDING}"


def next_number(known: Sequence[int]) -> int:
    """A number larger than any that was used, also by files that are gone (as long as the clock was not set back)."""
    return max(time.time_ns(), known[-1] + 1 if known else 0)


def sound_size(path: Path) -> int:
    """Bytes of a file up to the end of its last whole record, read a little at a time."""
    size = 0
    with path.open("rb") as file:
        while head := file.read(HEADER.size):
            length = needed(head) - HEADER.size
            if length < 0 or length > os.fstat(file.fileno()).st_size:
                break
            block = head + file.read(length)
            if next(records(block), None) is None:
                break
            size += len(block)
    return size
