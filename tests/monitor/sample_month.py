"""The sample month for tests of the whole way: its archive, and a reader that knows the patterns it was made of."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import orjson

from metier.apps.monitor.alerts.routes import AlertsPart
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.detection.detectors import Settings
from metier.apps.monitor.engine import Intake, Monitor, Plan
from metier.apps.monitor.item import Item, Understood
from metier.apps.monitor.normalise import Normaliser
from metier.apps.monitor.sources.archive import ArchiveSource, Span
from metier.apps.monitor.understand import Reading
from metier.sample import month
from metier.store import contents
from metier.store.store import Store
from metier.types import Prediction

Said = tuple[re.Pattern[str], str, str]
COMPARED = ("alerts", "documents", "mentions", "notices", "pins", "stories", "ticks", "unlinked")


@cache
def patterns() -> list[Said]:
    """What a headline of the month looks like, its topic and its sentiment."""
    made = tomllib.loads((Path(month.__file__).parent / "patterns.toml").read_text(encoding="utf-8"))
    slots = {
        name: r"\d+" if isinstance(one, dict) else "(?:" + "|".join(one) + ")" for name, one in made["slots"].items()
    }
    slots |= {"c": "[A-Za-z& ']+", "o": "[A-Za-z& ']+"}

    def form(pattern: str) -> re.Pattern[str]:
        text = re.escape(pattern)
        for name, slot in slots.items():
            text = text.replace(re.escape(f"{{{name}}}"), slot)
        return re.compile(text, re.IGNORECASE)

    found = [
        (form(pattern), topic, sentiment)
        for topic, kinds in made.items()
        if isinstance(kinds, dict) and "negative" in kinds
        for sentiment in ("negative", "neutral", "positive")
        for pattern in kinds[sentiment]
    ]
    return found + [(form(story), one["topic"], "negative") for one in made["surges"] for story in one["stories"]]


@cache
def companies() -> Companies:
    """The invented companies."""
    return Companies.read(month.companies())


def read(items: Sequence[Item]) -> list[Reading]:
    """What the headlines say; the flood of copies is about people, and negative."""
    readings = []
    for item in items:
        said = ((topic, sentiment) for form, topic, sentiment in patterns() if form.fullmatch(item.text))
        topic, sentiment = next(said, ("people", "negative"))
        found = companies().find(item.text)
        tone = Prediction(
            sentiment, 0.9, probabilities={"negative": 0.05, "neutral": 0.05, "positive": 0.05, sentiment: 0.9}
        )
        readings.append(Reading(Understood(item, [Prediction(topic, 0.9)], tone, found.linked), found.unlinked))
    return readings


def plan(**changes: object) -> Plan:
    """Hourly ticks, one false alarm a series and month, everybody told on a receiver called desk."""
    alerts = AlertsPart.read({"receiver": "desk", "receivers": [{"name": "desk", "url": "http://127.0.0.1:9/"}]})
    settings = {"crossed": False, "companies": companies(), **changes}
    return Plan(read, "stand-in", Settings(tick=3600.0), alerts.routing(), **settings)  # type: ignore[arg-type]


def archive(folder: Path, days: int = 31) -> Path:
    """The first days of the month as JSON lines."""
    file = folder / "month.jsonl"
    last = f"2025-03-{days + 1:02d}" if days < 31 else "2025-04"
    rows = [row for row in month.headlines() if row["time"] < last]
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return file


def monitor(store: Store, file: Path, **changes: object) -> Monitor:
    """A monitor of that archive; a clock that stands still, so that what is stored can be compared."""
    return Monitor(plan(**changes), store, [Intake(ArchiveSource(file, span=Span()), Normaliser())], clock=lambda: 0.0)


def remembered(made: Monitor) -> dict[object, object]:
    """What the detectors and the alarm remember, series by series, to the bit."""
    detectors = made.alarm.detectors
    return {
        **{name: detectors.column(name) for name in detectors.places},
        "rest": (made.alarm.state(), detectors.clock()),
    }


def stored(store: Store) -> dict[str, list[bytes]]:
    """Digests of the rows of every table that the stream fills; documents in their order, whose numbers have gaps on
    PostgreSQL where a transaction was lost."""
    with store.read() as connection:
        found = {
            table.name: [(row.pop("number", 0), contents.digest(row)) for row in contents.rows(connection, table)]
            for table in contents.tables()
            if table.name in COMPARED
        }
    return {name: [digest for _, digest in sorted(rows)] for name, rows in found.items()}
