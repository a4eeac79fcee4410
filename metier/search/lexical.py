"""BM25 (Robertson & Zaragoza 2009) over postings on disk, with weights computed once (Lu 2024, `bm25s`).

`weight(t, d) = idf(t) * tf / (tf + k1 * (1 - b + b * |d| / mean |d|))`, `idf(t) = ln(1 + (n - df + 0.5) / (df + 0.5))`
(Lucene's form: never negative). A text's score is the sum over the terms of the query, each times its weight there.
Terms are 64-bit keys, sorted, so that no vocabulary is in memory. A query's word that no text has is looked for under
one slip of the keyboard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metier.search.dense import mapped
from metier.search.words import key, keys, slips, terms

K1, B = 1.2, 0.75
"""How soon a repeated term stops to count, how much length does: the values of most of the literature."""
SLIPPED = 0.7
"""What a word counts that was found under a slip."""
CANDIDATES = 8
"""Words that one misspelt word may stand for."""
BLOCK = 20_000
"""Texts that are cut into terms at a time."""
FILES = ("terms.npy", "starts.npy", "rows.npy", "weights.npy", "slips.npy", "slipped.npy", "lengths.npy")


@dataclass(frozen=True)
class Query:
    """A query as keys of terms: `(n,)` uint64, what each counts `(n,)`, and the words that may be misspelt."""

    keys: np.ndarray
    counts: np.ndarray
    words: tuple[str, ...]


def query(text: str) -> Query:
    """What a text asks for; a term that stands twice counts once."""
    found = list(dict.fromkeys(terms(text)))
    return Query(keys(found), np.ones(len(found), dtype=np.float32), tuple(found))


def idf(n: int, df: np.ndarray) -> np.ndarray:
    """How rare terms are that `df` of `n` texts have."""
    found: np.ndarray = np.log1p((n - df + 0.5) / (df + 0.5))
    return found


class Lexical:
    """Postings of some texts, read-only, memory-mapped.

    Args:
        folder: that `write` wrote its files into.
    """

    def __init__(self, folder: Path) -> None:
        arrays = [mapped(folder / name) for name in FILES]
        self.terms, self.starts, self.rows, self.weights, self.slips, self.slipped, self.lengths = arrays
        self.n = len(self.lengths)
        self.mean = float(self.lengths.mean(dtype=np.float64)) if self.n else 1.0

    def places(self, found: np.ndarray) -> np.ndarray:
        """Where keys `(n,)` stand among the terms; -1 for those that do not."""
        if not len(self.terms):
            return np.full(len(found), -1)
        at = np.minimum(np.searchsorted(self.terms, found), len(self.terms) - 1)
        return np.where(self.terms[at] == found, at, -1)

    def frequencies(self, found: np.ndarray) -> np.ndarray:
        """How many texts have each term, `(n,)`."""
        at = self.places(found)
        return np.where(at >= 0, self.starts[at + 1] - self.starts[at], 0)

    def near(self, word: str) -> np.ndarray:
        """Keys of known words one slip away from an unknown one, the rarest left out where there are many."""
        looked = keys(slips(word))
        low, high = np.searchsorted(self.slips, looked), np.searchsorted(self.slips, looked, side="right")
        found = [self.slipped[start:stop] for start, stop in zip(low, high, strict=True) if stop > start]
        if not found:
            return np.zeros(0, dtype=np.uint64)
        words = np.unique(self.terms[np.concatenate(found)])
        order = np.argsort(-self.frequencies(words), kind="stable")
        return words[order[:CANDIDATES]]

    def scores(self, asked: Query) -> np.ndarray:
        """The score of every text `(n,)`, float32."""
        found = np.zeros(self.n, dtype=np.float32)
        for at, count in zip(self.places(asked.keys).tolist(), asked.counts.tolist(), strict=True):
            if at >= 0:
                own = slice(int(self.starts[at]), int(self.starts[at + 1]))
                found[self.rows[own]] += count * self.weights[own]  # a text stands once in a list of postings
        return found


def write(folder: Path, texts: Iterable[str]) -> None:
    """Writes the postings of texts into a folder."""
    triples, lengths, words = [], [np.zeros(0, dtype=np.int32)], dict[str, None]()
    start = 0
    for block in _blocks(texts):
        counted, size = _counted(block, start, words)
        triples.append(counted)
        lengths.append(size)
        start += len(block)
    _save(folder, _joined(triples), np.concatenate(lengths), list(words))


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) >= BLOCK:
            yield block
            block = []
    if block:
        yield block


def _counted(texts: Sequence[str], start: int, words: dict[str, None]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """`((keys, rows, counts), lengths)` of texts, the first of which is row `start`; `words` learns new terms."""
    flat: list[int] = []
    lengths = np.zeros(len(texts), dtype=np.int32)
    for at, text in enumerate(texts):
        own = terms(text)
        words.update(dict.fromkeys(own))
        flat.extend(map(key, own))
        lengths[at] = len(own)
    found = np.array(flat, dtype=np.uint64)
    owner = np.repeat(np.arange(start, start + len(texts), dtype=np.int32), lengths)
    order = np.lexsort((owner, found))
    found, owner = found[order], owner[order]
    first = np.flatnonzero(np.concatenate([[True], (found[1:] != found[:-1]) | (owner[1:] != owner[:-1])]))
    first = first if len(found) else np.zeros(0, dtype=np.int64)
    return (found[first], owner[first], np.diff(np.append(first, len(found))).astype(np.float32)), lengths


def _joined(triples: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys, rows and counts of all blocks, by key and then by row."""
    if not triples:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    found, rows, counts = (np.concatenate(parts) for parts in zip(*triples, strict=True))
    order = np.argsort(found, kind="stable")  # blocks come in the order of their rows
    return found[order], rows[order], counts[order]


def _save(
    folder: Path, postings: tuple[np.ndarray, np.ndarray, np.ndarray], lengths: np.ndarray, words: list[str]
) -> None:
    found, rows, counts = postings
    known, starts = np.unique(found, return_index=True)
    starts = np.append(starts, len(found)).astype(np.int64)
    rare = idf(len(lengths), np.diff(starts)).astype(np.float32)
    mean = float(lengths.mean()) if len(lengths) else 1.0
    damp = (K1 * (1 - B + B * lengths / max(mean, 1e-9))).astype(np.float32)
    weights = np.repeat(rare, np.diff(starts)) * counts / (counts + damp[rows])
    left, origin = _deletions(words, known)
    arrays = (known, starts, rows, weights.astype(np.float32), left, origin, lengths)
    for name, array in zip(FILES, arrays, strict=True):
        np.save(folder / name, array, allow_pickle=False)


def _deletions(words: Sequence[str], known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys of what is left of each word without a letter, sorted `(n,)`, and the places of the words `(n,)`."""
    left: list[int] = []
    counts = np.zeros(len(words), dtype=np.int64)
    for at, word in enumerate(words):
        own = slips(word)
        left.extend(key.__wrapped__(item) for item in own)  # each once: a cache would only grow
        counts[at] = len(own)
    origin = np.repeat(np.searchsorted(known, keys(words)).astype(np.int32), counts)
    found = np.array(left, dtype=np.uint64)
    order = np.argsort(found, kind="stable")
    return found[order], origin[order]


class Additions:
    """Postings of texts that came since the base was written, in memory, scored as if the base had counted them.

    Args:
        base: whose numbers of texts and lengths count, too.
    """

    def __init__(self, base: Lexical) -> None:
        self.base = base
        self._postings: dict[int, dict[int, int]] = {}
        self._lengths: dict[int, int] = {}
        self._terms: dict[int, list[int]] = {}
        self._slips: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, slot: int, text: str) -> None:
        """A text under a number of its own, which must be new."""
        own = terms(text)
        self._lengths[slot], self._terms[slot] = len(own), [key(term) for term in own]
        for term, known in zip(own, self._terms[slot], strict=True):
            if known not in self._postings:
                for item in slips(term):
                    self._slips.setdefault(key(item), set()).add(known)
            postings = self._postings.setdefault(known, {})
            postings[slot] = postings.get(slot, 0) + 1

    def remove(self, slot: int) -> None:
        """Forgets the text under a number."""
        for known in set(self._terms.pop(slot)):
            self._postings[known].pop(slot)
        del self._lengths[slot]

    def near(self, word: str) -> set[int]:
        """As `Lexical.near`, among these texts."""
        found: set[int] = set().union(*(self._slips.get(key(item), set()) for item in slips(word)))
        return {known for known in found if self._postings.get(known)}

    def frequencies(self, found: np.ndarray) -> np.ndarray:
        """As `Lexical.frequencies`."""
        return np.array([len(self._postings.get(known, ())) for known in found.tolist()], dtype=np.int64)

    def scores(self, asked: Query) -> dict[int, float]:
        """The score of each text that has a term of the query, by its number."""
        found: dict[int, float] = {}
        n = self.base.n + len(self)
        rare = idf(n, self.base.frequencies(asked.keys) + self.frequencies(asked.keys))
        for known, weight in zip(asked.keys.tolist(), (rare * asked.counts).tolist(), strict=True):
            for slot, count in self._postings.get(known, {}).items():
                damp = K1 * (1 - B + B * self._lengths[slot] / max(self.base.mean, 1e-9))
                found[slot] = found.get(slot, 0.0) + weight * count / (count + damp)
        return found


def spelled(asked: Query, base: Lexical, additions: Additions | None = None) -> tuple[Query, float]:
    """A query in which a word that no text has stands for known ones that are one slip away, and its best score.

    No text scores more than that: the sum of the rarity of all terms, found or not. A share of it says how much of a
    query a text explains, and so compares queries (Bruch, Gai & Ingber 2023 call it the theoretical maximum).
    """
    n = base.n + (0 if additions is None else len(additions))
    near: dict[int, None] = {}
    rare = idf(n, _frequencies(asked.keys, base, additions))
    best = rare * asked.counts
    for at in np.flatnonzero(rare >= idf(n, np.zeros(1))[0]).tolist():
        found = [*base.near(asked.words[at]).tolist(), *(() if additions is None else additions.near(asked.words[at]))]
        if found:
            near.update(dict.fromkeys(found))
            df = _frequencies(np.array(found, dtype=np.uint64), base, additions)
            best[at] = SLIPPED * float(idf(n, df).max())
    known = set(asked.keys.tolist())
    extra = [item for item in near if item not in known]
    found_keys = np.concatenate([asked.keys, np.array(extra, dtype=np.uint64)])
    counts = np.concatenate([asked.counts, np.full(len(extra), SLIPPED, dtype=np.float32)])
    return Query(found_keys, counts, asked.words), float(best.sum())


def _frequencies(found: np.ndarray, base: Lexical, additions: Additions | None) -> np.ndarray:
    own = base.frequencies(found)
    return own if additions is None else own + additions.frequencies(found)
