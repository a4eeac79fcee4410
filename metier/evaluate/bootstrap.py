"""How far a figure would move on another sample of the same size: the bootstrap over additive statistics.

A resample of `n` documents is a vector of how often each was drawn, so every resampled headline is
`headline(weights @ statistics)`. Documents with equal statistics are interchangeable: they are counted once and drawn
together, which leaves the distribution exactly as it was and makes an accuracy over a million rows cost two columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Headline = Callable[[np.ndarray], np.ndarray]
"""The metric of each sum of statistics: `(..., k)` to `(...)`."""

_CELLS = 2_000_000
"""Weights drawn at a time (16 MB), whatever the number of resamples and rows."""


def interval(
    statistics: np.ndarray, headline: Headline, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap interval of a headline metric (Efron, 1979).

    Args:
        statistics: `(n, k)` per-document counts whose sums determine the headline.
        headline: the metric of each sum, `(..., k)` to `(...)`.
        resamples: how many samples of `n` documents are drawn, with replacement.
        level: the share of the resampled values that the interval holds.

    Returns:
        `(low, high)`, both NaN where there are no documents or the headline is undefined for every resample.
    """
    drawn = [headline(sums) for sums in _resampled(statistics, resamples, seed)]
    return _quantiles(np.concatenate(drawn) if drawn else np.empty(0), level)


def paired(
    statistics_a: np.ndarray,
    statistics_b: np.ndarray,
    headline: Headline,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Whether system A beats system B on the same documents: the paired bootstrap (Koehn, 2004).

    Both systems are judged on the same resamples. The p-value is two-sided: the share of resamples whose difference
    strays from the observed one at least as far as that strays from nought (Berg-Kirkpatrick et al., 2012), with the
    observed sample counted as one of them (Davison & Hinkley, 1997), so that it is never 0.

    Args:
        statistics_a, statistics_b: `(n, k)`, row `i` of both about the same document.

    Returns:
        `{"difference": A - B, "interval": [low, high], "p_value": p, "resamples": resamples}`.

    Raises:
        ValueError: if the two do not have the same shape.
    """
    if statistics_a.shape != statistics_b.shape:
        raise ValueError(f"paired statistics differ in shape: {statistics_a.shape} and {statistics_b.shape}")
    k = statistics_a.shape[1]

    def difference(sums: np.ndarray) -> np.ndarray:
        return np.asarray(headline(sums[..., :k]) - headline(sums[..., k:]))

    both = np.hstack([statistics_a, statistics_b])
    drawn = [difference(sums) for sums in _resampled(both, resamples, seed)]
    values = np.concatenate(drawn) if drawn else np.empty(0)
    observed = float(difference(both.sum(axis=0, dtype=np.float64))) if len(both) else float("nan")
    return {
        "difference": observed,
        "interval": list(_quantiles(values, level)),
        "p_value": _p_value(values, observed),
        "resamples": resamples,
    }


def _resampled(statistics: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Sums of statistics, `(chunk, k)` at a time, of `resamples` samples drawn with replacement."""
    n = len(statistics)
    if not n:
        return
    rows, counts = np.unique(np.asarray(statistics, dtype=np.float64), axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS // len(rows))
    for start in range(0, resamples, chunk):
        weights = generator.multinomial(n, counts / n, size=min(chunk, resamples - start))
        yield weights.astype(np.float64) @ rows


def _quantiles(values: np.ndarray, level: float) -> tuple[float, float]:
    defined = values[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _p_value(values: np.ndarray, observed: float) -> float:
    defined = values[np.isfinite(values)]
    if not len(defined) or not np.isfinite(observed):
        return float("nan")
    # The tolerance keeps resamples that equal the bound but for rounding on the cautious side.
    extreme = np.count_nonzero(np.abs(defined - observed) >= abs(observed) - 1e-12)
    return float((extreme + 1) / (len(defined) + 1))
