"""Bytes to text: gzip and the encoding of a file are recognised from its bytes, never from its name.

A file is scanned once, in blocks, so that a broken byte in its last line is found before anything is learned from it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, cast

from metier.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
BOM_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
COMMON_HAN = range(0xB0, 0xD8)
"""Lead bytes of the 3,755 most common Chinese characters (GB 2312, level 1)."""


@contextmanager
def utf8_stream(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a text file, unzipped, as UTF-8 without a byte order mark.

    Raises `DataError` for a damaged gzip file and for bytes that are neither UTF-8, GB18030 nor UTF-16.
    """
    encoding = encoding_of(path)
    with raw_stream(path) as raw:
        if encoding in ("utf-8", "utf-8-sig"):
            if encoding == "utf-8-sig":
                raw.read(len(codecs.BOM_UTF8))
            yield raw
        else:
            yield cast("BinaryIO", io.BufferedReader(_Transcoder(raw, encoding), BLOCK))


def text_lines(path: Path) -> Iterator[str]:
    r"""The lines of a text file without their ends (only `\n` and `\r\n` end one); a block is decoded at a time."""
    with utf8_stream(path) as stream:
        rest = b""
        while block := stream.read(BLOCK):
            whole, newline, after = block.rpartition(b"\n")
            if not newline:
                rest += block
                continue
            for line in (rest + whole).decode("utf-8").split("\n"):
                yield line.removesuffix("\r")
            rest = after
        if rest:
            yield rest.decode("utf-8").removesuffix("\r")


@contextmanager
def raw_stream(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unzipped where it is a gzip file. Raises `DataError` where only its name says so."""
    with _opened(path) as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if path.suffix == ".gz" and not zipped:
            raise DataError(
                f"{path.name} is not a gzip file.",
                expected="a file that starts with the bytes 1f 8b",
                hint="drop '.gz' from its name, or compress it again",
            )
        if not zipped:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield cast("BinaryIO", io.BufferedReader(unzipped, BLOCK))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(
                f"{path.name} is a damaged gzip file ({error}).", hint="copy or compress it again"
            ) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", hint="check the path and its permissions"
        ) from error


def encoding_of(path: Path) -> str:
    """`utf-8`, `utf-8-sig`, `utf-16` or `gb18030`; remembered until the file changes."""
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", hint="check the path") from error
    return _encoding_of(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _encoding_of(path: Path, _mtime: int, _size: int) -> str:
    with raw_stream(path) as raw:
        start = raw.read(3)
    if start[:2] in BOM_UTF16:
        return "utf-16"
    place = _first_bad(path, "utf-8")
    if place is None:
        return "utf-8-sig" if start == codecs.BOM_UTF8 else "utf-8"
    if _first_bad(path, "gb18030") is None and _looks_chinese(path):
        return "gb18030"
    line, byte = place
    raise DataError(
        f"{path.name}, line {line}: byte 0x{byte:02x} is neither UTF-8 nor GB18030.",
        expected="a text file in UTF-8 or GB18030",
        hint=f"convert it, for example: iconv -f latin1 -t utf-8 {path.name}",
    )


def _first_bad(path: Path, encoding: str) -> tuple[int, int] | None:
    """`(line, byte)` of the first byte that `encoding` does not allow, or `None` where all decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with raw_stream(path) as raw:
        while True:
            block = raw.read(BLOCK)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start), error.object[error.start]
            if not block:
                return None
            line += block.count(b"\n")


def _looks_chinese(path: Path) -> bool:
    """Whether the double bytes of the first blocks are mostly common Chinese characters.

    Western single-byte encodings sometimes decode as GB18030 by chance, but into rare characters.
    """
    common = other = 0
    with raw_stream(path) as raw:
        for _ in range(16):
            block = raw.read(BLOCK)
            text = block.decode("gb18030", errors="ignore")
            wide = [character for character in text if ord(character) > 0x7F]
            for character in wide[:100_000]:
                lead = character.encode("gb18030", errors="ignore")[:1]
                usual = (lead and lead[0] in COMMON_HAN) or 0x3000 <= ord(character) < 0x3020 or ord(character) > 0xFF00
                common, other = common + bool(usual), other + (not usual)
            if not block or common + other > 1_000:
                break
    return common > 2 * other


class _Transcoder(io.RawIOBase):
    """Reads another encoding as UTF-8, a block at a time."""

    def __init__(self, raw: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._raw, self._decoder = raw, codecs.getincrementaldecoder(encoding)()
        self._ready, self._ended = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        while not self._ready and not self._ended:
            block = self._raw.read(BLOCK)
            self._ended = not block
            self._ready = self._decoder.decode(block, final=self._ended).encode("utf-8", errors="replace")
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
