"""Digits that stand together: runs of groups between single signs, without the dates and amounts among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHORTEST = 6
_run = re.compile(r"[0-9]+(?:[ ./()-]{1,3}[0-9]+)*")
_group = re.compile("[0-9]+")
_day, _month, _year = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_date = re.compile(
    rf"(?<![0-9])(?<![0-9][-./])(?:{_year}([-./]){_month}\1{_day}|{_day}([-./]){_month}\2(?:{_year}|[0-9]{{2}})"
    rf"|{_month}([-./]){_day}\3(?:{_year}|[0-9]{{2}})|{_month} ?/ ?{_day} ?/ ?{_year}|{_day} ?/ ?{_month} ?/ ?{_year}"
    rf"|{_year} ?- ?{_year})(?![-./]?[0-9])"
)
_day_alone = re.compile("(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_amount_before = re.compile(r"[$€£¥₹]\s?\Z|[0-9],\Z")
_amount_after = re.compile(
    r"\s?(?:元|块|美元|美金|欧元|英镑|人民币|日元|万|亿|%|€|\$|£|(?:usd|eur|rmb|cny|gbp|dollars?|euros?|pounds?|yuan|kg|"
    r"km|ms|gb|mb|pcs|units)(?![a-z]))|,[0-9]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Run:
    """Groups of digits of a text, from one place of it to another: `groups[i]` is `(start, end)`.

    Args:
        coded: letters touch it, as in a product code (`SKU-4711`).
        priced: a currency or a unit stands beside it.
    """

    text: str
    groups: tuple[tuple[int, int], ...]
    coded: bool = False
    priced: bool = False

    def digits(self, first: int, last: int) -> str:
        """The digits of the groups from `first` up to, and without, `last`."""
        return "".join([self.text[start:end] for start, end in self.groups[first:last]])

    def sizes(self, first: int, last: int) -> tuple[int, ...]:
        return tuple(end - start for start, end in self.groups[first:last])

    def signs(self, first: int, last: int) -> set[str]:
        """What stands between the groups from `first` up to `last`."""
        return {
            self.text[one[1] : other[0]]
            for one, other in zip(self.groups[first : last - 1], self.groups[first + 1 : last], strict=True)
        }

    def part(self, first: int, last: int) -> Run:
        return Run(self.text, self.groups[first:last], self.coded, self.priced)


def runs_of(text: str) -> Iterator[Run]:
    """The runs of a text that are long enough to be anything."""
    for match in _run.finditer(text):
        start, end = match.span()
        if end - start < SHORTEST:
            continue
        groups = tuple(found.span() for found in _group.finditer(text, start, end))
        if sum(last - first for first, last in groups) >= SHORTEST:
            yield Run(text, groups, _coded(text, start, end), _priced(text, start, end))


def undated(run: Run) -> list[Run]:
    """A run cut at the dates that it holds."""
    if len(run.groups) < 2:
        return [run]
    first, last = run.groups[0][0], run.groups[-1][1]
    dates = [match.span() for match in _date.finditer(run.text, first, last)]
    if not dates:
        return [run]
    found, at = [], 0
    for start, end in dates:
        upto = next(index for index in range(at, len(run.groups)) if run.groups[index][1] > start)
        found.append(run.part(at, upto))
        at = next((index for index in range(upto, len(run.groups)) if run.groups[index][0] >= end), len(run.groups))
    return [part for part in [*found, run.part(at, len(run.groups))] if part.groups]


def is_day(digits: str) -> bool:
    """Whether eight digits are a date."""
    return _day_alone.fullmatch(digits) is not None


def _coded(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 2) : start]
    letter = before[-1:].isascii() and (before[-1:].isalpha() or before[-1:] in "_=/")
    dashed = len(before) == 2 and before[1] == "-" and before[0].isascii() and before[0].isalpha()
    after = text[end : end + 2]
    trailing = after[:1].isascii() and (after[:1].isalpha() or after[:1] == "_")
    return (
        bool(before)
        and (letter or dashed)
        or trailing
        or (after[:1] == "-" and after[1:].isascii() and after[1:].isalpha())
    )


def _priced(text: str, start: int, end: int) -> bool:
    before = _amount_before.search(text, max(0, start - 3), start)
    return before is not None or _amount_after.match(text, end) is not None
