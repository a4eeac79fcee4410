"""What every task can do, and the arrays that it sees of a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn

    from metier.types import Document, Prediction, Target

IGNORE = -100
"""The target of a token that has none; what `torch.nn.functional.cross_entropy` skips."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One window of a tokenised document. All arrays have the shape `(length,)`.

    `start` and `end` are the character offsets of each token in the text that it came from, `sequence` says which
    text that is (0 the text, 1 its pair, -1 a token that the tokenizer added), and `word` is true for the first token
    of each word of the text (the words of `Document.tokens` where the source has them).
    """

    document: Document
    ids: np.ndarray
    types: np.ndarray
    start: np.ndarray
    end: np.ndarray
    sequence: np.ndarray
    word: np.ndarray


class Task(ABC):
    """A kind of problem with its label set. One instance serves one head.

    Rows are windows: a long document may have several. `encode`, `inputs` and the head see rows; `merge` turns the
    rows of one document into one array of logits; `decode`, `metrics` and `statistics` see documents.
    """

    kind: ClassVar[str]
    headline_name: ClassVar[str]
    special_tokens: ClassVar[tuple[str, ...]] = ()
    """Strings that this task needs as tokens of their own."""
    per_token: ClassVar[bool] = False
    """Whether the head answers for every token (`(rows, length, labels)`) or once a row (`(rows, labels)`)."""
    smoothing: ClassVar[float] = 0.1
    """Label smoothing where the recipe names none."""
    separate: ClassVar[bool] = False
    """Whether a pair of texts enters the encoder as two rows of their own instead of one joined row.

    In a batch all first texts come before all second ones, in the same order; `merge` gets both rows of a document."""

    def __init__(self, labels: Sequence[str] = (), temperature: float = 1.0) -> None:
        self.labels = tuple(labels)
        self.temperature = temperature

    @property
    def independent(self) -> bool:
        """Whether the loss of a token depends on no other token's (false for a chain)."""
        return self.per_token

    # -- label encoding ------------------------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def build(cls, targets: Iterable[Target]) -> Task:
        """A task with the labels of the training targets. Raises `DataError` where they cannot be learned from."""

    def describe(self) -> dict[str, Any]:
        """What `tasks.restore` needs, as JSON values."""
        return {"kind": self.kind, "labels": list(self.labels), "temperature": self.temperature}

    @abstractmethod
    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """The target as numbers: shape `()` or `(labels,)` a row, or `(length,)` for a task that answers per token."""

    def inputs(self, encoding: Encoding) -> dict[str, np.ndarray]:
        """Arrays of fixed shape that the head needs beside the hidden states (`relate`: where the marks are)."""
        return {}

    def no_inputs(self) -> dict[str, np.ndarray]:
        """What `inputs` would be of a text that this head is not asked about; of any value."""
        return {}

    # -- head and loss (torch) -----------------------------------------------------------------------------------
    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """`forward(hidden (rows, length, width), mask (rows, length), pooled (rows, width), **inputs) -> logits`."""

    @abstractmethod
    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """The mean loss over the rows, a scalar.

        `options`: `label_smoothing`, `focal` (gamma), `class_weights` (labels,) or None.
        """

    def divergence(self, logits: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """How far what `others` say is from what `logits` say, >= 0, `(rows,)` or `(rows, length)`.

        By default the Kullback-Leibler divergence KL(softmax(logits) || softmax(others)) over the last axis.
        """
        from metier.tasks.heads import kullback_leibler

        return kullback_leibler(logits, others)

    def average(self, members: torch.Tensor) -> torch.Tensor:
        """What several heads say together: logits `(members, rows, ...)` to `(rows, ...)`.

        By default those of the mean probabilities over the last axis (Lakshminarayanan et al. 2017).
        """
        from metier.tasks.heads import mean_softmax

        return mean_softmax(members)

    def sureness(self, logits: torch.Tensor) -> torch.Tensor:
        """How sure logits are before any calibration, 0 to 1: `(rows, labels)` to `(rows,)`, or a token each."""
        return logits.float().softmax(-1).amax(-1)

    # -- decoding ------------------------------------------------------------------------------------------------
    def merge(self, rows: Sequence[np.ndarray], encodings: Sequence[Encoding]) -> np.ndarray:
        """The logits of one document from those of its windows: by default their mean, weighted by window length."""
        if len(rows) == 1:
            return rows[0]
        weights = np.array([len(encoding.ids) for encoding in encodings], dtype=np.float64)
        mean: np.ndarray = np.average(np.stack(rows), axis=0, weights=weights)
        return mean

    @abstractmethod
    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """A prediction a document, from its merged logits and the windows that it was cut into."""

    # -- calibration ---------------------------------------------------------------------------------------------
    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Fits `temperature` (and thresholds, where a task has them) on held-out logits. Default: nothing to fit.

        Args:
            logits: the merged logits of each held-out document.
            golds: what the head should have said.
            pieces: the windows of each document; a task that answers per token needs them.
        """

    def confidence(self, predictions: Sequence[Prediction], golds: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        """`(score, correct)`, both `(n,)`: what reliability and risk-coverage curves are drawn from."""
        score = np.array([prediction.score for prediction in predictions], dtype=np.float64)
        correct = np.array([p.label == gold for p, gold in zip(predictions, golds, strict=True)], dtype=np.float64)
        return score, correct

    # -- metrics -------------------------------------------------------------------------------------------------
    def each(
        self, golds: Sequence[Target], predictions: Sequence[Prediction]
    ) -> tuple[Sequence[Target], Sequence[Prediction]]:
        """What is right or wrong for itself: by default a document; of a `mention` head each mention."""
        return golds, predictions

    @abstractmethod
    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """Every figure of this task as JSON values, with `{"headline": {"name": ..., "value": ...}}` among them.

        `documents` are the texts, for a task that can say more with them (`tag`: the report per token).
        """

    @abstractmethod
    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Counts `(n, k)` whose sums over documents give the headline: a bootstrap is `headline(W @ statistics)`."""

    @abstractmethod
    def headline(self, sums: np.ndarray) -> np.ndarray:
        """The headline metric of each sum of statistics: `(..., k)` to `(...)`."""
