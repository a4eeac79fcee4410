"""Texts as vectors whose angle says how alike they are: learned from pairs, used for search and matching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks import scaling
from metier.tasks.correlation import moments, numbers, pearson, ranks
from metier.tasks.task import Encoding, Task
from metier.types import Document, Prediction, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn


class Embed(Task):
    """Moves the pooled vectors of texts that belong together towards each other.

    The target of a pair is its similarity between 0 and `maximum`. Pairs of different similarity are learned by their
    order (CoSENT; Su 2022). Where every training pair has the same target, all belong together, and each text has to
    find its partner among those of the batch (multiple negatives; Henderson et al. 2017).

    `Prediction.label` is the cosine of a pair, or the unit vector of a single text, a tuple of floats.
    `Prediction.score` is 1 for a vector. For a pair it is the probability that the pair lies on that side of half of
    `maximum` which the cosine says: a logistic curve over the cosine, `slope` and `middle`, fitted on held-out pairs
    (Platt 1999).
    """

    kind = "embed"
    headline_name = "Spearman"
    separate = True

    def __init__(
        self,
        labels: Sequence[str] = (),
        temperature: float = 1.0,
        maximum: float = 1.0,
        graded: bool = True,
        slope: float = 10.0,
        middle: float = 0.5,
    ) -> None:
        super().__init__(labels, temperature)
        self.maximum, self.graded = float(maximum), graded
        self.slope, self.middle = float(slope), float(middle)

    @classmethod
    def build(cls, targets: Iterable[Target]) -> Embed:
        """The scale of the similarities. Raises `DataError` when there is no pair or a similarity is negative."""
        values = numbers(list(targets))
        if not len(values):
            raise DataError("There is no pair to learn from.", expected="two columns of texts")
        known = values[np.isfinite(values)]
        if len(known) and known.min() < 0:
            raise DataError(f"A similarity is {known.min():g}.", expected="numbers from 0 (unlike) upwards")
        if len(known) and known.max() == 0:
            raise DataError("No pair is alike: every similarity is 0.", expected="pairs that belong together, too")
        graded = len(np.unique(known)) > 1
        return cls(maximum=float(known.max()) if len(known) else 1.0, graded=graded)

    def describe(self) -> dict[str, Any]:
        """As `Task.describe`, with the scale of the similarities and the curve of the score."""
        scale = {"maximum": self.maximum, "graded": self.graded}
        return {**super().describe(), **scale, "slope": self.slope, "middle": self.middle}

    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """The similarity between 0 and 1, shape `()`; a pair without a number belongs together."""
        value = numbers([target])[0] / self.maximum
        return np.array(value if np.isfinite(value) else 1.0, dtype=np.float32)

    def head(self, width: int) -> nn.Module:
        """The pooled vector as it is, so that nothing but the encoder is needed to embed a text."""
        from metier.tasks.heads import Same

        return Same()

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """The loss of a batch of pairs: `(2 * pairs, width)`, first texts before second ones, `targets` alike."""
        from metier.tasks.heads import cosent, multiple_negatives

        first, second = logits.float().chunk(2)
        if self.graded:
            return cosent(first, second, targets[: len(first)])
        return multiple_negatives(first, second)

    def divergence(self, logits: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """One minus the cosine of the two vectors of a row."""
        from torch.nn import functional

        return 1.0 - functional.cosine_similarity(logits.float(), others.float(), dim=-1)

    def average(self, members: torch.Tensor) -> torch.Tensor:
        """The mean of the unit vectors: fitted from the same weights, the members' spaces are nearly one."""
        from torch.nn import functional

        return functional.normalize(members.float(), dim=-1).mean(0)

    def merge(self, rows: Sequence[np.ndarray], encodings: Sequence[Encoding]) -> np.ndarray:
        """Both vectors of a pair, `(2, width)`, or that of a single text, `(1, width)`."""
        return np.stack(rows)

    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """The cosine of each pair, the unit vector of each single text."""
        units = [_unit(vectors) for vectors in logits]
        return [
            self._pair(float(unit[0] @ unit[1])) if len(unit) == 2 else Prediction(tuple(unit[0].tolist()), 1.0)
            for unit in units
        ]

    def _pair(self, cosine: float) -> Prediction:
        alike = float(self._alike(np.array(cosine)))
        return Prediction(cosine, max(alike, 1.0 - alike))

    def _alike(self, cosines: np.ndarray) -> np.ndarray:
        """The probability that a pair has at least half of the maximum."""
        return scaling.sigmoid(self.slope * (cosines - self.middle))

    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Fits the logistic curve of the score, where the held-out pairs are of both sides."""
        cosines = np.array([unit[0] @ unit[1] for unit in map(_unit, logits) if len(unit) == 2])
        if len(cosines) == len(golds) and len(cosines):
            alike = numbers(golds) >= self.maximum / 2
            if 0 < alike.sum() < len(alike):
                self.slope, self.middle = scaling.fit_logistic(cosines, alike)

    def confidence(self, predictions: Sequence[Prediction], golds: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        """As `Task.confidence`: right is a pair on the side of half of the maximum that its cosine says."""
        score = np.array([prediction.score for prediction in predictions], dtype=np.float64)
        said = self._alike(numbers([p.label for p in predictions])) >= 0.5
        return score, (said == (numbers(golds) >= self.maximum / 2)).astype(np.float64)

    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """Spearman and Pearson correlation of cosine and gold similarity."""
        gold, found = numbers(golds), numbers([p.label for p in predictions])
        value = float(self.headline(self.statistics(golds, predictions).sum(axis=0)))
        return {
            "headline": {"name": self.headline_name, "value": value},
            "spearman": value,
            "pearson": float(pearson(moments(gold, found).sum(axis=0))),
            "support": len(gold),
        }

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document: the six moments of the ranks of gold and cosine.

        Ranks are those in the whole sample; a bootstrap resamples them as they are, and does not rank each sample anew.
        """
        gold, found = numbers(golds), numbers([p.label for p in predictions])
        return moments(ranks(gold), ranks(found))

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """Spearman's correlation of `(..., 6)` sums over ranks."""
        return pearson(sums)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, `(1 or 2, width)`; a row of zeros stays."""
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit
