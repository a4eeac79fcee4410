"""Office hours: when people answer, and when they will again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from metier.errors import RecipeError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
HORIZON = 60
"""Days that are looked through for the next opening."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When people answer.

    Args:
        zone: of the times.
        days: by weekday, 0 is Monday: spans `(from, to)` in minutes of the day.
        holidays: when nobody answers.
    """

    zone: ZoneInfo
    days: Mapping[int, Sequence[tuple[int, int]]]
    holidays: frozenset[date] = frozenset()

    @classmethod
    def read(cls, written: Mapping[str, str], zone: ZoneInfo, holidays: Sequence[date] = ()) -> Hours:
        """From `{"mon-fri": "09:00-17:30", "sat": "10:00-12:00, 13:00-15:00"}`; nothing written: always open.

        Raises:
            RecipeError: for a day or a span that is none.
        """
        days: dict[int, Sequence[tuple[int, int]]] = {}
        for key, spans in written.items():
            named = _days(key)
            days.update(dict.fromkeys(named, [_span(one.strip(), key) for one in spans.split(",") if one.strip()]))
        every = {day: [(0, 1440)] for day in range(7)}
        return cls(zone, days if written else every, frozenset(holidays))

    def is_open(self, at: float) -> bool:
        """Whether people answer at a time, seconds since 1970."""
        now = datetime.fromtimestamp(at, self.zone)
        minute = now.hour * 60 + now.minute
        return any(start <= minute < end for start, end in self._spans(now.date()))

    def opens(self, at: float) -> float | None:
        """When people answer next, seconds since 1970: now, where they do; `None`: not in the next `HORIZON` days."""
        if self.is_open(at):
            return at
        now = datetime.fromtimestamp(at, self.zone)
        for ahead in range(HORIZON):
            day = now.date() + timedelta(days=ahead)
            for start, _ in sorted(self._spans(day)):
                moment = datetime.combine(day, time(start // 60, start % 60), self.zone).timestamp()
                if moment > at:
                    return moment
        return None

    def _spans(self, day: date) -> Sequence[tuple[int, int]]:
        return () if day in self.holidays else self.days.get(day.weekday(), ())


def _days(key: str) -> list[int]:
    names = [part.strip().lower()[:3] for part in key.split("-")]
    if not 1 <= len(names) <= 2 or any(name not in DAYS for name in names):
        raise RecipeError(f"{key!r} is no weekday and no span of weekdays.", expected="mon, or mon-fri")
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return [day % 7 for day in range(first, last + 1 + 7 * (last < first))]


def _span(text: str, key: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    if found:
        hours = [int(part) for part in found.groups()]
        start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if start < end <= 1440 and hours[1] < 60 and hours[3] < 60:
            return start, end
    raise RecipeError(f"{text!r} ({key}) are no hours.", expected="09:00-17:30, the end after the beginning")
