"""The values that travel through the house: texts in, predictions out. Frozen, free of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Document:
    """One text, or a pair of texts, with an id and whatever else its source knew of it.

    `tokens` are the character offsets `(start, end)` of the words of `text`, where the source has them (CoNLL).
    """

    text: str
    pair: str | None = None
    id: str = ""
    tokens: tuple[tuple[int, int], ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of `Document.text`: characters `start` (inclusive) to `end` (exclusive)."""

    start: int
    end: int
    label: str
    text: str = field(default="", compare=False)
    score: float = field(default=1.0, compare=False)


Target = str | float | tuple[str, ...] | tuple[Span, ...]
"""What a head should say: a label (`classify`, `relate`), several (`multilabel`), spans (`tag`), a number."""


@dataclass(frozen=True, slots=True)
class Example:
    """A document with its targets, one a head; a head that is absent from `targets` has no label here."""

    document: Document
    targets: Mapping[str, Target]
    split: str | None = None
    """`train`, `valid`, `test`, or `None` where the data does not say."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one head says of one document.

    `label` has the type of the task's `Target` (for `embed`: the similarity of a pair, or the vector of a lone text).
    `score` is the calibrated probability of `label`; `abstain` says that it lies under the operator's floor.
    """

    label: Any
    score: float
    abstain: bool = False
    probabilities: Mapping[str, float] = field(default_factory=lambda: NOTHING)
