"""Which rows go into which batch: indices only, no tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

POOL = 64
"""Batches' worth of rows that are sorted by length together: large enough that padding all but vanishes."""


def shuffled(lengths: np.ndarray, *, size: int, tokens: int, seed: int) -> list[np.ndarray]:
    """Batches of one epoch, in random order, of rows with nearly equal lengths.

    Rows are shuffled, sorted by length inside pools of `POOL * size` rows, cut into batches, and the batches are
    shuffled. The order depends on `seed` alone, so an epoch can be laid out again when training resumes.

    Args:
        lengths: tokens of each row, `(rows,)`.
        size: rows a batch at most.
        tokens: padded tokens a batch at most; a single row may exceed it.
        seed: names the epoch.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), POOL * size):
        pool = order[start : start + POOL * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches.extend(_cut(pool, lengths, size, tokens))
    return [batches[index] for index in rng.permutation(len(batches))]


def by_length(lengths: np.ndarray, *, size: int, tokens: int) -> list[np.ndarray]:
    """Batches for prediction: every row once, longest first, so that the peak of memory comes at the start."""
    order = np.argsort(lengths, kind="stable")
    return list(_cut(order, lengths, size, tokens))[::-1]


def _cut(order: np.ndarray, lengths: np.ndarray, size: int, tokens: int) -> Iterator[np.ndarray]:
    """Consecutive stretches of `order` (ascending in length) within both limits."""
    start = 0
    for stop in range(1, len(order) + 1):
        full = stop - start >= size
        over = stop < len(order) and (stop - start + 1) * int(lengths[order[stop]]) > tokens
        if full or over or stop == len(order):
            yield order[start:stop]
            start = stop
