"""How sure an answer is: from what a search brought to the probability that it is right, measured on the knowledge
itself.

Every question of the knowledge is asked in other words (one that stands beside it, or itself with words lost and
letters mistyped), once with its answer there and once with it taken away, for a bot must know both what is right and
when nothing is. A logistic regression over the features (Cox 1958; regularised, features standardised) learns which
matches were right; its scores are checked on folds that it was not fitted on. What is of one entry stays in one fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

FEATURES = 7
FOLDS = 5
STRENGTH = 1.0
"""Of the penalty: the inverse of scikit-learn's C."""
FEW = 20
"""Right and wrong matches that a fit needs; with fewer of either the prior of the house stands."""
HOUSE = ((-5.6, 0.0), (6.5, 1.5, 1.8, 1.2, 1.5, 2.0, -2.0))
"""The prior: bias (and nothing), weights of the features as they are. It says a half at a cosine of about 0.7."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: the threshold, the share of messages answered, the share of these that is right."""

    threshold: float
    answered: float
    right: float


@dataclass(frozen=True, slots=True)
class Sure:
    """A logistic regression over standardised features.

    Args:
        weights: `(features,)`.
        bias: in log odds.
        mean, scale: of the features, `(features,)`.
        threshold: the score from which an answer is given.
        curve: what other thresholds would do.
        rows: matches that it was fitted on; 0: the prior of the house.
    """

    weights: tuple[float, ...] = HOUSE[1]
    bias: float = HOUSE[0][0]
    mean: tuple[float, ...] = (0.0,) * FEATURES
    scale: tuple[float, ...] = (1.0,) * FEATURES
    threshold: float = 0.5
    curve: tuple[Point, ...] = ()
    rows: int = 0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The probability that each match is right, `(rows,)`, of features `(rows, features)`."""
        plain = (np.asarray(features, dtype=np.float64) - self.mean) / self.scale
        return np.asarray(1 / (1 + np.exp(-np.clip(plain @ np.asarray(self.weights) + self.bias, -30, 30))))

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "weights": list(self.weights), "bias": self.bias, "mean": list(self.mean), "scale": list(self.scale),
            "threshold": self.threshold, "rows": self.rows,
            "curve": [[one.threshold, one.answered, one.right] for one in self.curve],
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Sure:
        """What `describe` gave."""
        tuples = {name: tuple(kept[name]) for name in ("weights", "mean", "scale")}
        curve = tuple(Point(*one) for one in kept["curve"])
        return cls(**tuples, bias=kept["bias"], threshold=kept["threshold"], curve=curve, rows=kept["rows"])


@dataclass(frozen=True, slots=True)
class Trial:
    """A question that was asked of the knowledge: the features of every match, which of them is right (none: its answer
    was taken away), and the entry that it is of."""

    features: Sequence[Sequence[float]]
    right: int | None
    group: str


def fitted(trials: Sequence[Trial], wanted: float) -> Sure:
    """The regression of these trials, with the threshold at which the share `wanted` of the answers given is right.

    Where too few trials are there, the prior of the house from a half on, and the curve of what there is.
    """
    kept = [trial for trial in trials if len(trial.features)]
    rows = np.array([row for trial in kept for row in trial.features], dtype=np.float64).reshape(-1, FEATURES)
    labels = np.array([at == trial.right for trial in kept for at in range(len(trial.features))])
    groups = [trial.group for trial in kept]
    if min(labels.sum(), (~labels).sum(), len(set(groups)) * FEW / FOLDS) < FEW:
        measured = _placed(Sure(), [_best(Sure(), trial) for trial in kept], wanted)
        return replace(measured, threshold=Sure().threshold)
    folds = {group: at % FOLDS for at, group in enumerate(sorted(set(groups)))}
    owners = np.array([folds[trial.group] for trial in kept for _ in trial.features])
    judged: list[tuple[float, bool] | None] = [None] * len(kept)
    for fold in range(FOLDS):
        other = _regression(rows[owners != fold], labels[owners != fold])
        for at, trial in enumerate(kept):
            if folds[trial.group] == fold:
                judged[at] = _best(other, trial)
    return _placed(_regression(rows, labels), [one for one in judged if one is not None], wanted)


def _regression(rows: np.ndarray, labels: np.ndarray) -> Sure:
    from sklearn.linear_model import LogisticRegression

    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < 1e-9] = 1.0
    model = LogisticRegression(C=1 / STRENGTH, max_iter=1000).fit((rows - mean) / scale, labels)
    weights, bias = model.coef_[0], float(model.intercept_[0])
    return Sure(tuple(weights.tolist()), bias, tuple(mean.tolist()), tuple(scale.tolist()), rows=len(rows))


def _best(sure: Sure, trial: Trial) -> tuple[float, bool]:
    """The score of the surest match of a trial, and whether it is right."""
    scores = sure(np.asarray(trial.features))
    best = int(scores.argmax())
    return float(scores[best]), best == trial.right


def _placed(sure: Sure, judged: Sequence[tuple[float, bool]], wanted: float) -> Sure:
    """With the lowest threshold from which on the wanted share is right, and the curve."""
    order = sorted(judged, key=lambda one: -one[0])
    points, right = [], 0
    for count, (score, good) in enumerate(order, 1):
        right += good
        if count == len(order) or order[count][0] < score:
            points.append(Point(score, count / len(order), right / count))
    good_ones = [point for point in points if point.right >= wanted]
    threshold = good_ones[-1].threshold if good_ones else max([0.9, *(point.threshold for point in points)])
    step = max(len(points) // 50, 1)
    return replace(sure, threshold=threshold, curve=tuple(points[::step]))
