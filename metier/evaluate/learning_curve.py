"""What more labels would buy: a power law through the scores that fits on parts of the data reached.

The error of a learner falls with the number of its examples as `a + b * n ** -c` (Cortes et al. 1993; for deep
networks Hestness et al. 2017). Three points do not determine three numbers: every exponent between bounds is tried,
each with the best `a` and `b` that are not negative, and all of them answer together, each as loudly as it fits
(Bayesian model averaging over a grid). The interval then says how little is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = np.geomspace(0.05, 1.0, 25)
"""Between nearly flat and the 1/n of a learner whose model is right."""
TYPICAL, SPREAD = 0.35, 0.6
"""The exponent that is expected before anything was seen, and the deviation of its logarithm."""
NOISE = 0.005
"""The deviation between two fits that differ by their seed alone; a curve is not trusted beyond it."""
DRAWS = 200


@dataclass(frozen=True, slots=True)
class Point:
    """A score (1 is perfect) reached with `rows` training texts, `deviation` its standard error."""

    rows: float
    score: float
    deviation: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The score that is expected with `rows` training texts, and an interval around it."""

    rows: float
    score: float
    low: float
    high: float


def forecast(points: Sequence[Point], rows: Sequence[float], *, level: float = 0.95, seed: int = 0) -> list[Forecast]:
    """Where the curve through some points goes.

    Args:
        points: at least one. With one alone the typical exponent speaks for itself.
        rows: the numbers of training texts that are asked about.
        level: the share of the draws that each interval holds: the points are moved by their deviations, and every
            draw takes one exponent, as likely as it fits.

    Raises:
        ValueError: without a point.
    """
    if not points:
        raise ValueError("a learning curve needs a point")
    generator = np.random.default_rng(seed)
    sizes = np.array([point.rows for point in points], dtype=np.float64)
    errors = 1.0 - np.array([point.score for point in points], dtype=np.float64)
    deviations = np.hypot([point.deviation for point in points], NOISE)
    moved = errors + deviations * generator.standard_normal((DRAWS, len(errors)))
    unit = float(sizes.max())
    wanted = np.asarray(rows, dtype=np.float64) / unit
    curves, chances = _curves(sizes / unit, np.vstack([errors, moved]), deviations, wanted)
    middle = 1.0 - chances[0] @ curves[0]
    chosen = (np.cumsum(chances[1:], axis=1) < generator.random((DRAWS, 1))).sum(axis=1).clip(max=len(EXPONENTS) - 1)
    drawn = 1.0 - curves[1:][np.arange(DRAWS), chosen]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [
        Forecast(float(n), float(value), float(min(a, value)), float(min(max(b, value), 1.0)))
        for n, value, a, b in zip(rows, middle, low, high, strict=True)
    ]


def _curves(
    sizes: np.ndarray, errors: np.ndarray, deviations: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where curves through `errors` `(draws, points)` go under every exponent, and how likely each exponent is.

    Returns:
        The errors at `wanted`, `(draws, exponents, wanted)`, and the chances, `(draws, exponents)`.
    """
    floor, slope, misfit = _lines(sizes ** -EXPONENTS[:, None], errors, deviations)
    found = floor[..., None] + slope[..., None] * wanted ** -EXPONENTS[:, None]
    logged = -0.5 * misfit - 0.5 * (np.log(EXPONENTS / TYPICAL) / SPREAD) ** 2
    chances = np.exp(logged - logged.max(axis=1, keepdims=True))
    return found, chances / chances.sum(axis=1, keepdims=True)


def _lines(x: np.ndarray, errors: np.ndarray, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`a, b >= 0` that minimise `sum(((a + b x - errors) / deviations) ** 2)`, and that minimum.

    Where the free minimum has a negative part, one of the two is nought in the bounded one. A single point says nothing
    of `a`: it is taken for half of the error, between a perfect task and one that has nothing more to give.

    Args:
        x: `(exponents, points)`.
        errors: `(draws, points)`.
        deviations: `(points,)`.

    Returns:
        Three arrays `(draws, exponents)`.
    """
    weight = deviations**-2.0
    if x.shape[1] == 1:
        half = np.maximum(0.0, 0.5 * errors) * np.ones((1, len(x)))
        return half, half / x[:, 0], np.zeros_like(half)
    mean_x, mean_error = np.average(x, axis=1, weights=weight), np.average(errors, axis=1, weights=weight)[:, None]
    centred = (x - mean_x[:, None]) * weight
    slope = (errors - mean_error) @ centred.T / np.sum(centred * (x - mean_x[:, None]), axis=1)
    floor = mean_error - slope * mean_x
    through_nought = np.maximum(0.0, errors @ (x * weight).T / np.sum(weight * x * x, axis=1))
    floor, slope = np.where(floor < 0, 0.0, floor), np.where(floor < 0, through_nought, slope)
    floor, slope = np.where(slope < 0, np.maximum(0.0, mean_error), floor), np.maximum(0.0, slope)
    gaps = floor[..., None] + slope[..., None] * x - errors[:, None]
    return floor, slope, np.sum(weight * gaps**2, axis=-1)
