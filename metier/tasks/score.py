"""A number a text: a grade, a price move, how positive a review is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks.correlation import moments, numbers, pearson, ranks
from metier.tasks.task import Encoding, Task
from metier.types import Document, Prediction, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn

GROUP = 50
"""Held-out texts that one estimate of the confidence rests on, at least."""
GROUPS = 10


class Score(Task):
    """Regression: targets are standardised with the mean and standard deviation of the training targets.

    `Prediction.score` is the probability that the error is smaller than one standard deviation of the training
    targets. It is read off held-out texts with similar predictions (`edges` cut the range of predictions into groups of
    equal size, `hits` are the shares within reach).
    """

    kind = "score"
    headline_name = "Pearson"

    def __init__(
        self,
        labels: Sequence[str] = (),
        temperature: float = 1.0,
        mean: float = 0.0,
        sd: float = 1.0,
        edges: Sequence[float] = (),
        hits: Sequence[float] = (0.68,),
    ) -> None:
        super().__init__(labels, temperature)
        self.mean, self.sd = float(mean), float(sd)
        self.edges, self.hits = np.array(edges, dtype=np.float64), np.array(hits, dtype=np.float64)

    @classmethod
    def build(cls, targets: Iterable[Target]) -> Score:
        """Mean and standard deviation of the training targets. Raises `DataError` when they are all the same."""
        values = numbers(list(targets))
        values = values[np.isfinite(values)]
        if not len(values):
            raise DataError("No text has a number.", expected="a column of numbers")
        if values.std() <= 1e-12 * max(1.0, float(np.abs(values).max())):
            raise DataError(f"Every target is {values[0]:g}.", expected="numbers that differ", hint="check the column")
        return cls(mean=float(values.mean()), sd=float(values.std()))

    def describe(self) -> dict[str, Any]:
        """As `Task.describe`, with the scale of the targets and the confidence by prediction."""
        scale = {"mean": self.mean, "sd": self.sd}
        return {**super().describe(), **scale, "edges": self.edges.tolist(), "hits": self.hits.tolist()}

    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """The standardised target, shape `()`."""
        return np.array((numbers([target])[0] - self.mean) / self.sd, dtype=np.float32)

    def head(self, width: int) -> nn.Module:
        """Dropout and a linear layer with one output on the pooled vector."""
        from metier.tasks.heads import Pooled

        return Pooled(width, 1)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """The mean squared error of `(rows, 1)` against standardised `(rows,)`."""
        from torch.nn import functional

        return functional.mse_loss(logits.float().squeeze(-1), targets.float())

    def divergence(self, logits: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """The squared difference, in the unit of the loss."""
        return (logits.float() - others.float()).square().squeeze(-1)

    def average(self, members: torch.Tensor) -> torch.Tensor:
        """The mean number."""
        return members.float().mean(0)

    def sureness(self, logits: torch.Tensor) -> torch.Tensor:
        """1: a number says nothing of how sure it is."""
        return logits.new_ones(logits.shape[:-1])

    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """The number of each document, in the unit of the targets."""
        values = self._values(logits)
        scores = self.hits[np.searchsorted(self.edges, values, side="right")]
        return [Prediction(value, score) for value, score in zip(values.tolist(), scores.tolist(), strict=True)]

    def _values(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        standardised = np.array([row[0] for row in logits], dtype=np.float64)
        values: np.ndarray = self.mean + self.sd * standardised
        return values

    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Measures, by groups of similar predictions, how often the error stays under one standard deviation."""
        if not len(logits):
            return
        values = self._values(logits)
        near = np.abs(values - numbers(golds)) < self.sd
        count = int(np.clip(len(values) // GROUP, 1, GROUPS))
        edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)[1:-1])) if count > 1 else np.zeros(0)
        group = np.searchsorted(edges, values, side="right")
        size = np.bincount(group, minlength=len(edges) + 1)
        right = np.bincount(group, weights=near, minlength=len(edges) + 1)
        # The rule of succession (Laplace) keeps a small group from certainty.
        self.edges, self.hits = edges, (right + 1.0) / (size + 2.0)

    def confidence(self, predictions: Sequence[Prediction], golds: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        """As `Task.confidence`: right is an error under one standard deviation of the training targets."""
        score = np.array([prediction.score for prediction in predictions], dtype=np.float64)
        error = np.abs(numbers([p.label for p in predictions]) - numbers(golds))
        return score, (error < self.sd).astype(np.float64)

    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """Pearson and Spearman correlation, root mean squared and mean absolute error."""
        gold, found = numbers(golds), numbers([p.label for p in predictions])
        value = float(pearson(moments(gold, found).sum(axis=0)))
        error = found - gold if len(gold) else np.zeros(1)
        return {
            "headline": {"name": self.headline_name, "value": value},
            "pearson": value,
            "spearman": float(pearson(moments(ranks(gold), ranks(found)).sum(axis=0))),
            "rmse": float(np.sqrt((error**2).mean())),
            "mae": float(np.abs(error).mean()),
            "support": len(gold),
        }

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document: the six moments of gold and prediction."""
        return moments(numbers(golds), numbers([p.label for p in predictions]))

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """Pearson's correlation of `(..., 6)` sums."""
        return pearson(sums)
