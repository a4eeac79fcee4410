"""Names in texts: where they stand, and the rows of one text, one a name, as one example."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metier.data.clean import clean_text
from metier.data.targets import missing
from metier.errors import DataError
from metier.types import Document, Example, Span, Target

if TYPE_CHECKING:
    import polars as pl

Place = tuple[int, int]
SPACES = re.compile(r"\s\s|[^\S ]")
"""White space that a name would not have."""
UNSPACED = "\u2e80"
"""From here on scripts begin, Chinese first, that put no blanks between words."""
JOINING = r"(?=\w)[\0-\u2e7f]"
"""A character of a word of another script: what `_joins` says of one."""
WORD = re.compile(r"\S+")
TRIES = 8
"""Occurrences that are looked at one by one."""
SHOWN = 5
"""Rows that an error names."""


def place(name: str, text: str, taken: Collection[Place] = ()) -> Place | None:
    """Where a name stands in a text, as characters `(start, end)`; `None` where it does not.

    The first occurrence that is a whole word: as the name is written, else in any case of letters, else with other
    white space in it; of these the first that shares no character with `taken`, where there is one. Only where there is
    no whole word, a part of one.
    """
    return _Searched(text).place(name, taken)


class _Searched:
    """A text in which names are looked for, in time that grows with its length alone: a server reads what others send.

    Args:
        text: as it is written.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def low(self) -> str:
        """The text in lower case, character by character."""
        return _lower(self.text)

    @cached_property
    def flat(self) -> tuple[str, Sequence[int]]:
        """In lower case with one blank between words, and where each character of that stands in the text."""
        words = list(WORD.finditer(self.low))
        places: list[int] = []
        for word in words:
            places += range(word.start() - bool(places), word.end())
        return " ".join(word[0] for word in words), places

    def place(self, name: str, taken: Collection[Place]) -> Place | None:
        """As the function of this name."""
        part: Place | None = None
        for wanted, text, places in self._ways(name.strip()):

            def span(at: int, length: int = len(wanted), places: Sequence[int] = places) -> Place:
                return places[at], places[at + length - 1] + 1

            first, at = None, _whole(wanted, text, 0)
            while at >= 0:
                start, end = span(at)
                behind = [last for begin, last in taken if begin < end and start < last]
                if not behind:
                    return start, end
                first = first or (start, end)
                at = _whole(wanted, text, bisect_left(places, max(behind)))
            if first:
                return first
            if part is None and (at := text.find(wanted)) >= 0:
                part = span(at)
        return part

    def _ways(self, name: str) -> Iterator[tuple[str, str, Sequence[int]]]:
        """The name and the text as they are written, in lower case, and, of a name of several words, where there is
        other white space between them than one blank, with single blanks; and where each character stands."""
        if not name:
            return
        yield name, self.text, range(len(self.text))
        yield _lower(name), self.low, range(len(self.text))
        words = name.split()
        if len(words) > 1 and (SPACES.search(self.text) or SPACES.search(name)):
            yield _lower(" ".join(words)), *self.flat


def _lower(text: str) -> str:
    """In lower case, but for the few letters that would become two."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)


def _whole(name: str, text: str, at: int) -> int:
    """Where a name stands as a whole word, at `at` or behind it; -1 where it does not."""
    for _ in range(TRIES):
        at = text.find(name, at)
        if at < 0 or _is_word(text, at, at + len(name)):
            return at
        at += 1
    # The same in one go, for texts in which the name is part of many words.
    before = f"(?<!{JOINING}.{{{len(name)}}})" if _joins(name[:1]) else ""
    behind = f"(?!{JOINING})" if _joins(name[-1:]) else ""
    found = re.compile(re.escape(name) + behind + before, re.DOTALL).search(text, at)
    return found.start() if found else -1


def _is_word(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit goes on before or behind a stretch that itself ends in one."""
    before, behind = text[max(0, start - 1) : start + 1], text[end - 1 : end + 1]
    return not (len(before) == 2 and _joins(before)) and not (len(behind) == 2 and _joins(behind))


def _joins(both: str) -> bool:
    """Whether two neighbouring characters are of one word; where words have no blanks between them, none are."""
    return all((character.isalnum() or character == "_") and character < UNSPACED for character in both)


def placed(names: Sequence[str], text: str) -> list[Place | None]:
    """Where each of several names stands: the longest chooses first, so that `HDFC` is not found in `HDFC Bank`."""
    found: list[Place | None] = [None] * len(names)
    searched, taken = _Searched(text), list[Place]()
    for at in sorted(range(len(names)), key=lambda at: -len(names[at])):
        found[at] = spot = searched.place(names[at], taken)
        if spot is not None:
            taken.append(spot)
    return found


def named(cells: pl.Series, labels: Sequence[Target | None], rows: Sequence[Document], first: int) -> list[Any]:
    """The targets of rows that name one mention each: its label, there where the name stands in the text.

    Args:
        cells: the column of names.
        labels: what is said of each, `None` where nobody says.
        rows: the documents.
        first: the number of the first row.

    Raises:
        DataError: naming the rows whose text does not hold their name.
    """
    found: list[Any] = []
    lost: list[str] = []
    for index, (cell, label, document) in enumerate(zip(cells.to_list(), labels, rows, strict=True)):
        if label is None or missing(cell):
            found.append(None)
            continue
        name = clean_text(str(cell))
        spot = place(name, document.text)
        if spot is None:
            lost.append(f"{name!r} in row {first + index + 1}")
            continue
        found.append((Span(*spot, str(label), document.text[spot[0] : spot[1]]),))
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        raise DataError(
            f"The column {cells.name!r} names what does not stand in its text: {', '.join(lost[:SHOWN])}{more}.",
            expected="each name as the text of its row writes it",
            hint="write the name so, or empty the cell",
        )
    return found


def asked(cell: Any, text: str) -> list[Place]:
    """The places that a cell asks about: of a name, of a list of names, or of `{"start": .., "end": ..}` objects.

    Names that the text does not hold, and places outside it, are left out.
    """
    if isinstance(cell, str) and cell.strip()[:1] == "[":
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            return asked([cell], text)
    items = list(cell) if isinstance(cell, list | tuple) else [cell]
    spots = [_spot(item, len(text)) for item in items if isinstance(item, Mapping)]
    names = [clean_text(str(item)) for item in items if not isinstance(item, Mapping) and not missing(item)]
    return sorted({spot for spot in (*spots, *placed(names, text)) if spot is not None})


def _spot(item: Mapping[str, Any], length: int) -> Place | None:
    start, end = item.get("start"), item.get("end")
    inside = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= length
    return (start, end) if inside else None  # type: ignore[return-value]


def with_mentions(documents: Sequence[Document], cells: Iterable[Sequence[Any]]) -> list[Document]:
    """Documents that know what is asked about in them. `cells`: of each column that says so, those of all rows."""
    spots: list[set[Place]] = [set() for _ in documents]
    for column in cells:
        for own, cell, document in zip(spots, column, documents, strict=True):
            own.update(asked(cell, document.text))
    return [replace(document, mentions=tuple(sorted(own))) for document, own in zip(documents, spots, strict=True)]


def gathered(examples: Sequence[Example], heads: Mapping[str, str]) -> list[Example]:
    """Rows of the same text and split as one example with all their mentions, so that the text is read once.

    Rows that contradict each other in another head stay apart. The examples come in the order of their first rows.

    Args:
        examples: one a row.
        heads: the `mention` heads, with the columns that name their mentions.
    """
    if not heads:
        return list(examples)
    groups: dict[Any, list[Example]] = {}
    for example in examples:
        groups.setdefault((example.document.text, example.document.pair, example.split), []).append(example)
    return [_spread(one, heads) for group in groups.values() for one in _joined(group, heads)]


def _joined(group: Sequence[Example], heads: Mapping[str, str]) -> list[Example]:
    """Examples of one text with their mentions put together, as few as their other targets allow."""
    kept: list[dict[str, Any]] = []
    firsts: list[Example] = []
    for example in group:
        for targets in kept:
            if all(targets.get(head, value) == value for head, value in example.targets.items() if head not in heads):
                targets |= {
                    head: (*targets.get(head, ()), *value) if head in heads else value  # type: ignore[misc]
                    for head, value in example.targets.items()
                }
                break
        else:
            kept.append(dict(example.targets))
            firsts.append(example)
    return [replace(example, targets=targets) for example, targets in zip(firsts, kept, strict=True)]


def _spread(example: Example, heads: Mapping[str, str]) -> Example:
    """An example whose names are found beside each other, and whose document knows of them."""
    document, targets = example.document, dict(example.targets)
    known = set(document.mentions or ())
    for head in heads:
        if head not in targets:
            continue
        spans = [span for span in targets[head] if isinstance(span, Span)]  # type: ignore[union-attr]
        spots = placed([span.text for span in spans], document.text)
        both = [(span, spot) for span, spot in zip(spans, spots, strict=True) if spot is not None]
        known -= {(span.start, span.end) for span in spans}
        known |= {spot for _, spot in both}
        found = {replace(span, start=spot[0], end=spot[1]) for span, spot in both}
        targets[head] = tuple(sorted(found, key=lambda span: (span.start, span.end, span.label)))
    if not known and document.mentions is None:
        return example
    return replace(example, document=replace(document, mentions=tuple(sorted(known))), targets=targets)
