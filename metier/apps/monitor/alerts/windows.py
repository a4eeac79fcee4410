"""Times of the week in which a route is silent, as Alertmanager's time intervals."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime

from metier.apps.zones import zone_of

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A named part of time. Every field that is not empty must fit; within a field one range must.

    Args:
        name: what routes call it.
        times: minutes of the day, the second one excluded.
        weekdays: 0 is Monday; inclusive, and they may run over Sunday.
        days: of the month, from 1; negative ones count from its end; inclusive.
        months: 1 to 12, inclusive.
        years: inclusive.
        zone: the time zone by its IANA name.
    """

    name: str
    times: Ranges = ()
    weekdays: Ranges = ()
    days: Ranges = ()
    months: Ranges = ()
    years: Ranges = ()
    zone: str = "UTC"

    def holds(self, now: float) -> bool:
        """Whether a time (seconds since 1970, UTC) lies in it."""
        there = datetime.fromtimestamp(now, tz=zone_of(self.zone))
        minute = there.hour * 60 + there.minute
        length = monthrange(there.year, there.month)[1]
        days = tuple((_day(low, length), _day(high, length)) for low, high in self.days)
        return (
            (not self.times or any(low <= minute < high for low, high in self.times))
            and _within(self.weekdays, there.weekday())
            and _within(days, there.day)
            and _within(self.months, there.month)
            and _within(self.years, there.year)
        )


def times(text: str) -> tuple[int, int]:
    """`"09:00-17:30"` as minutes of the day; `24:00` is its end. Raises `ValueError`."""
    start, dash, end = text.partition("-")
    low, high = _minute(start), _minute(end)
    if not dash or low >= high:
        raise ValueError(f"{text!r} is no time of the day; it is written 09:00-17:30, the earlier time first")
    return low, high


def named(text: str, names: tuple[str, ...], first: int) -> tuple[int, int]:
    """`"monday:friday"`, `"may"` or `"3"` as a range of numbers; the first name is `first`. Raises `ValueError`."""
    ends = [part.strip().lower() for part in text.split(":")]
    found = [names.index(end) + first if end in names else _number(end, text) for end in ends]
    if len(found) > 2 or not all(first <= end < first + len(names) for end in found):
        raise ValueError(f"{text!r} is none of {', '.join(names)} and no range of them such as {names[0]}:{names[2]}")
    return found[0], found[-1]


def numbers(text: str, low: int, high: int) -> tuple[int, int]:
    """`"1:5"`, `"-3:-1"` or `"2026"` as a range; its ends are `low` to `high` and not nought. Raises `ValueError`."""
    found = [_number(end, text) for end in text.split(":")]
    backwards = len(found) == 2 and (found[0] < 0) == (found[1] < 0) and found[0] > found[1]
    if len(found) > 2 or backwards or any(end == 0 or not low <= end <= high for end in found):
        raise ValueError(f"{text!r} is no range between {low} and {high}, such as 1:5")
    return found[0], found[-1]


def _number(end: str, text: str) -> int:
    try:
        return int(end)
    except ValueError:
        raise ValueError(f"{text!r} is not understood: {end!r} is no number and no name") from None


def _minute(text: str) -> int:
    hour, colon, minute = text.strip().partition(":")
    plain = hour.isdecimal() and minute.isdecimal() and len(hour) <= 2 and len(minute) == 2
    found = int(hour) * 60 + int(minute) if plain else -1
    if not colon or not 0 <= found <= 1440 or int(minute) > 59:
        raise ValueError(f"{text.strip()!r} is no time of the day; it is written 09:00")
    return found


def _day(day: int, length: int) -> int:
    """A day of the month counted from its begin, no further than its ends."""
    return min(max(day if day > 0 else length + 1 + day, 1), length)


def _within(ranges: Ranges, value: int) -> bool:
    """Whether a value lies in a range; one that runs backwards goes over the end of the week or the year."""
    return not ranges or any(
        low <= value <= high if low <= high else value >= low or value <= high for low, high in ranges
    )
