"""Lexical and dense scores as one, and a second look at the best.

`fused = SHARE * lexical / best possible lexical + (1 - SHARE) * max(cosine, 0)`: a convex combination of scores that
are normalised by what they could be at most (Bruch, Gai & Ingber 2023). Chosen on one half of MedQuAD's questions
against reciprocal rank fusion (Cormack, Clarke & Buettcher 2009), which is here to compare with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

SHARE = 0.6
"""What the words count; the rest is the vector's."""
RRF = 60
"""The constant of reciprocal rank fusion, the authors'."""
DEPTH = 100
"""Texts that each search hands on."""
Rerank = Callable[[str, Sequence[str]], Sequence[float]]
"""A query and texts to a score of each text, 0 to 1."""


def fused(lexical: np.ndarray, best: float, cosines: np.ndarray | None, share: float = SHARE) -> np.ndarray:
    """The score `(n,)` of texts from 0 to 1.

    Args:
        lexical: `(n,)`.
        best: what a text could score at most.
        cosines: `(n,)`; None where the query has no vector: then the words count alone.
        share: of the words.
    """
    words: np.ndarray = np.clip(lexical / max(best, 1e-9), 0.0, 1.0)
    if cosines is None:
        return words
    near: np.ndarray = np.clip(cosines, 0.0, 1.0)
    return share * words + (1.0 - share) * near if best > 0.0 else near


def reciprocal(rankings: Sequence[np.ndarray], n: int, constant: int = RRF) -> np.ndarray:
    """Reciprocal rank fusion: `sum 1 / (constant + rank)`, ranks from 1, over rankings, each of rows best first.

    Returns:
        `(n,)`: of each row; 0 where no ranking has it.
    """
    found = np.zeros(n, dtype=np.float32)
    for ranking in rankings:
        found[ranking] += 1.0 / (constant + 1.0 + np.arange(len(ranking)))
    return found


def reranked(
    query: str,
    texts: Sequence[str],
    scores: np.ndarray,
    rerank: Rerank,
    *,
    weight: float,
    seconds: float,
    batch: int = 8,
) -> np.ndarray:
    """Scores `(n,)`, best first, of which the first ones were looked at again, as many as the time allows.

    Args:
        query: as asked.
        texts: `(n,)`, best first.
        scores: of the search.
        rerank: the second look; each batch of texts is one call.
        weight: what it counts against the search.
        seconds: no batch begins after these.
        batch: texts of a call.
    """
    found, end = np.array(scores, dtype=np.float32), time.monotonic() + seconds
    for start in range(0, len(texts), batch):
        if time.monotonic() >= end:
            break
        rows = slice(start, start + batch)
        again = np.asarray(rerank(query, texts[rows]), dtype=np.float32)
        found[rows] = (1.0 - weight) * found[rows] + weight * again
    return found
