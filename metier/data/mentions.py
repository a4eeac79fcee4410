"""Names in texts: where they stand, and the rows of one text, one a name, as one example."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metier.data.clean import clean_text
from metier.data.targets import missing
from metier.errors import DataError
from metier.types import Document, Example, Span, Target

if TYPE_CHECKING:
    import polars as pl

Place = tuple[int, int]
SHOWN = 5
"""Rows that an error names."""


def place(name: str, text: str, taken: Collection[Place] = ()) -> Place | None:
    """Where a name stands in a text, as characters `(start, end)`; `None` where it does not.

    The first of its occurrences that is a whole word and shares no character with `taken`; else the first whole word,
    else the first of all; and only then whatever the case of its letters and the white space in it.
    """
    parts = [re.escape(part) for part in name.split()]
    if not parts:
        return None
    for pattern, flags in ((re.escape(name.strip()), 0), (r"\s+".join(parts), re.IGNORECASE)):
        found = [match.span() for match in re.finditer(pattern, text, flags)]
        whole = [match.span() for match in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, flags)]
        free = [(start, end) for start, end in whole if all(end <= first or last <= start for first, last in taken)]
        for spots in (free, whole, found):
            if spots:
                return spots[0]
    return None


def placed(names: Sequence[str], text: str) -> list[Place | None]:
    """Where each of several names stands: the longest chooses first, so that `HDFC` is not found in `HDFC Bank`."""
    found: list[Place | None] = [None] * len(names)
    taken: list[Place] = []
    for at in sorted(range(len(names)), key=lambda at: -len(names[at])):
        found[at] = spot = place(names[at], text, taken)
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
