"""How good the bot is on questions whose answers are known: what each tier answers and how much of it is right."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.apps.support.answer.answerer import Answerer
from metier.apps.support.item import TIERS, Context
from metier.data.private.mask import mask
from metier.errors import DataError
from metier.store.knowledge import StoredEntry

RIGHT = ("entry", "answer", "intent", "contains")
"""Columns that may say what is right: the id of an entry, its answer, its intent, or words that the reply must have."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what is right: a value of one of `RIGHT`; empty: nothing is, it lies outside of what is known."""

    text: str
    column: str
    right: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of the questions.

    Args:
        questions: all; `outside`, those that nothing is right for.
        tiers: of each tier how many it answered, and how many of these were right.
        right: of the questions in scope, the share that was answered right.
        precise: of the answers given (template, search, written), the share that is right.
        refused: of the questions out of scope, the share that was not answered.
        seconds: of one answer: the median and the 95 % quantile.
    """

    questions: int
    outside: int
    tiers: dict[str, tuple[int, int]]
    right: float | None
    precise: float | None
    refused: float | None
    seconds: tuple[float, float]

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "questions": self.questions, "outside": self.outside, "right": self.right, "precise": self.precise,
            "refused": self.refused, "tiers": {name: list(pair) for name, pair in self.tiers.items()},
            "seconds": list(self.seconds),
        }  # fmt: skip


ANSWERS = frozenset({"template", "search", "written"})


def questions(path: str | Path) -> list[Question]:
    """The rows of a table: `question`, and one or more of `RIGHT`, of which the first that a row has counts; a row that
    has none lies outside.

    Raises:
        DataError: where there is no such column, or no row.
    """
    from metier.data.rows import columns, frames, strings

    names = columns(str(path))
    told = [name for name in RIGHT if name in names]
    if "question" not in names or not told:
        raise DataError(f"{path} has the columns {', '.join(names)}.", expected=f"question, and {' or '.join(RIGHT)}")
    found = [
        _question(text or "", dict(zip(told, cells, strict=True)))
        for frame in frames(str(path))
        for text, *cells in zip(*(strings(frame, name).to_list() for name in ("question", *told)), strict=True)
    ]
    if not found:
        raise DataError(f"{path} has no row.", expected="questions")
    return found


def _question(text: str, cells: Mapping[str, str | None]) -> Question:
    stripped = {name: (cell or "").strip() for name, cell in cells.items()}
    column = next((name for name, cell in stripped.items() if cell), RIGHT[0])
    return Question(text, column, stripped.get(column, ""))


def evaluate(
    answerer: Answerer, asked: Sequence[Question], tick: Callable[[int], None] = lambda units: None
) -> Figures:
    """Asks every question in a conversation of its own."""
    counts = {name: [0, 0] for name in TIERS}
    seconds: list[float] = []
    inside_right = answers = answers_right = refused = outside = 0
    for one in asked:
        begun = time.perf_counter()
        done = answerer.answer(mask(one.text), one.text, Context())
        seconds.append(time.perf_counter() - begun)
        tier, given = done.reply.tier, done.reply.tier in ANSWERS
        right = bool(one.right) and given and _is_right(answerer, one, done.reply.entry, done.shown)
        counts[tier][0] += 1
        counts[tier][1] += right or (not one.right and not given)
        outside += not one.right
        refused += not one.right and not given
        inside_right += right
        answers += given
        answers_right += right
        tick(1)
    inside = len(asked) - outside
    order = sorted(seconds)
    return Figures(
        len(asked), outside, {name: (both[0], both[1]) for name, both in counts.items() if both[0]},
        inside_right / inside if inside else None, answers_right / answers if answers else None,
        refused / outside if outside else None, (order[len(order) // 2], order[int(0.95 * (len(order) - 1))]),
    )  # fmt: skip


def _is_right(answerer: Answerer, one: Question, id: str, shown: str) -> bool:
    if one.column == "contains":
        return one.right.casefold() in shown.casefold()
    entry: StoredEntry | None = answerer.parts.known.entry(id) if id else None
    if entry is None:
        return False
    return one.right == {"entry": entry.id, "answer": entry.answer, "intent": entry.intent}[one.column]
