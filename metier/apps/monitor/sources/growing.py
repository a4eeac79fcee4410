"""One file that grows: its lines from a place on, whatever happens to the file meanwhile."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import astuple, dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import DOCUMENT
from metier.apps.monitor.sources.content import Content, mark, opened
from metier.apps.monitor.sources.lines import SHOWN, Csv, JsonLines, Wanted, numbered, overlong

logger = logging.getLogger(__name__)

BYTES_A_LINE = 2_048
LEAST, MOST = 1 << 16, 8 << 20
"""Bytes that are read at a time, by how many documents are asked for."""
BOM = b"\xef\xbb\xbf"
_rotated = re.compile(r"[.-][0-9T_.:-]+(\.gz)?")
"""What stands behind the name of a file that was rotated."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading has got to.

    Args:
        offset: bytes of the (unzipped) content that were read.
        line: lines that were read.
        inode: of the file.
        mark: what the content up to here is known by (`metier.apps.monitor.sources.content.mark`).
    """

    offset: int = 0
    line: int = 0
    inode: int = 0
    mark: str = ""

    def kept(self) -> list[Any]:
        """As JSON has it."""
        return list(astuple(self))


@dataclass(frozen=True, slots=True)
class Part:
    """What was read: the documents, where to go on, and whether that is the end of what is there now."""

    received: list[Received]
    place: Place
    exhausted: bool
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Scanned:
    """How far the line that begins at `start` was looked through for its end, and how it begins."""

    start: int = 0
    end: int = 0
    shown: bytes = b""


class Growing:
    """Reads one file, JSON lines or CSV (by its name), plain or gzip (by its first bytes).

    A last line without its end is left until the end comes. A file that was renamed is read to its end before the new
    one of the name is begun, also where this process did not run meanwhile and the old one is found as `NAME.1`,
    `NAME-20260131` or `NAME.1.gz` beside it. A file that was emptied, or written anew, is begun anew.

    Args:
        path: of the file.
        source: the name of the source.
        encoding: of the texts; UTF-8 with or without a byte order mark, or one of `lines.ENCODINGS`.
    """

    def __init__(self, path: Path, source: str, encoding: str = "utf-8") -> None:
        self.path, self.source, self.encoding = path, source, encoding
        self._content: Content | None = None
        self._place: Place | None = None
        self._reader = self._new_reader()
        self._scanned = Scanned()

    def read(self, place: Place, limit: int, at: float, final: bool = False, inode: int | None = None) -> Part:
        """Up to `limit` documents behind a place.

        Args:
            place: where to go on.
            limit: of documents.
            at: the time of their arrival.
            final: whether the file grows no more: then its last line needs no end.
            inode: of the file that has the name, where the caller knows it: another one is not begun.
        """
        try:
            content, place = self._find(place)
            if content is None:
                return Part([], place, True, f"{self.path} is not there yet")
            rotated = self._successor(content, inode)
            part = self._lines(content, place, Wanted(limit, at, 0, final or rotated is not None))
        except OSError as error:
            self.close()
            return Part([], place, True, f"{self.path} cannot be read: {error.strerror or error}")
        if part.exhausted and (damage := content.damage(final or rotated is not None)):
            part = replace(part, fault=f"{content.path}: {damage}")
        if rotated is not None and part.exhausted:
            self._open(rotated)
            part = replace(part, place=Place(inode=rotated.inode), exhausted=False)
        elif rotated is not None:
            rotated.close()
        self._place = part.place
        return part

    def close(self) -> None:
        """Lets go of the file."""
        if self._content is not None:
            self._content.close()
        self._content = self._place = None

    def _new_reader(self) -> JsonLines | Csv:
        ending = {suffix.lower() for suffix in self.path.suffixes[-2:]}
        return (Csv if ending & {".csv", ".tsv"} else JsonLines)(self.source, self.encoding)

    # -- which file ----------------------------------------------------------------------------------------------
    def _find(self, place: Place) -> tuple[Content | None, Place]:
        """The content that a place belongs to, and the place; the beginning of the file where it is another one now."""
        content = self._content
        # one that was empty is looked at anew: now it may be a gzip file
        if content is not None and self._place == place and place.offset and self._same(content, place):
            return content, place
        self.close()
        here = self._at_path()
        if here is not None and self._is(here, place):
            return self._open(here), place if place.inode else replace(place, inode=here.inode)
        if place.inode and (old := self._renamed(place)) is not None:
            if here is not None:
                here.close()
            return self._open(old), place
        if here is None:
            return None, place
        if place.offset:
            logger.warning("%s holds other content than it did: it is read from its beginning", self.path)
        return self._open(here), Place(inode=here.inode)

    def _at_path(self) -> Content | None:
        try:
            return opened(self.path)
        except FileNotFoundError:
            return None

    def _same(self, content: Content, place: Place) -> bool:
        return not content.shrunk() and self._knows(content, place)

    @staticmethod
    def _knows(content: Content, place: Place) -> bool:
        return mark(content, place.offset) == place.mark

    def _is(self, content: Content, place: Place) -> bool:
        if place.offset == 0:
            return place.inode in (0, content.inode)
        return len(content.read_at(place.offset - 1, 1)) == 1 and self._knows(content, place)

    def _open(self, content: Content) -> Content:
        if self._content is not None and self._content is not content:
            self._content.close()
        self._content, self._reader, self._scanned = content, self._new_reader(), Scanned()
        return content

    def _renamed(self, place: Place) -> Content | None:
        """The file of a place under another name."""
        for path in self._siblings():
            content = opened(path)
            same = self._is(content, place) if place.offset else content.inode == place.inode
            if same:
                return content
            content.close()
        return None

    def _siblings(self) -> list[Path]:
        """Older files of this name, the oldest first."""
        stem = self.path.name
        found = [
            path for path in self.path.parent.glob(f"{escape(stem)}?*") if _rotated.fullmatch(path.name, len(stem))
        ]
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def _successor(self, content: Content, inode: int | None) -> Content | None:
        """What follows a file that was renamed: the next younger one that was, or the one at the path."""
        try:
            now = os.stat(self.path).st_ino
        except FileNotFoundError:
            return None
        if now == content.inode or (inode is not None and now != inode):
            return None
        siblings = self._siblings()
        at = next((at for at, path in enumerate(siblings) if path.stat().st_ino == content.inode), len(siblings))
        later = siblings[at + 1 :]
        return opened(later[0]) if later else self._at_path()

    # -- its lines -----------------------------------------------------------------------------------------------
    def _lines(self, content: Content, place: Place, wanted: Wanted) -> Part:
        want = min(max(wanted.limit * BYTES_A_LINE, LEAST), MOST)
        if isinstance(self._reader, Csv) and place.offset and not self._reader.names:
            self._reader.named(content.read_at(0, LEAST).lstrip().partition(b"\n")[0])
        while self._scanned.start != place.offset or not self._scanned.end:
            block = content.read_at(place.offset, want)
            ended = len(block) < want
            full = want > DOCUMENT  # a row whose end does not come
            received, taken, lines = self._framed(block, place, wanted, ended, full)
            if lines:
                moved = self._moved(content, place.offset + taken, place.line + lines)
                return Part(received, moved, ended and (taken == len(block) or not received))
            if ended:
                return Part([], place, True)
            if full:
                self._scanned = Scanned(place.offset, place.offset + want, block[:SHOWN])
            want = min(want * 4, DOCUMENT + 1)
        return self._skipped(content, place, wanted)

    def _framed(
        self, block: bytes, place: Place, wanted: Wanted, ended: bool, full: bool
    ) -> tuple[list[Received], int, int]:
        """`(documents, bytes, lines)` of the whole lines of a block."""
        size = len(block)
        if wanted.final and ended and block and not block.endswith(b"\n"):
            block += b"\n"
        lines = block.split(b"\n", -1 if isinstance(self._reader, Csv) else wanted.limit)
        lines.pop()  # what lies behind the end of the last one
        marked = place.offset == 0 and bool(lines) and lines[0].startswith(BOM)
        if marked:
            lines[0] = lines[0][len(BOM) :]
        final = (wanted.final and ended) or full
        received, count = self._reader.read(lines, Wanted(wanted.limit, wanted.at, place.line, final))
        taken = sum(map(len, lines[:count])) + count + (len(BOM) if marked and count else 0)
        return received, min(taken, size), count

    def _skipped(self, content: Content, place: Place, wanted: Wanted) -> Part:
        """A line that is too long: read past in blocks, of which none is kept, as far as its end."""
        at, shown = self._scanned.end, self._scanned.shown
        while block := content.read_at(at, MOST):
            cut = block.find(b"\n")
            at += len(block) if cut < 0 else cut + 1
            if cut >= 0:
                break
        self._scanned = Scanned(place.offset, at, shown)
        if not block and not wanted.final:
            return Part([], place, True)
        received = numbered(overlong(shown, self.source, wanted.at, self.encoding), place.line + 1)
        self._scanned = Scanned()
        return Part([received], self._moved(content, at, place.line + 1), not block)

    def _moved(self, content: Content, offset: int, line: int) -> Place:
        return Place(offset, line, content.inode, mark(content, offset))
