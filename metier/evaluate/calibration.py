"""Whether a score means what it says, and what abstaining buys.

Everything works on two arrays of the shape `(n,)`: `score`, the probability that the model gave its own answer, and
`correct`, 1 where that answer was right (a share between 0 and 1 where a task counts in parts).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Binning = Literal["mass", "width"]
"""`mass`: every bin holds the same number of examples; `width`: every bin covers the same range of scores."""

BINS = 15
"""Guo et al. (2017) use 15."""
DRAWN = 10
"""Points of a diagram: fewer than the error is counted with, so that each is steady enough to look at."""
STEADY = 20
"""Examples that a bin needs: the accuracy of fewer is mostly luck, and luck counts as error (Roelofs et al., 2022)."""


def bins_for(examples: int, most: int = BINS) -> int:
    """How many bins that many examples fill steadily, `most` at most."""
    return max(1, min(most, examples // STEADY))


def reliability(
    score: np.ndarray, correct: np.ndarray, *, bins: int | None = None, binning: Binning = "mass"
) -> list[dict[str, float]]:
    """The points of a reliability diagram, lowest scores first, empty bins left out.

    Args:
        bins: by default as many as the examples fill, 15 at most.

    Returns:
        One `{"low", "high", "confidence", "accuracy", "count"}` a bin; `confidence` is the mean score.
    """
    score, correct = _checked(score, correct)
    bins = bins or bins_for(len(score))
    order = np.argsort(score, kind="stable")
    if binning == "mass":
        parts = np.array_split(order, min(bins, max(len(order), 1)))
    else:
        edges = np.searchsorted(score[order], np.linspace(0, 1, bins + 1)[1:-1], side="right")
        parts = np.split(order, edges)
    return [
        {
            "low": float(score[part].min()),
            "high": float(score[part].max()),
            "confidence": float(score[part].mean()),
            "accuracy": float(correct[part].mean()),
            "count": len(part),
        }
        for part in parts
        if len(part)
    ]


def ece(score: np.ndarray, correct: np.ndarray, *, bins: int | None = None, binning: Binning = "mass") -> float:
    """Expected calibration error: the mean distance between score and accuracy over bins (Guo et al., 2017).

    The bins hold equal shares of the examples unless `binning="width"`: the scores of a fitted encoder crowd at the
    upper end, where bins of equal width would be one bin (Nixon et al., 2019). NaN where there are no examples.
    """
    points = reliability(score, correct, bins=bins, binning=binning)
    total = sum(point["count"] for point in points)
    gaps = sum(point["count"] * abs(point["confidence"] - point["accuracy"]) for point in points)
    return gaps / total if total else float("nan")


def brier(score: np.ndarray, correct: np.ndarray) -> float:
    """Mean squared distance between the score of the answer and whether it was right (Brier, 1950). 0 is perfect."""
    score, correct = _checked(score, correct)
    return float(np.mean((score - correct) ** 2)) if len(score) else float("nan")


def risk_coverage(score: np.ndarray, correct: np.ndarray, *, points: int = 60) -> dict[str, list[float]]:
    """The share of wrong answers among the surest, for every share that is answered (Geifman & El-Yaniv, 2017).

    Returns:
        `{"floor", "coverage", "risk"}`, at most `points` values each, from the surest example to all of them;
        examples of equal score are taken together, since no floor could part them.
    """
    score, correct = _checked(score, correct)
    if not len(score):
        return {"floor": [], "coverage": [], "risk": []}
    floors, taken, wrong = _by_floor(score, correct)
    kept = np.unique(np.searchsorted(taken, np.linspace(taken[0], taken[-1], points)))
    coverage, risk = taken[kept] / len(score), wrong[kept] / taken[kept]
    return {"floor": floors[kept].tolist(), "coverage": coverage.tolist(), "risk": risk.tolist()}


def aurc(score: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: the mean risk over all `n` coverages (Geifman & El-Yaniv, 2017).

    Within a group of equal scores the order is unknown; the risk expected of a random order is taken.
    """
    score, correct = _checked(score, correct)
    if not len(score):
        return float("nan")
    _, taken, wrong = _by_floor(score, correct)
    rank = np.arange(1, len(score) + 1)
    expected = np.interp(rank, np.concatenate([[0], taken]), np.concatenate([[0.0], wrong]))
    return float(np.mean(expected / rank))


def floor_for(accuracy: float, score: np.ndarray, correct: np.ndarray) -> dict[str, float] | None:
    """The lowest floor at which the answers that are left reach a wished accuracy, or `None` where none does.

    A prediction is kept where `score >= floor`.

    Returns:
        `{"floor", "coverage", "accuracy"}`: what is kept at that floor, and how much of it is right.
    """
    score, correct = _checked(score, correct)
    if not len(score):
        return None
    floors, taken, wrong = _by_floor(score, correct)
    reached = np.flatnonzero(1 - wrong / taken >= accuracy - 1e-12)
    if not len(reached):
        return None
    last = reached[-1]
    # A floor that keeps everything is no floor: 0 says so, and still does on scores that were never seen.
    floor = 0.0 if taken[last] == len(score) else float(floors[last])
    return {
        "floor": floor,
        "coverage": float(taken[last] / len(score)),
        "accuracy": float(1 - wrong[last] / taken[last]),
    }


def summary(score: np.ndarray, correct: np.ndarray, *, wished: tuple[float, ...] = (0.9, 0.95, 0.99)) -> dict[str, Any]:
    """All of the above as JSON values; `floors` holds one entry for each wished accuracy that can be reached."""
    floors = [{"wished": wish, **found} for wish in wished if (found := floor_for(wish, score, correct))]
    return {
        "ece": ece(score, correct),
        "binning": "equal mass",
        "bins": bins_for(len(score)),
        "brier": brier(score, correct),
        "aurc": aurc(score, correct),
        "reliability": reliability(score, correct, bins=bins_for(len(score), DRAWN)),
        "risk_coverage": risk_coverage(score, correct),
        "floors": floors,
    }


def _by_floor(score: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each distinct score, highest first: the score, how many are kept at it, how many of them are wrong."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return ranked[last], last + 1, np.cumsum(1 - correct[order])[last]


def _checked(score: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if score.shape != correct.shape or score.ndim != 1:
        raise ValueError(f"score {score.shape} and correct {correct.shape} must be (n,)")
    return np.asarray(score, dtype=np.float64), np.asarray(correct, dtype=np.float64)
