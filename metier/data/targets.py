"""Cells to targets: what a label means for each kind of task, and which kind the labels of a column look like."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from metier.data.clean import clean_text
from metier.errors import DataError
from metier.types import Span, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MISSING = frozenset({"", "nan", "NaN", "NAN"})
"""Cells that mean "no label here". `none` and `NA` are not among them: they are labels in real data."""
MARKED = re.compile(r"<e1>.*</e1>.*<e2>|<e2>.*</e2>.*<e1>", re.DOTALL)
SPAN_KINDS = ("tag", "mention")
"""Kinds of task whose labels are spans: offsets into their texts must stay valid."""
SCORE_VALUES = 6
"""Numbers with at least so many different values, one of them no integer, are scores rather than names of classes."""
INTEGER_SCORES, ROWS_A_VALUE = 20, 3
"""Integers of at least so many different values are scores too where a value has fewer rows than this on average."""


def missing(value: object) -> bool:
    """Whether a cell holds no label: null, NaN, an empty string, the word `nan`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and (value in MISSING or value.strip() in MISSING)


def label_text(value: object) -> str:
    """A label as a string: `1.0`, which is what pandas makes of 1 in a column with gaps, is `1`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"{str(value)[:60]!r} is no single label (multilabel and tag take lists)")
    return clean_text(str(value))


def separator(values: Iterable[object]) -> str:
    """What stands between the labels of a cell: `|`, `;` or `,`, the first of these that occurs in the column."""
    cells = [value for value in values if isinstance(value, str)]
    return next((mark for mark in "|;," if any(mark in cell for cell in cells)), "|")


def reader(kind: str, values: Sequence[object]) -> Callable[[Any, str], Target | None]:
    """A function `(cell, text) -> target`, or `None` where there is no label.

    It raises `ValueError`, with the reason, for a cell that cannot be read so. `values` is a sample of the column.
    """
    if kind == "multilabel":
        mark = separator(values)
        return lambda value, _text: _many(value, mark)
    if kind in ("score", "embed"):
        return lambda value, _text: None if missing(value) else number(value)
    if kind in SPAN_KINDS:
        return _marked
    return lambda value, _text: None if missing(value) else label_text(value)


def number(value: Any) -> float:
    """A finite number. Raises `ValueError`."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{str(value)[:60]!r} is no number") from None
    if not math.isfinite(found):
        raise ValueError(f"{value!r} is no finite number")
    return found


def _many(value: Any, mark: str) -> tuple[str, ...] | None:
    """The labels of a cell, each once. An empty list means that no label applies; an empty cell that nobody said."""
    if isinstance(value, str) and value.strip()[:1] == "[":
        value = _literal(value)
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(label_text(item) for item in value if not missing(item)))
    if missing(value):
        return None
    pieces = value.split(mark) if isinstance(value, str) else [label_text(value)]
    return tuple(dict.fromkeys(clean_text(piece) for piece in pieces if piece.strip()))


def _literal(value: str) -> Any:
    """A list that was written into a cell, as JSON or as Python shows it."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value


def _marked(value: Any, text: str) -> tuple[Span, ...] | None:
    if isinstance(value, str) and not missing(value):
        value = _literal(value)
    if missing(value):
        return None
    if not isinstance(value, list | tuple):
        raise ValueError(f"{str(value)[:60]!r} is no list of spans")
    return tuple(sorted((_span(item, text) for item in value), key=lambda span: (span.start, span.end)))


def _span(item: Any, text: str) -> Span:
    if not isinstance(item, dict) or not {"start", "end", "label"} <= item.keys():
        raise ValueError(f"{str(item)[:60]!r} is no span with start, end and label")
    start, end = item["start"], item["end"]
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        raise ValueError(f"the span {start}..{end} does not lie in its text of {len(text)} characters")
    return Span(start, end, label_text(item["label"]), text[start:end])


# -- guessing ----------------------------------------------------------------------------------------------------
def guess_task(values: Iterable[object], texts: Iterable[str] = ()) -> str:
    """The kind of task that a sample of labels (and of texts) looks like.

    Spans are `tag`; lists, or labels joined by `|`, `multilabel`; numbers of many values that are not all integers,
    or that hardly recur, `score`; labels of texts with `<e1>` and `<e2>` marks `relate`; anything else `classify`.
    """
    known = [value for value in values if not missing(value)]
    known = [_literal(value) if isinstance(value, str) and value[:1] == "[" else value for value in known]
    lists = [value for value in known if isinstance(value, list | tuple)]
    if len(lists) > len(known) / 2:
        return "tag" if any(isinstance(item, dict) for value in lists for item in value) else "multilabel"
    if _joined(known):
        return "multilabel"
    if _scores(known):
        return "score"
    shown = list(texts)
    marked = sum(MARKED.search(text) is not None for text in shown)
    return "relate" if marked > len(shown) / 2 else "classify"


def _joined(known: Sequence[object]) -> bool:
    """Whether cells join labels with `|`: the pieces recur, as the labels of a set do."""
    pieces = Counter(piece for value in known if isinstance(value, str) for piece in value.split("|"))
    several = sum("|" in value for value in known if isinstance(value, str))
    return (
        several > 0 and (several >= 0.02 * len(known)) and (sum(pieces.values()) >= 1.2 * len(pieces) or several < 20)
    )


def _scores(known: Sequence[object]) -> bool:
    """Whether labels are numbers that measure. The numbers of classes recur, and are integers."""
    try:
        numbers = {number(value) for value in known}
    except ValueError:
        return False
    if len(numbers) >= SCORE_VALUES and any(not value.is_integer() for value in numbers):
        return True
    return len(numbers) >= INTEGER_SCORES and len(known) < ROWS_A_VALUE * len(numbers)


def broken(error: ValueError, row: int, column: str) -> DataError:
    """The error for a cell that cannot be read. `row` counts from 1, without the header."""
    return DataError(f"Row {row}, column {column!r}: {error}.", hint="mend or empty this cell, or name another task")
