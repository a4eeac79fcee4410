"""Names of companies that are nearly written as in the table."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

import numpy as np
from rapidfuzz.distance import OSA

from metier.apps.monitor.companies.names import LEGAL, WORDS, Token, joined

LETTERS = 7
"""Shorter names are looked up as they are written."""
WINDOW = 4
"""Words that a name with a misspelling has at most."""
CERTAINTY = 0.9


class Misspellings:
    """Long names, found with one letter lost, added or changed, or two neighbours exchanged.

    Looked up by what is left of a name without one of its letters (the deletion neighbourhood: Mor and Fraenkel 1982;
    SymSpell, Garbe 2012), then measured (optimal string alignment). There are about twenty such rests a name, millions
    in a large table: of each only a checksum and the number of its name are kept, eight bytes, in sorted arrays.

    Args:
        names: the words of each name, and the id of its company.
    """

    def __init__(self, names: Iterable[tuple[tuple[str, ...], str]]) -> None:
        joint = {("".join(words), company) for words, company in names}
        self._names = sorted(pair for pair in joint if _is_long(pair[0]))
        self._longest = max((len(name) for name, _ in self._names), default=0)
        sums, places = array("I"), array("I")
        for place, (name, _) in enumerate(self._names):
            rests = _rests(name)
            sums.extend(rests)
            places.extend([place] * len(rests))
        order = np.argsort(np.asarray(sums, np.uint32), kind="stable")
        self._sums, self._places = np.asarray(sums, np.uint32)[order], np.asarray(places, np.uint32)[order]

    def find(
        self, words: Sequence[Token], text: str, taken: bytearray, shouted: bool
    ) -> Iterator[tuple[int, int, str, float]]:
        """`(start, end, company, score)` of each. What is `taken` (1 a character) is left out, what is found marked."""
        if not self._names:
            return
        free = [_may_be(word, shouted) and 1 not in taken[word.start : word.end] for word in words]
        for first in range(len(words)):
            if not free[first]:
                continue
            for last in range(min(len(words), first + WINDOW), first, -1):
                if not all(free[first:last]) or not all(joined(text, a, b) for a, b in _neighbours(words[first:last])):
                    continue
                company, score = self._whose("".join(word.word for word in words[first:last]))
                if company:
                    mark(taken, words[first].start, words[last - 1].end)
                    yield words[first].start, words[last - 1].end, company, score
                    free[first:last] = [False] * (last - first)
                    break

    def _whose(self, name: str) -> tuple[str, float]:
        """The only company with a name one step away; none where there are several."""
        if not LETTERS <= len(name) <= self._longest + 1:
            return "", 0.0
        near = {
            company: known
            for known, company in self._alike(name)
            if known[0] == name[0] and not known.startswith(name) and not name.startswith(known)  # America, American
            if OSA.distance(known, name, score_cutoff=1) <= 1
        }
        if len(near) != 1:
            return "", 0.0
        company, known = next(iter(near.items()))
        return company, CERTAINTY * (1 - 1 / max(len(known), len(name)))

    def _alike(self, name: str) -> list[tuple[str, str]]:
        """Names, with their companies, that share a rest with this one, or its checksum."""
        asked = np.asarray(_rests(name), np.uint32)
        known = asked[self._sums.take(self._sums.searchsorted(asked), mode="clip") == asked]
        if not known.size:
            return []
        begins, ends = self._sums.searchsorted(known).tolist(), self._sums.searchsorted(known, "right").tolist()
        places = {place for begin, end in zip(begins, ends, strict=True) for place in self._places[begin:end].tolist()}
        return [self._names[place] for place in sorted(places)]


def mark(taken: bytearray, start: int, end: int) -> None:
    """Says that characters `start` to `end` are part of a mention."""
    taken[start:end] = b"\x01" * (end - start)


def _may_be(word: Token, shouted: bool) -> bool:
    return not word.han and word.surface[0].isupper() and word.word not in LEGAL and (shouted or word.word not in WORDS)


def _neighbours(words: Sequence[Token]) -> list[tuple[Token, Token]]:
    return list(zip(words, words[1:], strict=False))


def _is_long(name: str) -> bool:
    return len(name) >= LETTERS and name.isascii() and not name.isdigit()


def _rests(name: str) -> list[int]:
    """Checksums of a name and of what is left of it without one of its letters, each once."""
    whole = name.encode("utf-8", "replace")
    return [*{crc32(whole), *(crc32(whole[:at] + whole[at + 1 :]) for at in range(len(whole)))}]
