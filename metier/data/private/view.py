"""A text as it is searched: half-width digits and signs, one kind of dash and of blank, nothing without width."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from metier.data.markup import WIDE

COVER = "\0"
"""Stands for each character that was found already: nothing reaches over it."""
UNSEEN = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe0e\ufe0f\ufeff"
_unseen = re.compile(f"[{UNSEEN}]")
_seen = re.compile(f"[^{UNSEEN}]")
_dashes = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\ufe63"
_blanks = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"


@dataclass(frozen=True, slots=True)
class View:
    """`text` is what is searched; `places[i]` is where its character i stands in the original (`None`: at i)."""

    text: str
    places: Sequence[int] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that `text[start:end]` stands for."""
        return (start, end) if self.places is None else (self.places[start], self.places[end - 1] + 1)


def view_of(text: str) -> View:
    """The view of a text. Its characters are translated one to one; those without width are left out."""
    if text.isascii():
        return View(text.replace("\t", " "), None)
    places = None
    if _unseen.search(text):
        places = [match.start() for match in _seen.finditer(text)]
        text = "".join([text[at] for at in places])
    return View(text.translate(_plain()), places)


def covered(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """A text with `COVER` for each character of the spans, which are sorted and do not overlap."""
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], COVER * (end - start)]
        at = end
    return "".join([*pieces, text[at:]])


@lru_cache(maxsize=1)
def _plain() -> dict[int, int | str]:
    """Digits of every script to 0-9, full-width signs and letters to ASCII, dashes and blanks to one of each."""
    table: dict[int, int | str] = {**WIDE}
    table |= dict.fromkeys(map(ord, _dashes), "-") | dict.fromkeys(map(ord, _blanks), " ")
    for code in range(0x80, sys.maxunicode + 1):
        if chr(code).isdecimal():
            table[code] = str(unicodedata.decimal(chr(code)))
    return table
