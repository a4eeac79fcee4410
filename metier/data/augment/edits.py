"""Changes of a text that know where every character went, so that spans and words can follow."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from metier.types import Document, Example, Span, Target


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """`text[start:end]` becomes `text`; with `start == end` it is put in before the character at `start`."""

    start: int
    end: int
    text: str


class Shift:
    """Where the places of a text are after edits that do not overlap.

    What an edit puts in without taking anything out belongs to no stretch that begins or ends there.
    """

    def __init__(self, edits: Iterable[Edit]) -> None:
        self.edits = sorted(edits)

    def applied(self, text: str) -> str:
        """The new text."""
        parts, last = [], 0
        for edit in self.edits:
            parts += [text[last : edit.start], edit.text]
            last = edit.end
        return "".join([*parts, text[last:]])

    def start(self, place: int) -> int:
        """Where a stretch begins that began at `place`."""
        return self._moved(place, begins=True)

    def end(self, place: int) -> int:
        """Where a stretch ends that ended at `place`."""
        return self._moved(place, begins=False)

    def inserted(self) -> list[tuple[int, int]]:
        """Where the words are that were put in, `(start, end)` in the new text."""
        found, gained = [], 0
        for edit in self.edits:
            bare = edit.text.strip()
            if edit.start == edit.end and bare:
                first = edit.start + gained + edit.text.index(bare)
                found.append((first, first + len(bare)))
            gained += len(edit.text) - (edit.end - edit.start)
        return found

    def crosses(self, place: int) -> bool:
        """Whether an edit reaches over `place`."""
        return any(edit.start < place < edit.end for edit in self.edits)

    def _moved(self, place: int, *, begins: bool) -> int:
        moved = place
        for edit in self.edits:
            if edit.end < place or (edit.end == place and (begins or edit.start < edit.end)):
                moved += len(edit.text) - (edit.end - edit.start)
            elif edit.start < place:  # inside the edit: what is left of the stretch
                return moved - (place - edit.start) + min(place - edit.start, len(edit.text))
        return moved


def edited(example: Example, edits: Sequence[Edit], *, pair: bool = False) -> Example:
    """An example with its text changed (or its second text), its labels kept, its spans and words carried along.

    Raises `ValueError` for edits that reach over the edge of a span or leave nothing of one.
    """
    shift, document = Shift(edits), example.document
    if pair:
        return replace(example, document=replace(document, pair=shift.applied(document.pair or "")))
    text = shift.applied(document.text)
    targets = {head: _carried(target, shift, text) for head, target in example.targets.items()}
    moved = replace(document, text=text, tokens=_tokens(document, shift), mentions=_mentions(document, shift))
    return replace(example, document=moved, targets=targets)


def spans_of(example: Example) -> list[Span]:
    """The spans of all heads."""
    return [
        item
        for target in example.targets.values()
        if isinstance(target, tuple)
        for item in target
        if isinstance(item, Span)
    ]


def _carried(target: Target, shift: Shift, text: str) -> Target:
    if not isinstance(target, tuple) or not any(isinstance(item, Span) for item in target):
        return target
    return tuple(_span(item, shift, text) for item in target if isinstance(item, Span))


def _span(span: Span, shift: Shift, text: str) -> Span:
    start, end = shift.start(span.start), shift.end(span.end)
    if start >= end or shift.crosses(span.start) or shift.crosses(span.end):
        raise ValueError(f"an edit breaks the span {span}")
    return replace(span, start=start, end=end, text=text[start:end] if span.text else "")


def _mentions(document: Document, shift: Shift) -> tuple[tuple[int, int], ...] | None:
    """The mentions that are left; those that have a label are spans as well, which no edit may break."""
    if document.mentions is None:
        return None
    moved = [(shift.start(start), shift.end(end)) for start, end in document.mentions]
    return tuple((start, end) for start, end in moved if start < end)


def _tokens(document: Document, shift: Shift) -> tuple[tuple[int, int], ...] | None:
    if document.tokens is None:
        return None
    moved = [(shift.start(start), shift.end(end)) for start, end in document.tokens]
    kept = [(start, end) for start, end in moved if start < end]
    for stretch in shift.inserted():
        insort(kept, stretch)
    return tuple(kept)
