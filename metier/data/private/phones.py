"""Telephone numbers: with a country code, in the way of a known country, or beside a word that says so.

Whether a number can exist is asked of the numbering plans of `phonenumbers`, of which only so many are asked a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from metier.data.private.cues import Cues, listed
from metier.data.private.numbers import Span
from metier.data.private.runs import Run, is_day
from metier.errors import MissingExtra

LONGEST, SHORTEST = 15, 7
"""Digits of a telephone number (ITU-T E.164), and of one without its area."""
GROUPS = 8
ASKED = 60
"""Numbers of a text that are looked up; of further ones the way in which they are written decides."""
TRUNKLESS = frozenset({"ES", "IT", "PT", "DK", "NO", "PL", "GR", "CZ", "LU", "US", "CA"})
"""Countries whose own numbers begin with no 0 that is dialled inside alone."""
CHINESE = {(11,), (3, 4, 4), (3, 8), (4, 3, 4), (4, 4, 3), (7, 4)}
AMERICAN = {(3, 3, 4), (3, 7), (1, 3, 3, 4), (6, 4)}


class Phones:
    """Looks for telephone numbers in one text; counts what it asks."""

    def __init__(self, cues: Cues, regions: Sequence[str]) -> None:
        self.cues, self.regions = cues, tuple(regions)
        self._left = ASKED
        self._last = -LONGEST

    def of(self, run: Run) -> Iterator[tuple[int, int, Span]]:
        """`(first, last, span)`: groups of a run that are a telephone number."""
        first, count = 0, len(run.groups)
        while first < count:
            last = self._at(run, first)
            if last:
                self._last = run.groups[last - 1][1]
                yield first, last, self._span(run, first, last)
            first = last or first + 1

    def _span(self, run: Run, first: int, last: int) -> Span:
        start, end = run.groups[first][0], run.groups[last - 1][1]
        digits = run.digits(first, last)
        if run.text[start - 1 : start] == "(" and ")" in run.text[start:end]:
            start -= 1
        if run.text[start - 1 : start] == "+" and start:
            return start - 1, end, "phone", f"+{digits}"
        return start, end, "phone", digits

    def _at(self, run: Run, first: int) -> int:
        """Behind which group the telephone number that begins with group `first` ends; 0 where none does."""
        start, end = run.groups[first]
        if end - start > LONGEST:
            return 0
        label, glued = self.cues.before(start)
        said = bool(label)
        if listed(run.text, self._last, start):
            label, glued, said = "phone", True, False
        plus = run.text[max(0, start - 2) : start].rstrip("(").endswith("+")
        longest = self._longest(run, first)
        if not label:
            label = self.cues.after(run.groups[longest - 1][1])
        if not (plus or label == "phone" or self._begins(run.text, start, end)):
            return 0
        spoken = label == "phone" and (glued or not said)
        if run.coded and not (plus or (spoken and self.cues.touches(start))):
            return 0
        if spoken or label == "phone":
            label = "phone" if spoken else ""
        for last in range(longest, first, -1):
            digits = run.digits(first, last)
            if len(digits) < SHORTEST or len(digits) < 2 * (last - first) - 1:
                break
            if self._right(run, (first, last), digits, plus, label):
                return last
        return 0

    @staticmethod
    def _begins(text: str, start: int, end: int) -> bool:
        """Whether a group of digits may begin a number that nothing announces."""
        one, two = text[start], text[start : start + 2]
        return one == "0" or two == "86" or (one == "1" and two > "12") or end - start in (1, 3, 6)

    @staticmethod
    def _longest(run: Run, first: int) -> int:
        last, size = first, 0
        while last < min(len(run.groups), first + GROUPS):
            size += run.groups[last][1] - run.groups[last][0]
            if size > LONGEST + 2:
                break
            last += 1
        return last

    def _right(self, run: Run, place: tuple[int, int], digits: str, plus: bool, label: str) -> bool:
        if plus:
            return len(digits) <= LONGEST and self._known(f"+{digits}", ())
        shape, written = run.sizes(*place), label != "code" and not run.priced
        if written and self._chinese(digits, shape):
            return True
        if digits.startswith("00"):
            return written and len(digits) >= 11 and self._known(f"+{digits[2:]}", ())
        if written and shape in AMERICAN and self._american(run, place, digits):
            return self._known(digits, tuple({"US", "CA"} & set(self.regions)))
        if digits[0] == "0" and written and 9 <= len(digits) <= 12:
            dialled = tuple(region for region in self.regions if region not in TRUNKLESS)
            mobile = len(shape) == 1 and label != "phone"  # many order numbers begin with a 0, too
            return self._known(digits, dialled, mobile)
        if label != "phone" or run.priced or len(digits) > 13 or is_day(digits) or "." in run.signs(*place):
            return False
        return len(shape) == 1 or self._known(digits, self.regions) or (len(digits) <= 8 and len(shape) == 2)

    def _chinese(self, digits: str, shape: tuple[int, ...]) -> bool:
        """A mobile number, perhaps behind its country code."""
        if "CN" not in self.regions:
            return False
        if len(digits) in (13, 15) and digits.startswith(("86", "0086")):
            code = len(digits) - 11
            if shape[0] == code:
                shape, digits = shape[1:], digits[code:]
            elif shape[0] > code:
                shape, digits = (shape[0] - code, *shape[1:]), digits[code:]
        return len(digits) == 11 and digits[0] == "1" and digits[1] in "3456789" and shape in CHINESE

    @staticmethod
    def _american(run: Run, place: tuple[int, int], digits: str) -> bool:
        """Area, exchange and number, apart from each other, each beginning with 2 to 9."""
        if len(digits) == 11 and digits[0] != "1":
            return False
        ten = digits[-10:]
        return ten[0] in "23456789" and ten[3] in "23456789" and len(run.signs(*place)) <= 3

    def _known(self, digits: str, regions: tuple[str, ...], mobile: bool = False) -> bool:
        """Whether such a number exists and is a person's: numbers that cost the company (800) are no secret."""
        if self._left <= 0:
            return True
        if digits[0] == "+":
            self._left -= 1
            return _exists(digits, None, mobile)
        for region in regions:
            self._left -= 1
            if _exists(digits, region, mobile):
                return True
        return False


@lru_cache(maxsize=4096)
def _exists(digits: str, region: str | None, mobile: bool) -> bool:
    try:
        import phonenumbers as plans
    except ImportError:
        raise MissingExtra("phonenumbers", "apps") from None
    try:
        number = plans.parse(digits, region)
    except plans.NumberParseException:
        return False
    kind = plans.number_type(number)  # unknown for numbers that cannot exist
    types = plans.PhoneNumberType
    if mobile:
        return kind in (types.MOBILE, types.PAGER)
    return kind in (types.FIXED_LINE, types.MOBILE, types.FIXED_LINE_OR_MOBILE, types.PERSONAL_NUMBER, types.VOIP)
