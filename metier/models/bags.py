"""Texts as bags: which rows of one table of vectors a text is the mean of. NumPy only: what fits and what serves agree.

A row of the table is a token of the vocabulary or a bucket of pairs of neighbouring tokens (Joulin et al. 2017), which
keep something of the order of words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BREAK = -1
"""An id that stands for no token: what is before it and what is behind it are no neighbours."""
SPREAD, MIXED = 0x9E3779B1, 15
"""The golden ratio of 32 bits (Knuth's multiplicative hashing), and how far the upper bits are folded in."""


@dataclass(frozen=True)
class Bags:
    """How token ids become rows of the table.

    Args:
        vocabulary: tokens; bucket `b` is row `vocabulary + b`.
        buckets: for pairs of tokens; 0: none.
        skip: ids that are no part of a text (those that a tokenizer puts around it); they are breaks.
    """

    vocabulary: int
    buckets: int
    skip: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Of the table."""
        return self.vocabulary + self.buckets

    def __call__(self, ids: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of texts, and where each text's begin.

        Args:
            ids: of all tokens of all texts, `(tokens,)`.
            bounds: text `i` is `ids[bounds[i]:bounds[i + 1]]`, `(texts + 1,)`.

        Returns:
            `(rows,)`, int32, and the bounds of the texts in them, `(texts + 1,)`, int64.
        """
        ids = ids.astype(np.int64, copy=False)
        real = ids != BREAK
        for one in self.skip:
            real &= ids != one
        if not self.buckets or not len(ids):
            return ids[real].astype(np.int32), _moved(bounds, real)
        found = np.full((len(ids), 2), BREAK, dtype=np.int64)
        found[real, 0] = ids[real]
        close = real[:-1] & real[1:]
        inner = bounds[1:-1]
        close[inner[(inner > 0) & (inner < len(ids))] - 1] = False  # the last token of a text and the next one's first
        found[:-1, 1][close] = self.vocabulary + self._bucket(ids[:-1][close], ids[1:][close])
        kept = found != BREAK
        return found[kept].astype(np.int32), _moved(bounds, kept.sum(axis=1))

    def _bucket(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        mixed = (first + 1) * SPREAD + second
        bucket: np.ndarray = (mixed ^ (mixed >> MIXED)) % self.buckets
        return bucket


def _moved(bounds: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Bounds among tokens as bounds among the rows that these became."""
    moved: np.ndarray = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])[bounds]
    return moved
