"""Words, spans and tags: how character spans become one BIO tag a word, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from metier.tasks.task import IGNORE, Encoding
from metier.types import Span

OUTSIDE = 0


@dataclass(frozen=True)
class Words:
    """The words of a text or of one of its windows: character offsets `start`, `end` `(words,)`."""

    text: str
    start: np.ndarray
    end: np.ndarray


@dataclass
class Misfits:
    """Training spans that tags cannot say exactly; each is one `(document, start, end, label)`."""

    snapped: set[tuple[str, int, int, str]] = field(default_factory=set)
    """Spans that begin or end inside a word: they were widened to whole words."""
    overlapping: set[tuple[str, int, int, str]] = field(default_factory=set)
    """Spans that share a word with one before them: their words have no target."""


def first_tokens(encoding: Encoding) -> np.ndarray:
    """The positions of the tokens that begin a word of the text, `(words,)`."""
    return np.flatnonzero(encoding.word.astype(bool) & (encoding.sequence == 0))


def words_of(encoding: Encoding) -> Words:
    """The words that begin in one window. A word that the window's end cuts is as long as what is left of it."""
    first = first_tokens(encoding)
    own = np.flatnonzero(encoding.sequence == 0)
    start, end = encoding.start[first].astype(np.int64), np.zeros(len(first), dtype=np.int64)
    word = np.searchsorted(first, own, side="right") - 1
    np.maximum.at(end, word[word >= 0], encoding.end[own[word >= 0]])
    tokens = encoding.document.tokens
    if tokens and len(first):
        # The source's own words win over what the tokenizer left of them (it may drop accents' marks or odd spaces).
        bounds = np.array(tokens, dtype=np.int64)
        begins, stops = (
            np.minimum(np.searchsorted(bounds[:, 1], place, side="right"), len(bounds) - 1)
            for place in (start, np.maximum(start, end - 1))
        )
        # One token may span several of the source's words: a year, where the source has one word a character.
        start, end = bounds[begins, 0], bounds[stops, 1]
    return Words(encoding.document.text, start, end)


def all_words(pieces: Sequence[Encoding]) -> Words:
    """The words of a document, from all its windows, in the order of the text."""
    found = [words_of(encoding) for encoding in pieces]
    if len(found) == 1:
        return found[0]
    start = np.concatenate([words.start for words in found])
    end = np.concatenate([words.end for words in found])
    unique, place = np.unique(start, return_inverse=True)
    longest = np.zeros(len(unique), dtype=np.int64)
    np.maximum.at(longest, place, end)
    for begin, stop in filter(None, map(_gone_on, pieces)):
        at = int(np.searchsorted(unique, begin, side="right")) - 1
        if at >= 0:
            longest[at] = max(longest[at], stop)
    return Words(found[0].text, unique, longest)


def _gone_on(encoding: Encoding) -> tuple[int, int] | None:
    """Where a word that began in a window before this one goes on, and ends here; `None` where none does.

    Only a word that is longer than a window has an end that no other window tells. The source's own words have theirs.
    """
    first, own = first_tokens(encoding), np.flatnonzero(encoding.sequence == 0)
    head = own[own < first[0]] if len(first) else own
    if not len(head) or encoding.document.tokens:
        return None
    return int(encoding.start[head[0]]), int(encoding.end[head].max())


def farthest_from_edges(rows: Sequence[np.ndarray], pieces: Sequence[Encoding]) -> np.ndarray:
    """Logits a word, `(words, outputs)`: of each word from the window in which most context surrounds it."""
    firsts = [first_tokens(encoding) for encoding in pieces]
    if len(rows) == 1:
        only: np.ndarray = rows[0][firsts[0]]
        return only
    logits = np.concatenate([row[first] for row, first in zip(rows, firsts, strict=True)])
    start = np.concatenate([words_of(encoding).start for encoding in pieces])
    room = np.concatenate([np.minimum(first, len(e.ids) - 1 - first) for first, e in zip(firsts, pieces, strict=True)])
    order = np.lexsort((-room, start))
    _, best = np.unique(start[order], return_index=True)
    chosen: np.ndarray = logits[order[best]]
    return chosen


def tags_of(spans: Iterable[Span], words: Words, types: dict[str, int], document: str, misfits: Misfits) -> np.ndarray:
    """A BIO tag a word, `(words,)`: `OUTSIDE`, `1 + 2 * type` for the first word of a span, one more inside it.

    Words of a type that is not in `types`, and words of a span that overlaps an earlier one, are `IGNORE`.
    """
    tags = np.full(len(words.start), OUTSIDE, dtype=np.int64)
    taken = np.zeros(len(words.start), dtype=bool)
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        first = int(np.searchsorted(words.end, span.start, side="right"))
        last = int(np.searchsorted(words.start, span.end, side="left"))
        if first >= last:
            continue
        key = (document, span.start, span.end, span.label)
        if words.start[first] < span.start or span.end < words.end[last - 1]:
            misfits.snapped.add(key)
        here = np.arange(first, last)
        if taken[first:last].any():
            misfits.overlapping.add(key)
            tags[here[~taken[first:last]]] = IGNORE
        elif span.label not in types:
            tags[first:last] = IGNORE
        else:
            begin = 1 + 2 * types[span.label]
            tags[first:last] = begin + 1
            # A window may open in the middle of a span: its words there are not the first.
            if not words.text[span.start : int(words.start[first])].strip():
                tags[first] = begin
        taken[first:last] = True
    return tags


def entities(path: np.ndarray) -> list[tuple[int, int, int]]:
    """`(first word, last word, type)` of each entity of a legal sequence of tags."""
    begins = np.flatnonzero(path % 2 == 1)
    if not len(begins):
        return []
    outside = np.flatnonzero(path % 2 == 1).tolist() + np.flatnonzero(path == OUTSIDE).tolist() + [len(path)]
    stops = np.sort(np.array(outside))
    ends = stops[np.searchsorted(stops, begins, side="right")]
    return [(int(first), int(stop) - 1, int(path[first] - 1) // 2) for first, stop in zip(begins, ends, strict=True)]
