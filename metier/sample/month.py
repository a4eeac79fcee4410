"""A month of invented headlines as a stream: quiet days, two surges that a monitor must see, and a flood of copies.

The same seed gives the same month. What is planted stands in `planted()`, so that what a monitor says can be judged.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 31
A_DAY = 72
"""Headlines of a working day; a quarter of it on Saturday and Sunday."""
HOURS = (1, 1, 1, 1, 1, 2, 5, 9, 10, 9, 8, 7, 6, 7, 8, 8, 8, 7, 5, 3, 2, 2, 1, 1)
"""How the headlines of a day spread over its hours."""
SENTIMENTS = {"negative": 0.24, "neutral": 0.42, "positive": 0.34}


@dataclass(frozen=True, slots=True)
class Planted:
    """What was put into the month: a surge of negative stories, or a flood of copies of one."""

    kind: str
    company: str
    topic: str
    start: datetime
    end: datetime
    documents: int


def headlines(seed: int = 13) -> list[dict[str, Any]]:
    """Every headline in the order of time: `id`, `text`, `time` (ISO 8601, UTC), `source`, `url`."""
    patterns, chance = _patterns(), random.Random(seed)
    rows = [*_quiet(patterns, chance), *_surges(patterns, chance), *_flood(patterns, chance)]
    rows.sort(key=lambda row: (row[0], row[1]))
    return [
        {
            "id": f"sample-{number:05d}",
            "text": text,
            "time": when.isoformat(),
            "source": chance.choice(("Courier", "Morning Wire", "The Ledger", "Dealers' Desk")),
            "url": f"https://news.example/{number:05d}",
        }
        for number, (when, text) in enumerate(rows)
    ]


def planted() -> list[Planted]:
    """The surges and the flood, in the order of time."""
    patterns = _patterns()
    found = [
        Planted("surge", one["company"], one["topic"], *_between(one), len(one["stories"]))
        for one in patterns["surges"]
    ]
    flood = patterns["flood"]
    return [*found, Planted("flood", flood["company"], flood["topic"], *_between(flood), flood["copies"])]


def companies() -> Path:
    """The table of the invented companies."""
    return Path(__file__).parent / "companies.csv"


def _patterns() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "patterns.toml").read_text(encoding="utf-8"))


def _between(planted: Mapping[str, Any]) -> tuple[datetime, datetime]:
    start = START + timedelta(days=planted["day"] - 1, hours=planted["hour"])
    return start, start + timedelta(hours=planted["hours"])


def _quiet(patterns: Mapping[str, Any], chance: random.Random) -> Iterator[tuple[datetime, str]]:
    """The usual days: no headline twice, so that only planted copies are copies."""
    topics = [name for name, entry in patterns.items() if isinstance(entry, dict) and "negative" in entry]
    names, seen = _names(), set[str]()
    for day in range(DAYS):
        weekend = (START + timedelta(days=day)).weekday() >= 5
        for _ in range(round(A_DAY * (0.25 if weekend else 1.0) * chance.uniform(0.85, 1.15))):
            sentiment = chance.choices(list(SENTIMENTS), list(SENTIMENTS.values()))[0]
            pattern = chance.choice(patterns[chance.choice(topics)][sentiment])
            company, other = chance.sample(names, 2)
            text = _filled(pattern, {"c": company, "o": other}, patterns["slots"], chance)
            if text not in seen:
                seen.add(text)
                yield _moment(day, chance), text


def _surges(patterns: Mapping[str, Any], chance: random.Random) -> Iterator[tuple[datetime, str]]:
    for surge in patterns["surges"]:
        start, end = _between(surge)
        for story in surge["stories"]:
            yield start + chance.random() * (end - start), _filled(story, {}, patterns["slots"], chance)


def _flood(patterns: Mapping[str, Any], chance: random.Random) -> Iterator[tuple[datetime, str]]:
    flood = patterns["flood"]
    start, end = _between(flood)
    for number in range(flood["copies"]):
        text = flood["edits"][number % len(flood["edits"])].format(story=flood["story"])
        yield start + chance.random() * (end - start), text


def _moment(day: int, chance: random.Random) -> datetime:
    hour = chance.choices(range(24), HOURS)[0]
    return START + timedelta(days=day, hours=hour, minutes=chance.randrange(60), seconds=chance.randrange(60))


def _filled(pattern: str, given: Mapping[str, str], slots: Mapping[str, Any], chance: random.Random) -> str:
    """A pattern with its slots filled: what is given, then numbers and words by chance; it begins with a capital."""
    values = {
        name: chance.randint(slot["low"], slot["high"]) if isinstance(slot, dict) else chance.choice(slot)
        for name, slot in slots.items()
    }
    text = pattern.format(**{**values, **given})
    return text[0].upper() + text[1:]


def _names() -> list[str]:
    lines = companies().read_text(encoding="utf-8").splitlines()[1:]
    return [line.split(",")[1] for line in lines]
