"""A text as kinds of augmentation see it: its words, and which of them may be changed.

Words are runs of letters. Where a source gives the words of a text, these are taken. In Chinese and Japanese no blanks
stand between words: there a word is the longest one of a lexicon that the corpus itself yields (`lexicon`), else a
single character. No segmenter is needed, what is found are the terms that the texts really use, and in a small corpus,
which says too little of words, single characters are what is left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2
from random import Random

from metier.data.augment.edits import spans_of
from metier.types import Example

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(rf"[^\W\d_{CJK}]+(?:['\u2019][^\W\d_{CJK}]+)*|[{CJK}]+")
CHARACTER = re.compile(rf"[{CJK}]")
KEPT = re.compile(r"</?e[12]>|\S+://\S+|\S+@\S+\.\S+")
"""The marks of entities, and addresses: no kind touches them."""
MARKED = re.compile(r"<(e[12])>(.*?)</\1>", re.DOTALL)
LONGEST = 4
"""Characters of a word of the lexicon."""
OFTEN, COHESION = 5, 4.0
"""A word of the lexicon occurs at least so often, and 2**4 times as often as its parts would meet by chance."""

EDGES = frozenset("的了")
"""Particles that begin and end no word."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One text of an example.

    `words` are the stretches in which characters may be changed, `free` says which of them are whole words outside
    spans and marked entities: those may be replaced, moved and left out. No blank beside a place of `walls` may go, and
    none at all where `spaced`: the source says what its words are.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    free: tuple[bool, ...]
    walls: frozenset[int]
    spaced: bool

    def movable(self) -> list[tuple[int, int]]:
        """The free words."""
        return [word for word, free in zip(self.words, self.free, strict=True) if free]


def passage(example: Example, lexicon: frozenset[str] = frozenset(), *, pair: bool = False) -> Passage:
    """The text of an example, or its second text, ready to be changed."""
    document = example.document
    text = (document.pair or "") if pair else document.text
    spans = [] if pair else [(span.start, span.end) for span in spans_of(example)]
    bound = [*spans, *(match.span(2) for match in MARKED.finditer(text))]
    fixed = [match.span() for match in KEPT.finditer(text)]
    walls = frozenset(edge for stretch in (*bound, *fixed) for edge in stretch)
    tokens = None if pair else document.tokens
    found = [match.span() for match in WORD.finditer(text)] if tokens is None else _worded(text, tokens)
    words, free = [], []
    for start, end in found:
        for part in _parts(text, start, end, walls, lexicon if tokens is None else None):
            if any(low < part[1] and part[0] < high for low, high in fixed):
                continue
            words.append(part)
            whole = tokens is not None and part == (start, end)
            cut = part[0] > start and part[0] in walls or part[1] < end and part[1] in walls
            loose = whole or not cut or (tokens is None and CHARACTER.match(text, part[0]) is not None)
            free.append(loose and not any(low < part[1] and part[0] < high for low, high in bound))
    return Passage(text, tuple(words), tuple(free), walls, tokens is not None)


def amount(of: int, rate: float, rng: Random) -> int:
    """How many of `of` places a rate comes to: its expectation, rounded at random, at least one if there is any."""
    wanted = of * rate
    return min(of, max(1, int(wanted) + (rng.random() < wanted % 1.0)))


def lexicon(texts: Iterable[str]) -> frozenset[str]:
    """Words of two to four characters that Chinese texts hold, found by the pointwise mutual information of their
    parts (Church & Hanks 1990): of all ways to cut a word in two the weakest must hold together. What stands mostly
    inside one and the same longer run is a part of a word and not one."""
    counts: Counter[str] = Counter()
    total = 0
    for text in texts:
        for run in re.findall(rf"[{CJK}]+", text):
            total += len(run)
            for length in range(1, LONGEST + 2):
                counts.update(run[at : at + length] for at in range(len(run) - length + 1))

    def holds(word: str, count: int) -> bool:
        cuts = ((word[:at], word[at:]) for at in range(1, len(word)))
        return all(log2(count * total / (counts[one] * counts[other])) >= COHESION for one, other in cuts)

    frequent = {run: count for run, count in counts.items() if count >= OFTEN and len(run) > 1}
    parts = {
        part
        for run, count in frequent.items()
        for part in (run[1:], run[:-1])
        if len(part) > 1 and count > counts[part] / 2
    }
    return frozenset(
        word
        for word, count in frequent.items()
        if len(word) <= LONGEST and word not in parts and not EDGES & {word[0], word[-1]} and holds(word, count)
    )


def _worded(text: str, tokens: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The source's words that are made of letters."""
    return [(start, end) for start, end in tokens if WORD.fullmatch(text, start, end)]


def _parts(
    text: str, start: int, end: int, walls: frozenset[int], known: frozenset[str] | None
) -> list[tuple[int, int]]:
    """A run of letters cut at walls, and a run of Chinese characters into words (`None`: it is one already)."""
    edges = [start, *sorted(wall for wall in walls if start < wall < end), end]
    pieces = list(zip(edges, edges[1:], strict=False))
    if known is None or not CHARACTER.match(text, start):
        return pieces
    return [part for low, high in pieces for part in _segmented(text, low, high, known)]


def _segmented(text: str, start: int, end: int, known: frozenset[str]) -> list[tuple[int, int]]:
    """Longest match first, from the left."""
    found = []
    while start < end:
        length = next((n for n in range(min(LONGEST, end - start), 1, -1) if text[start : start + n] in known), 1)
        found.append((start, start + length))
        start += length
    return found
