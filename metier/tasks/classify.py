"""One label a text: sentiment, intent, topic."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks import scaling, tables
from metier.tasks.task import IGNORE, Encoding, Task
from metier.types import Document, Prediction, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn


class Classify(Task):
    """Chooses one of the labels. The head is a linear layer on the pooled vector, the loss cross entropy."""

    kind = "classify"
    headline_name = "accuracy"

    def __init__(self, labels: Sequence[str] = (), temperature: float = 1.0) -> None:
        super().__init__(labels, temperature)
        self.index = {label: at for at, label in enumerate(self.labels)}

    @classmethod
    def build(cls, targets: Iterable[Target]) -> Classify:
        """The labels of the training targets, sorted. Raises `DataError` when there are fewer than two."""
        counts = Counter(str(target) for target in targets)
        if not counts:
            raise DataError("No text has a label.", expected="a label column with at least two classes")
        if len(counts) == 1:
            raise DataError(
                f"There is only one class, {next(iter(counts))!r}.",
                expected="at least two classes among the training texts",
                hint="check the label column, or add texts of another class",
            )
        return cls(sorted(counts))

    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """The index of the label, shape `()`; `IGNORE` for a label that training never saw."""
        return np.array(self.index.get(str(target), IGNORE), dtype=np.int64)

    def head(self, width: int) -> nn.Module:
        """Dropout and a linear layer on the pooled vector."""
        from metier.tasks.heads import Pooled

        return Pooled(width, len(self.labels))

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """Cross entropy of `(rows, labels)` against `(rows,)`."""
        from metier.tasks.heads import cross_entropy

        return cross_entropy(logits, targets, options)

    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """The likeliest label of each document, with the calibrated probability of every label."""
        if not len(logits):
            return []
        probabilities = scaling.softmax(np.asarray(logits), self.temperature)
        best = probabilities.argmax(axis=1).tolist()
        return [
            Prediction(self.labels[at], row[at], probabilities=dict(zip(self.labels, row, strict=True)))
            for at, row in zip(best, probabilities.tolist(), strict=True)
        ]

    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Fits the temperature on held-out logits; labels that training never saw are left out."""
        if len(logits):
            known = np.array([self.index.get(str(gold), IGNORE) for gold in golds], dtype=np.int64)
            self.temperature = scaling.fit_temperature(np.stack(logits), known)

    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """Accuracy, Matthews' correlation, and precision, recall and F1 of every class that occurs, with averages."""
        names, gold, found = tables.positions([str(x) for x in golds], [str(p.label) for p in predictions], self.labels)
        counts = tables.confusion(gold, found, len(names))
        accuracy = float(tables.ratio(np.trace(counts), counts.sum()))
        return {
            "headline": {"name": "accuracy", "value": accuracy},
            "accuracy": accuracy,
            "matthews": tables.matthews(counts),
            **tables.table(names, np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)),
        }

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document: whether it is right, and 1."""
        right = [prediction.label == gold for gold, prediction in zip(golds, predictions, strict=True)]
        return np.stack([np.array(right, dtype=np.float64), np.ones(len(right))], axis=1)

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """Accuracy of `(..., 2)` sums."""
        return tables.ratio(sums[..., 0], sums[..., 1])
