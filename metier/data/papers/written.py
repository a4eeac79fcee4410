"""Markdown and plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metier.data.markup import plain, tamed
from metier.data.papers.paper import Kind, Piece
from metier.errors import MissingExtra

if TYPE_CHECKING:
    from markdown_it.token import Token

_front = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_title = re.compile(r"^title:\s*(?P<quote>[\"']?)(?P<title>.*?)(?P=quote)\s*$", re.MULTILINE)
_paragraph = re.compile(r"\n[^\S\n]*\n")
_line = re.compile(r"(?<![\u3000-\u9fff\uff00-\uffef])\n|\n(?![\u3000-\u9fff\uff00-\uffef])")


def from_text(text: str) -> tuple[str, list[Piece]]:
    """The paragraphs of a plain text: what stands between empty lines."""
    return "", [Piece("text", unwrapped(part)) for part in _paragraph.split(text.replace("\r\n", "\n"))]


def unwrapped(text: str) -> str:
    """Lines joined to one: with a blank, and without one between Chinese characters."""
    return _line.sub(" ", text).replace("\n", "")


def from_markdown(text: str) -> tuple[str, list[Piece]]:
    """The title that stands in the front matter, and the blocks of a Markdown document (CommonMark with tables)."""
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise MissingExtra("markdown-it-py", "apps") from None
    text = text.replace("\r\n", "\n")
    front = _front.match(text)
    stated = _title.search(front[1]) if front else None
    blocks = _Blocks()
    for token in MarkdownIt("commonmark").enable("table").parse(text[front.end() :] if front else text):
        blocks.take(token)
    return stated["title"] if stated else "", blocks.found


_LISTS = ("bullet_list", "ordered_list", "table")


class _Blocks:
    """Collects the blocks of a token stream. Lists and tables are lines: one an item, one a row."""

    def __init__(self) -> None:
        self.found: list[Piece] = []
        self._lines: list[str] = []
        self._cells: list[str] = []
        self._depth = self._level = 0
        self._cell = False

    def take(self, token: Token) -> None:
        kind, _, edge = token.type.rpartition("_")
        if kind in _LISTS:
            self._nest(1 if edge == "open" else -1)
        elif kind == "heading":
            self._level = int(token.tag[1:]) if edge == "open" else 0
        elif kind in ("td", "th"):
            self._cell = edge == "open"
        elif token.type == "tr_close":
            self._lines.append(" | ".join(self._cells))
            self._cells = []
        elif token.type in ("fence", "code_block"):
            self._put("lines", token.content)
        elif token.type == "html_block":
            self._put("text", plain(tamed(token.content)))
        elif token.type == "inline":
            self._put("heading" if self._level else "text", _inline(token.children or ()))

    def _nest(self, by: int) -> None:
        self._depth += by
        if not self._depth:
            self.found.append(Piece("lines", "\n".join(self._lines)))
            self._lines = []

    def _put(self, kind: Kind, text: str) -> None:
        if self._cell:
            self._cells.append(text)
        elif self._depth:
            self._lines.append(text)
        else:
            self.found.append(Piece(kind, text, self._level))


def _inline(tokens: Sequence[Token]) -> str:
    found = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            found.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            found.append("\n")
        elif token.type == "image":
            found.append(_inline(token.children or ()))
    return unwrapped("".join(found))
