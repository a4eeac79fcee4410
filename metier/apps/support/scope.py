"""What the run's intents do not cover: how far outside of all of them a message lies, and from where on it is refused.

Learned from the vectors and calibrated probabilities of the questions of the knowledge, and, where the company has
them, of questions that nobody here answers (`metier.evaluate.outside`). The threshold is a point on the measured curve
of in-scope accuracy against out-of-scope recall; the operator says how much of the former may be given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metier.evaluate.outside import FEWEST, Outside
from metier.evaluate.refusal import Curve, Point
from metier.evaluate.signals import Answers
from metier.model import Model
from metier.types import Document

BLOCK = 512
"""Questions that go through the run at a time."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a run says of some questions: vectors and calibrated probabilities, and whether its label is right."""

    answers: Answers
    right: np.ndarray


@dataclass(frozen=True, slots=True)
class Scope:
    """How far outside of all intents a message lies.

    Args:
        outside: what was learned of the intents.
        threshold: the score above which a message is refused.
        curve: what thresholds do, measured; none where it was read from a folder.
    """

    outside: Outside
    threshold: float
    curve: Curve | None = None

    @classmethod
    def fit(cls, known: Said, labels: Sequence[str], held_out: Said, strange: Said | None, given_up: float) -> Scope:
        """From questions in scope, and from some that nobody here answers.

        Args:
            known: questions that the run was fitted on; `labels`, their intents.
            held_out: questions in scope that it was not fitted on.
            strange: questions out of scope. One half teaches, the other one draws the curve.
            given_up: the share of all questions in scope whose right answer may be lost to refusals.

        Raises:
            DataError: where the questions are too few.
        """
        taught = drawn = None
        if strange is not None and len(strange.right) >= 2 * FEWEST:
            even = np.arange(len(strange.right)) % 2 == 0
            taught, drawn = strange.answers.rows(even), strange.answers.rows(~even)
        elif strange is not None:
            drawn = strange.answers
        outside = Outside.fit(known.answers.vectors, labels, held_out.answers, taught)
        inside = outside.score(held_out.answers.vectors, held_out.answers.probabilities)
        beyond = np.zeros(0) if drawn is None else outside.score(drawn.vectors, drawn.probabilities)
        curve = Curve(inside, held_out.right, beyond)
        point = curve.at(max(float(held_out.right.mean()) - given_up, 0.0))
        return cls(outside, point.threshold, curve)

    @classmethod
    def load(cls, folder: Path, told: Mapping[str, Any]) -> Scope:
        """What `save` wrote, with what `describe` told. Raises `RunError` where it is damaged."""
        return cls(Outside.load(folder), float(told["threshold"]))

    def save(self, folder: Path) -> None:
        """Writes what was learned into a folder."""
        self.outside.save(folder)

    @property
    def point(self) -> Point | None:
        """What the threshold does, as it was measured."""
        return None if self.curve is None else self.curve.point(self.threshold)

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        measured = (
            {} if self.curve is None or self.point is None else {**self.point.describe(), **self.curve.describe()}
        )
        return {**measured, "threshold": self.threshold}

    def __call__(self, vector: np.ndarray, probabilities: Sequence[float]) -> float:
        """How far outside a message lies, 0 to 1, one half at the threshold.

        Args:
            vector: `(width,)`, that of the run.
            probabilities: calibrated, `(intents,)`.
        """
        score = float(self.outside.score(vector[None], np.asarray([probabilities]))[0])
        if score <= self.threshold:
            return 0.5 * score / max(self.threshold, 1e-9)
        return 0.5 + 0.5 * (score - self.threshold) / max(1.0 - self.threshold, 1e-9)


def said(model: Model, head: str, texts: Sequence[str], intents: Sequence[str] = ()) -> Said | None:
    """What a run says of questions; none where it has no vectors to give.

    Args:
        model: the run; `head`, which of its heads tells intents.
        texts: masked.
        intents: the right ones; empty: there are none.
    """
    blocks = [model.runtime.understand([Document(text) for text in texts[at : at + BLOCK]])
              for at in range(0, len(texts), BLOCK)]  # fmt: skip
    vectors = [vector for _, found in blocks for vector in found if vector is not None]
    answers = [row[head] for rows, _ in blocks for row in rows]
    if len(vectors) < len(texts) or not texts:
        return None
    shares = np.array([list(one.probabilities.values()) for one in answers])
    wanted = intents or [""] * len(texts)
    right = np.array([one.label == intent for one, intent in zip(answers, wanted, strict=True)])
    return Said(Answers(np.stack(vectors), shares), right)


def learned(
    model: Model, head: str, rows: Sequence[Mapping[str, str]], strange: Sequence[str], given_up: float
) -> Scope | None:
    """The scope of the questions of a knowledge; none where they are too few, or the run gives no vectors.

    Args:
        model: the run; `head`, which of its heads tells intents.
        rows: `text`, `intent`, and `split`: `train` where the run was fitted on it.
        strange: questions that nobody here answers.
        given_up: the share of all questions in scope whose right answer may be lost to refusals.
    """
    own = [row for row in rows if row["intent"] in set(model.heads[head].labels)]
    fitted = [row for row in own if row["split"] == "train"]
    held = [row for row in own if row["split"] != "train"]
    labels = [row["intent"] for row in fitted]
    if len(held) < FEWEST or len(set(labels)) < 2:
        return None
    known = said(model, head, [row["text"] for row in fitted], labels)
    held_out = said(model, head, [row["text"] for row in held], [row["intent"] for row in held])
    if known is None or held_out is None:
        return None
    return Scope.fit(known, labels, held_out, said(model, head, strange), given_up)
