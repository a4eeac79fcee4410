"""What refusing costs and what it catches, for every threshold: a curve on which an operator picks a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from metier.errors import DataError
from metier.evaluate import charts
from metier.evaluate.charts import Axis, Series
from metier.evaluate.signals import auroc

LOOKS = tuple(f"head{at}" for at in range(6))


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold: a text is refused where its score lies above it.

    `in_scope_accuracy`: of all texts that belong to a class, the share that is answered and answered right.
    `out_of_scope_recall`: of all texts that belong to none, the share that is refused. NaN where there were none.
    """

    threshold: float
    in_scope_accuracy: float
    out_of_scope_recall: float

    def describe(self) -> dict[str, float | None]:
        """As JSON values."""
        return {key: None if np.isnan(value) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Curve:
    """In-scope accuracy against out-of-scope recall over all thresholds, as Larson et al. (2019) define the two.

    Both are shares of *all* texts of their kind. A text in scope counts as right only if it is let through and its
    label is right, so every refusal of one costs; refusing cannot raise this accuracy, as it would that of the texts
    that are answered.

    Args:
        inside: scores `(n,)` of texts in scope.
        right: `(n,)`, whether the label that was said is theirs.
        outside: scores `(m,)` of texts out of scope; may be empty.
    """

    inside: np.ndarray
    right: np.ndarray
    outside: np.ndarray

    def __post_init__(self) -> None:
        if self.inside.shape != self.right.shape or self.inside.ndim != 1 or self.outside.ndim != 1:
            raise ValueError(f"inside {self.inside.shape}, right {self.right.shape}, outside {self.outside.shape}")
        if not len(self.inside):
            raise DataError("There is no text in scope to draw a curve of.", expected="held-out texts with labels")

    @property
    def auroc(self) -> float:
        """The chance that a text out of scope scores above one in scope."""
        return auroc(self.inside, self.outside)

    def point(self, threshold: float) -> Point:
        """What a threshold does."""
        told = self.right.astype(bool) & (self.inside <= threshold)
        recall = float((self.outside > threshold).mean()) if len(self.outside) else float("nan")
        return Point(float(threshold), float(told.mean()), recall)

    def at(self, in_scope_accuracy: float = 0.94, *, sure: float = 0.0) -> Point:
        """The threshold that refuses most and still reaches an in-scope accuracy.

        Args:
            in_scope_accuracy: the wish, a share.
            sure: by how many standard errors the accuracy that is measured here must lie above the wish, so that other
                texts reach it too: 0 promises it for these texts alone (other texts miss it every second time), 1.64
                for others in 19 cases of 20 (the lower end of the interval of Wilson 1927).

        Raises:
            DataError: where not even the threshold that refuses nothing reaches it.
        """
        order = np.argsort(self.inside, kind="stable")
        scores = self.inside[order]
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
        right = np.cumsum(self.right[order].astype(bool))[last] / len(scores)
        reached = np.flatnonzero(lower(right, len(scores), sure) >= in_scope_accuracy - 1e-12)
        if not len(reached):
            raise DataError(
                f"An in-scope accuracy of {in_scope_accuracy:.1%} is out of reach: refusing none, {right[-1]:.1%} "
                f"of the {len(scores)} texts in scope get the right label.",
                hint="a lower wish, or a better fit",
            )
        return self.point(float(scores[last[reached[0]]]))

    def table(self, points: int = 60) -> list[Point]:
        """At most so many points, from refusing all to refusing nothing."""
        scores = np.unique(np.concatenate([self.inside, self.outside]))
        chosen = np.unique(np.linspace(0, len(scores) - 1, points).round().astype(int))
        return [self.point(float(score)) for score in scores[chosen]]

    def describe(self, points: int = 60) -> dict[str, Any]:
        """As JSON values."""
        return {
            "in_scope": len(self.inside),
            "out_of_scope": len(self.outside),
            "in_scope_accuracy_without_refusal": float(self.right.mean()),
            "auroc": self.auroc if len(self.outside) else None,
            "curve": [point.describe() for point in self.table(points)],
        }


def lower(share: np.ndarray, count: int, errors: float) -> np.ndarray:
    """The lower end of Wilson's (1927) interval of a share of `count`, `errors` standard errors wide on this side."""
    z = errors**2 / count
    found: np.ndarray = (share + z / 2 - np.sqrt(z * share * (1 - share) + z**2 / 4)) / (1 + z)
    return found


def picture(curves: Mapping[str, Curve], picked: Sequence[Point] = (), *, title: str) -> Markup:
    """Out-of-scope recall over in-scope accuracy, a line a curve, with picked points as dots."""
    series = []
    for look, curve in zip(LOOKS, curves.values(), strict=False):
        points = curve.table(200)
        series.append(Series([(p.in_scope_accuracy, p.out_of_scope_recall) for p in points], look))
    series += [Series([(p.in_scope_accuracy, p.out_of_scope_recall)], "own") for p in picked]
    x = Axis("In-scope accuracy", 0.0, 1.0, percent=True)
    y = Axis("Out-of-scope recall", 0.0, 1.0, percent=True)
    return charts.lines(series, x, y, title=title)
