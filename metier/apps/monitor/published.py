"""When a document was published, from the many ways in which times are written; seconds since 1970, UTC."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_day = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_digits = re.compile(r"[+-]?\d{1,20}(\.\d{1,9})?")
_chinese = re.compile(
    r"(\d{4})\s*[年/.]\s*(\d{1,2})\s*[月/.]\s*(\d{1,2})\s*日?"
    r"(?:\s*(\d{1,2})\s*[:时点]\s*(\d{1,2})(?:[:分]\s*(\d{1,2})秒?)?分?)?"
)
MILLI, MICRO, NANO = 1e11, 1e14, 1e17
"""Numbers from these on count milli-, micro-, nanoseconds: as seconds they would lie after the year 5000."""


class Written(NamedTuple):
    """A time that was understood.

    Args:
        seconds: since 1970, UTC; of a day alone, its beginning in the zone of the rules.
        day: whether only the day was written.
    """

    seconds: float
    day: bool = False


def written(value: object, zone: tzinfo = UTC, formats: Sequence[str] = ()) -> Written | None:
    """A time as its source wrote it; `None` for what is none.

    Understood are ISO 8601, seconds, milli-, micro- and nanoseconds since 1970 (numbers, or text that is one), the
    dates of mail and of RSS (RFC 822), days alone, `2020/2/24 9:30`, and Chinese dates.

    Args:
        value: a text or a number.
        zone: of times that are written without one.
        formats: further ones, as `datetime.strptime` has them; tried first.
    """
    if isinstance(value, str):
        if len(value) >= 19 and not formats and value[4] == "-":  # nearly all
            with suppress(ValueError):  # then the longer way
                return _seconds(datetime.fromisoformat(value), zone)
        return _of_text(value.strip(), zone, formats)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _of_number(float(value), zone)


def _of_text(text: str, zone: tzinfo, formats: Sequence[str]) -> Written | None:
    if len(text) > 100:
        return None
    for form in formats:
        try:
            return _seconds(datetime.strptime(text, form), zone)
        except ValueError:
            continue
    if _digits.fullmatch(text) and len(text) != 8:
        return _of_number(float(text), zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _of_other(text, zone)
    return _seconds(moment, zone, day=len(text) <= 10 and _day.fullmatch(text) is not None)


def _of_number(value: float, zone: tzinfo) -> Written | None:
    if not math.isfinite(value):
        return None
    if value.is_integer() and 19000101 <= value <= 21001231:  # 20200224 is a day, not one of August 1970
        with suppress(ValueError):  # then the number of some second
            return _seconds(datetime.strptime(str(int(value)), "%Y%m%d"), zone, day=True)
    size = abs(value)
    unit = 1e9 if size >= NANO else 1e6 if size >= MICRO else 1e3 if size >= MILLI else 1.0
    return Written(value / unit)


def _of_other(text: str, zone: tzinfo) -> Written | None:
    """What is not ISO 8601: a leap second, the dates of mail, those of East Asia."""
    if ":60" in text:
        return _of_text(text.replace(":60", ":59"), zone, ())
    if found := _chinese.fullmatch(text):
        year, month, day, hour, minute, second = (int(part) if part else 0 for part in found.groups())
        try:
            return _seconds(datetime(year, month, day, hour, minute, second), zone, day=found.group(4) is None)
        except ValueError:
            return None
    try:
        return _seconds(parsedate_to_datetime(text), zone)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(moment: datetime, zone: tzinfo, day: bool = False) -> Written | None:
    try:
        return Written((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp(), day)
    except (OverflowError, ValueError, OSError):  # the year 1 east of Greenwich, the year 9999 west of it
        return None
