"""Any number of labels a text: the topics of a news item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks import scaling, tables, thresholds
from metier.tasks.task import Encoding, Task
from metier.types import Document, Prediction, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn


def names_of(target: Any) -> tuple[str, ...]:
    """The labels of a target, each once; a single string is one label."""
    return (target,) if isinstance(target, str) else tuple(dict.fromkeys(str(name) for name in target))


class Multilabel(Task):
    """Says yes or no to every label. The head is a linear layer on the pooled vector, the loss binary cross entropy.

    The score of a prediction is the probability that the whole set is right: the product over the labels of the
    probability of each decision, raised to the power `certainty`, which is fitted on held-out data because the
    decisions are not independent.
    """

    kind = "multilabel"
    headline_name = "micro-F1"
    smoothing = 0.0  # of 120 labels with one in a hundred true, 5 % for each would be far from any probability

    def __init__(
        self,
        labels: Sequence[str] = (),
        temperature: float = 1.0,
        thresholds: Sequence[float] = (),
        certainty: float = 1.0,
    ) -> None:
        super().__init__(labels, temperature)
        self.index = {label: at for at, label in enumerate(self.labels)}
        self.thresholds = np.array(thresholds or [0.5] * len(self.labels), dtype=np.float64)
        self.certainty = certainty

    @classmethod
    def build(cls, targets: Iterable[Target]) -> Multilabel:
        """The labels of the training targets, sorted. Raises `DataError` when no text has any."""
        labels = {name for target in targets for name in names_of(target)}
        if not labels:
            raise DataError("No text has a label.", expected="a column of labels, such as a list or 'oil|gas'")
        return cls(sorted(labels))

    def describe(self) -> dict[str, Any]:
        """As `Task.describe`, with the thresholds and the exponent of the score."""
        return {**super().describe(), "thresholds": self.thresholds.tolist(), "certainty": self.certainty}

    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """One number a label, `(labels,)`: 1 where it applies. Labels that training never saw are left out."""
        row: np.ndarray = self.chosen([target])[0].astype(np.float32)
        return row

    def chosen(self, targets: Sequence[Any]) -> np.ndarray:
        """Which known labels apply, `(n, labels)`, booleans."""
        matrix = np.zeros((len(targets), len(self.labels)), dtype=bool)
        for at, target in enumerate(targets):
            matrix[at, [self.index[name] for name in names_of(target) if name in self.index]] = True
        return matrix

    def head(self, width: int) -> nn.Module:
        """Dropout and a linear layer on the pooled vector."""
        from metier.tasks.heads import Pooled

        return Pooled(width, len(self.labels))

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """Binary cross entropy, the mean over rows and labels; `class_weights` weigh the positives of each label."""
        from metier.tasks.heads import binary_cross_entropy

        return binary_cross_entropy(logits, targets, options)

    def divergence(self, logits: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """The mean Kullback-Leibler divergence of the labels, each a yes or a no."""
        from metier.tasks.heads import bernoulli_divergence

        return bernoulli_divergence(logits, others)

    def average(self, members: torch.Tensor) -> torch.Tensor:
        """As `Task.average`, of each label's own probability."""
        from metier.tasks.heads import mean_sigmoid

        return mean_sigmoid(members)

    def sureness(self, logits: torch.Tensor) -> torch.Tensor:
        """As `Task.sureness`: the mean over the labels."""
        yes = logits.float().sigmoid()
        return yes.maximum(1.0 - yes).mean(-1)

    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """The labels whose probability reaches their threshold, in the order of `labels`."""
        if not len(logits):
            return []
        probabilities = scaling.sigmoid(np.asarray(logits), self.temperature)
        chosen = probabilities >= self.thresholds
        scores = np.exp(self.certainty * self.log_scores(probabilities))
        return [
            Prediction(
                tuple(self.labels[at] for at in np.flatnonzero(yes)),
                score,
                probabilities=dict(zip(self.labels, row, strict=True)),
            )
            for yes, score, row in zip(chosen, scores.tolist(), probabilities.tolist(), strict=True)
        ]

    def log_scores(self, probabilities: np.ndarray) -> np.ndarray:
        """The logarithm of the probability that the chosen set is right, `(n,)`, were the labels independent."""
        decided = np.where(probabilities >= self.thresholds, probabilities, 1.0 - probabilities)
        total: np.ndarray = np.log(np.maximum(decided, 1e-12)).sum(axis=1)
        return total

    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Fits one temperature for all labels, then the thresholds, then the exponent of the score."""
        if not len(logits):
            return
        stacked, wanted = np.stack(logits), self.chosen(golds)
        # A sigmoid is a softmax over the logit and 0.
        two = np.stack([np.zeros(stacked.size), stacked.ravel()], axis=1)
        self.temperature = scaling.fit_temperature(two, wanted.ravel().astype(np.int64))
        probabilities = scaling.sigmoid(stacked, self.temperature)
        self.thresholds = thresholds.tune(probabilities, wanted)
        self.certainty = scaling.fit_exponent(
            self.log_scores(probabilities), self.confidence(self.decode(logits, pieces), golds)[1]
        )

    def confidence(self, predictions: Sequence[Prediction], golds: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        """As `Task.confidence`: right is the whole set, in any order."""
        score = np.array([prediction.score for prediction in predictions], dtype=np.float64)
        right = [set(p.label) == set(names_of(gold)) for p, gold in zip(predictions, golds, strict=True)]
        return score, np.array(right, dtype=np.float64)

    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """Micro, macro, weighted and per-text F1, exact match and Hamming loss, over the labels that occur."""
        gold, found = [set(names_of(x)) for x in golds], [set(p.label) for p in predictions]
        seen = set().union(*gold, *found)
        names = [label for label in self.labels if label in seen] + sorted(seen.difference(self.labels))
        index = {name: at for at, name in enumerate(names)}
        hits, answers, support = np.zeros((3, len(names)))
        for wanted, said in zip(gold, found, strict=True):
            for counts, part in ((hits, wanted & said), (answers, said), (support, wanted)):
                counts[[index[name] for name in part]] += 1
        each = self.statistics(golds, predictions)
        texts = np.stack(
            [tables.ratio(each[:, 0], each[:, 1]), tables.ratio(each[:, 0], each[:, 2]), self.headline(each)]
        )
        value = float(self.headline(each.sum(axis=0)))
        wrong = (each[:, 1] + each[:, 2] - 2 * each[:, 0]).sum()
        return {
            "headline": {"name": self.headline_name, "value": value},
            "exact match": float(self.confidence(predictions, golds)[1].mean()) if len(gold) else 0.0,
            "hamming loss": float(tables.ratio(wrong, len(gold) * len(names))),
            **tables.table(names, hits, answers, support),
            "samples avg": tables.row(texts.mean(axis=1) if len(gold) else np.zeros(3), support.sum()),
        }

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document: labels rightly given, labels given, labels that it has."""
        return tables.overlaps([set(names_of(gold)) for gold in golds], [set(p.label) for p in predictions])

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """Micro-F1 of `(..., 3)` sums."""
        return tables.f1_of(sums[..., 0], sums[..., 1], sums[..., 2])
