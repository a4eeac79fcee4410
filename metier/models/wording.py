"""What a language model is asked: a text in a template that ends, or has a gap, where the label goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from metier.errors import RecipeError
from metier.recipe import Recipe

GENERATOR = {
    "en": ("Which of these labels fits the text? {labels}", "Text: {text}\nLabel: {label}"),
    "zh": ("以下哪个标签适合这段文字？{labels}", "文字：{text}\n标签：{label}"),
}
"""An instruction that comes first, and the template of every text after it, by language."""
MASKED = {"en": "{text} It is {label}.", "zh": "{text}这是{label}。"}
NOTHING = "N/A"
"""A text that says nothing (Zhao et al. 2021)."""


@dataclass(frozen=True)
class Wording:
    """How one head is put to a language model.

    `words` are what its labels are called, in their order; `instruction` comes before everything else.
    """

    template: str
    labels: tuple[str, ...]
    words: tuple[str, ...]
    instruction: str = ""

    def __post_init__(self) -> None:
        for gap in ("{text}", "{label}"):
            if self.template.count(gap) != 1:
                raise RecipeError(
                    f"The template {self.template!r} has {self.template.count(gap)} times {gap}.",
                    expected="a sentence with {text} and {label}, each once",
                )

    @property
    def pieces(self) -> tuple[str, str, str]:
        """What stands before the first gap, between both and after the second."""
        gaps = ("{text}", "{label}") if self.text_first else ("{label}", "{text}")
        before, _, rest = self.template.partition(gaps[0])
        between, _, after = rest.partition(gaps[1])
        return before, between, after

    @property
    def text_first(self) -> bool:
        """Whether the text stands before the label."""
        return self.template.index("{text}") < self.template.index("{label}")

    def shown(self, text: str, label: int) -> str:
        """An example with its label."""
        before, between, after = self.pieces
        first, second = (text, self.words[label]) if self.text_first else (self.words[label], text)
        return before + first + between + second + after

    def describe(self) -> dict[str, Any]:
        """What the constructor needs, as JSON values."""
        return asdict(self)

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Wording:
        """From what `describe` returned."""
        return cls(saved["template"], tuple(saved["labels"]), tuple(saved["words"]), saved["instruction"])


def worded(recipe: Recipe, called: Mapping[str, str], how: str, language: str) -> Wording:
    """The recipe's template or ours, with what labels are `called`. Raises `RecipeError` for a template that is none.

    Args:
        recipe: its `prompt.templates` are for all heads.
        called: the labels of a head, in their order, in words.
        how: `masked`, or a generator's way.
        language: of our templates, `en` or `zh`.
    """
    own, words = recipe.prompt.templates, tuple(called.values())
    if len(own) > 1:
        raise RecipeError(f"prompt.templates has {len(own)} sentences.", expected="one for a language model")
    if how == "masked":
        return Wording(own[0] if own else MASKED[language], tuple(called), words)
    instruction, template = GENERATOR[language]
    found = Wording(own[0] if own else template, tuple(called), words, instruction.format(labels=", ".join(words)))
    if not found.text_first:
        raise RecipeError(
            f"In the template {found.template!r} the label stands before the text.",
            expected="{text} before {label}: a generator goes on where the text ends",
        )
    return found


Shot = tuple[str, int]
"""A text and the index of its label."""


@dataclass(frozen=True)
class Question:
    """A text to label, after some examples, the most telling one last."""

    text: str
    shots: tuple[Shot, ...] = field(default=())


class Scorer(Protocol):
    """Whatever says how probable each label is."""

    def score(self, wording: Wording, questions: Sequence[Question]) -> np.ndarray:
        """Logarithms of probabilities, `(questions, labels)`; a row of zeros where there is no answer."""

    def measured(self, found: np.ndarray) -> np.ndarray:
        """Of each row that `score` returned, whether it is a model's probabilities, which a text that says nothing can
        calibrate, `(questions,)`."""

    def describe(self) -> dict[str, Any]:
        """What a run keeps to find it again, as JSON values; never a key."""


def calibrated(
    scorer: Scorer, wording: Wording, questions: Sequence[Question], known: dict[tuple[Shot, ...], np.ndarray]
) -> np.ndarray:
    """Scores with what the prompt alone makes of the labels taken away, `(questions, labels)`.

    Contextual calibration (Zhao et al. 2021): the probabilities of labels are divided by those that the same prompt
    gives a text that says nothing, W = diag(p_cf)^-1. `known` remembers these by the examples of the prompt. A label
    that was said without its probabilities stays as it is.
    """
    found = scorer.score(wording, questions)
    numbered = scorer.measured(found) & found.any(axis=1)
    shown = [question.shots for question, there in zip(questions, numbered, strict=True) if there]
    new = [shots for shots in dict.fromkeys(shown) if shots not in known]
    if new:
        empty = scorer.score(wording, [Question(NOTHING, shots) for shots in new])
        known.update(zip(new, np.where(scorer.measured(empty)[:, None], empty, 0.0), strict=True))
    corrected = found.copy()
    for row in np.flatnonzero(numbered).tolist():
        corrected[row] -= known[questions[row].shots]
    return corrected
