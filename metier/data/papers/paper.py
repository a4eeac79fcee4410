"""A document as it is read, whatever its format: blocks of text in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from metier.data.languages import language
from metier.errors import DataError

Kind = Literal["heading", "text", "lines"]
GAP = "\n\n"
"""Between two blocks of a paper's text."""
_controls = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]")
_blanks = re.compile(r"[^\S\n]+")
_ends = re.compile(r" ?\n\s*")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may be; a larger one is refused with a line that says so.

    Args:
        size: bytes of a file.
        characters: of its text.
        pages: of a PDF.
        seconds: for the reading of a PDF.
        memory: bytes for the reading of a PDF.
        unzipped: bytes of a DOCX, unzipped.
        ratio: how many times larger than the file that may be.
        entries: files inside a DOCX.
        files: documents of a folder.
    """

    size: int = 32 << 20
    characters: int = 2_000_000
    pages: int = 2_000
    seconds: float = 60.0
    memory: int = 1 << 30
    unzipped: int = 64 << 20
    ratio: int = 200
    entries: int = 2_000
    files: int = 20_000


@dataclass(frozen=True, slots=True)
class Piece:
    """What a reader hands over: a block that has no place yet."""

    kind: Kind
    text: str
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph, or lines that belong together (table, list, code).

    Args:
        kind: which of these.
        text: its text; `Paper.text[start:start + len(text)]`.
        start: where it begins in the paper's text.
        level: of a heading, from 1.
        page: of a PDF, from 1.
    """

    kind: Kind
    text: str
    start: int
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    """A document: its path below the folder (`/` between parts), its title, its language and its blocks."""

    path: str
    title: str
    language: str | None
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """All of its text, in which the places of blocks and passages count."""
        return GAP.join(block.text for block in self.blocks)


def paper_of(path: str, title: str, pieces: Iterable[Piece], limits: Limits) -> Paper:
    """A paper from its pieces: cleaned, placed, with its first heading as title where it has none of its own.

    Raises `DataError` where there is no text, or more than `limits.characters`.
    """
    blocks: list[Block] = []
    at = 0
    for piece in pieces:
        text = _clean(piece.text, lines=piece.kind == "lines")
        if not text:
            continue
        blocks.append(Block(piece.kind, text, at, piece.level, piece.page))
        at += len(text) + len(GAP)
        if at > limits.characters + len(GAP):
            raise too_long(path, limits)
    if not blocks:
        raise DataError(f"{path} holds no text.", hint="a scanned document needs text recognition first")
    headings = [block.text for block in blocks if block.kind == "heading"]
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    title = _clean(title, lines=False) or (headings[0] if headings else "") or name.replace("_", " ")
    sample = " ".join(block.text for block in blocks if block.kind != "heading")[:2_000] or title
    return Paper(path, title[:300], language(sample), tuple(blocks))


def too_long(path: str, limits: Limits) -> DataError:
    """The refusal of a document with more text than is allowed."""
    return DataError(
        f"{path} has more than {limits.characters:,} characters of text.", hint="split it, or raise the limit"
    )


def _clean(text: str, lines: bool) -> str:
    text = _controls.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n").replace("\x0c", "\n"))
    text = _blanks.sub(" ", text)
    return _ends.sub("\n" if lines else " ", text).strip()
