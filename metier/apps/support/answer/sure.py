"""How sure an answer is: from what a search brought to the probability that it is right, measured on the knowledge
itself.

Every question of the knowledge is asked in other words (one that stands beside it, or itself with words lost and
letters mistyped), once with its answer there and once with it taken away, for a bot must know both what is right and
when nothing is. A logistic regression over the features (Cox 1958; features standardised) learns which matches were
right, near to a prior; its scores are checked on folds that it was not fitted on. What is of one entry stays in one
fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

FEATURES = 7
FOLDS = 5
STRENGTH = 10.0
"""Of the penalty on the distance to the prior."""
STEPS = 100
FEW = 10
"""Entries that a threshold needs; with fewer the prior of the house stands."""
HOUSE = ((-6.0, 0.0), (6.5, 1.5, 1.8, 1.2, 1.5, 2.0, -2.0))
"""The prior: bias (and nothing), weights of the features as they are. The weights are set by hand. The bias is
the highest, by halves, with which nine answers of ten are right from a half on, on questions of Banking77's training
part (`benchmarks/support_prior.py`; on its test part 90 % are). A regression over three data sets was worse."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: what answering from a threshold on does.

    Args:
        threshold: of the score.
        answered: the share of all messages that is answered.
        right: of these the share that is right.
        kept: of the messages whose answer is known the share that is answered right (in-scope accuracy).
        refused: of those whose answer is not the share that is not answered (out-of-scope recall).
    """

    threshold: float
    answered: float
    right: float
    kept: float
    refused: float


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
            "curve": [list(astuple(one)) for one in self.curve],
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Sure:
        """What `describe` gave."""
        tuples = {name: tuple(kept[name]) for name in ("weights", "mean", "scale")}
        curve = tuple(Point(*one) for one in kept["curve"])
        return cls(**tuples, bias=kept["bias"], threshold=kept["threshold"], curve=curve, rows=kept["rows"])


@dataclass(frozen=True, slots=True)
class Trial:
    """A question that was asked of the knowledge.

    Args:
        features: of every match.
        right: which of them is right; none: none is.
        group: the entry that it is of.
        known: whether the knowledge had its answer.
    """

    features: Sequence[Sequence[float]]
    right: int | None
    group: str
    known: bool = True


Judged = tuple[float, bool, bool]
"""Of a trial the score of its surest match, whether that is right, whether the answer was known."""


def fitted(trials: Sequence[Trial], wanted: float) -> Sure:
    """The regression of these trials, with the threshold at which the share `wanted` of the answers given is right.

    It stays near the prior of the house, the nearer the fewer trials there are. Where they are too few for a threshold,
    answers are given from the prior's own on; the curve is that of what there is.
    """
    kept = [trial for trial in trials if len(trial.features)]
    rows = np.array([row for trial in kept for row in trial.features], dtype=np.float64).reshape(-1, FEATURES)
    labels = np.array([at == trial.right for trial in kept for at in range(len(trial.features))], dtype=bool)
    folds = {group: at % FOLDS for at, group in enumerate(sorted({trial.group for trial in kept}))}
    if len(folds) < FEW:
        return replace(_placed(Sure(), [_best(Sure(), trial) for trial in kept], wanted), threshold=Sure().threshold)
    owners = np.array([folds[trial.group] for trial in kept for _ in trial.features])
    others = [regression(rows[owners != fold], labels[owners != fold], Sure()) for fold in range(FOLDS)]
    judged = [_best(others[folds[trial.group]], trial) for trial in kept]
    return _placed(regression(rows, labels, Sure()), judged, wanted)


def regression(
    rows: np.ndarray, labels: np.ndarray, prior: Sure, *, strength: float = STRENGTH, share: np.ndarray | None = None
) -> Sure:
    """The weights nearest to these matches and to a prior, a Gaussian one whose mean is not nought, by Newton's method.

    `argmin_w  sum_i s_i log(1 + exp(-y_i w.x_i)) + strength / 2 |w - prior|^2`, `x` standardised, with a one behind.

    Args:
        rows: features `(matches, features)`.
        labels: whether each match is right, `(matches,)`.
        prior: what stands where there are no matches.
        strength: of the penalty on the distance to it.
        share: `s`, what each match weighs, `(matches,)`; none: 1.
    """
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < 1e-9] = 1.0
    plain = np.column_stack([(rows - mean) / scale, np.ones(len(rows))])
    raw = np.asarray(prior.weights) / prior.scale
    start = np.append(raw * scale, prior.bias + raw @ (mean - prior.mean))
    found, weigh = start.copy(), np.ones(len(rows)) if share is None else share
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(plain @ found, -30, 30)))
        slope = plain.T @ (weigh * (chance - labels)) + strength * (found - start)
        curved = (plain.T * (weigh * chance * (1 - chance))) @ plain + strength * np.eye(len(found))
        step = np.linalg.solve(curved, slope)
        found -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return Sure(tuple(found[:-1].tolist()), float(found[-1]), tuple(mean.tolist()), tuple(scale.tolist()),
                rows=len(rows))  # fmt: skip


def _best(sure: Sure, trial: Trial) -> Judged:
    scores = sure(np.asarray(trial.features))
    best = int(scores.argmax())
    return float(scores[best]), best == trial.right, trial.known


def _placed(sure: Sure, judged: Sequence[Judged], wanted: float) -> Sure:
    """With the lowest threshold from which on the wanted share is right, a half at least, and the curve."""
    order = sorted(judged, key=lambda one: -one[0])
    inside = sum(known for _, _, known in judged)
    points, right, strange = [], 0, 0
    for count, (score, good, known) in enumerate(order, 1):
        right, strange = right + good, strange + (not known)
        if count == len(order) or order[count][0] < score:
            refused = 1 - strange / max(len(order) - inside, 1)
            points.append(Point(score, count / len(order), right / count, right / max(inside, 1), refused))
    good_ones = [point for point in points if point.right >= wanted]
    # Many sure answers leave room for some that are more probably wrong than right: nobody is helped by these.
    threshold = max(0.5, good_ones[-1].threshold) if good_ones else max([0.9, *(point.threshold for point in points)])
    step = max(len(points) // 50, 1)
    return replace(sure, threshold=threshold, curve=tuple(points[::step]))
