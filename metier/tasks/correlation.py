"""Correlations from sums that add up over documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from metier.tasks.tables import ratio


def moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Per document `1, x, y, x*x, y*y, x*y`: `(n, 6)`. Both are centred first, for the sake of rounding."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x):
        x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def pearson(sums: np.ndarray) -> np.ndarray:
    """The correlation of each sum of moments, `(..., 6)` to `(...)`; 0 where one side is constant."""
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    spread = np.maximum(n * xx - x * x, 0.0) * np.maximum(n * yy - y * y, 0.0)
    # What rounding leaves of a constant is no spread.
    spread = np.where(spread > 1e-20 * (n * xx) * (n * yy), spread, 0.0)
    correlation: np.ndarray = np.clip(ratio(n * xy - x * y, np.sqrt(spread)), -1.0, 1.0)
    return correlation


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    shared: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    return shared


def numbers(targets: Iterable[Any]) -> np.ndarray:
    """Targets as an array `(n,)` of floats."""
    return np.array([float(target) for target in targets], dtype=np.float64)
