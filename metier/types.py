"""The values that travel through the house: texts in, predictions out. Frozen, free of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import uuid4

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Document:
    """One text, or a pair of texts, with an id and whatever else its source knew of it.

    `tokens` are the character offsets `(start, end)` of the words of `text`, where the source has them (CoNLL).
    `mentions` are those of the names in `text` that a `mention` head is asked about; `None`: nobody said which.
    """

    text: str
    pair: str | None = None
    id: str = ""
    tokens: tuple[tuple[int, int], ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    mentions: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of `Document.text`: characters `start` (inclusive) to `end` (exclusive).

    `score` is the calibrated probability of `label`, and `probabilities`, of a `mention` head, that of every label.
    """

    start: int
    end: int
    label: str
    text: str = field(default="", compare=False)
    score: float = field(default=1.0, compare=False)
    probabilities: Mapping[str, float] = field(default_factory=lambda: NOTHING, compare=False)


Target = str | float | tuple[str, ...] | tuple[Span, ...]
"""What a head should say: a label (`classify`, `relate`), several (`multilabel`), spans (`tag`, `mention`), or a
number."""


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


VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        "right": "what was shown is right (a true alarm)",
        "wrong": "it is wrong (a false alarm); what would be right is not said",
        "corrected": "it is wrong, and `correction` says what is right",
        "missed": "nothing was shown where something belonged, which `correction` names",
        "answered": "a person answered instead, and `correction` is the answer",
        "clicked": "what was offered was taken",
        "dismissed": "what was offered was put away",
        "unsure": "somebody looked and could not tell",
        "noted": "nothing is judged: there is a comment",
    }
)
"""What can come back of a prediction that was shown."""
WITH_CORRECTION = frozenset({"corrected", "missed", "answered"})


def new_id() -> str:
    """A fresh id: 32 hexadecimal digits."""
    return uuid4().hex


@dataclass(frozen=True, slots=True)
class Interaction:
    """A prediction that was shown, and what came back.

    Args:
        app: the application that showed it (`monitor`).
        kind: what the prediction is of: `document`, `story`, `alert`, `mention`, `series`, ...
        subject: the id of that.
        verdict: one of `VERDICTS`.
        who: the name of the person (or key) that it came from.
        at: when it came, seconds since 1970, UTC.
        head: the head that is judged; empty where none is.
        prediction: what was shown, as JSON has it.
        correction: what is right, as JSON has it; where the verdict says so and only there.
        shown: when the prediction was shown, seconds since 1970; `None` where that is not known.
        version: of the run that said it.
        comment: in the person's words.
        id: the same interaction sent twice is kept once.

    The store refuses one whose verdict there is not, or whose correction is missing or has no place.
    """

    app: str
    kind: str
    subject: str
    verdict: str
    who: str
    at: float
    head: str = ""
    prediction: Any = None
    correction: Any = None
    shown: float | None = None
    version: str = ""
    comment: str = ""
    id: str = field(default_factory=new_id)
