"""What the store shows to people and programs, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection

from metier.apps.monitor.alerts.life import Alert, Deed
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.item import EVERYTHING
from metier.serve.monitor import acts
from metier.store import alerts, audit, documents, interactions, notices, stories, ticks
from metier.store.alerts import StoredAlert
from metier.store.documents import StoredDocument
from metier.store.ticks import StoredTick

DAY = 86_400.0
PEOPLE = ("owner", "acknowledged_by", "acknowledged_at", "snoozed_until", "verdict", "verdict_by", "verdict_at")


@dataclass(frozen=True, slots=True)
class Names:
    """What companies are called."""

    companies: Companies | None = None

    def of(self, id: str) -> str:
        """The name of a company by its id; the id where it is in no table."""
        known = self.companies.companies.get(id) if self.companies else None
        return known.name if known else id

    def like(self, text: str, seen: Iterable[str], limit: int = 30) -> list[dict[str, str]]:
        """Companies whose name, alias, ticker or id holds a text, those that begin with it first.

        Args:
            text: what was typed.
            seen: ids that were counted, whether they are in the table or not.
            limit: so many at most.
        """
        wanted = text.strip().casefold()
        table = self.companies.companies if self.companies else {}
        found = []
        for id in {*table, *(one for one in seen if one != EVERYTHING)}:
            one = table.get(id)
            known = (one.name, *one.aliases, *one.tickers, id) if one else (id,)
            hits = [name for name in known if wanted in name.casefold()]
            if wanted and hits:
                first = not any(name.casefold().startswith(wanted) for name in hits)
                found.append((first, known[0].casefold(), {"id": id, "name": known[0], "match": hits[0]}))
        return [row for _, _, row in sorted(found, key=lambda one: (*one[:2], one[2]["id"]))[:limit]]


# -- alerts ------------------------------------------------------------------------------------------------------------
def alert_row(stored: StoredAlert, names: Names) -> dict[str, Any]:
    """An alert as a row of a list."""
    alert = acts.current(stored)
    return {
        "id": stored.id, "status": stored.state, "severity": stored.severity, "points": alert.severity.points,
        "topic": stored.topic, "company": stored.company, "company_name": names.of(stored.company),
        "since": stored.since, "starts_at": stored.fired, "ends_at": stored.resolved, "updated_at": stored.last,
        "observed": alert.observed, "expected": round(alert.expected, 4), "detector": alert.detector,
        "share": round(alert.share, 4), "reopened": alert.reopened, "acknowledged": alert.acknowledged,
        "labels": dict(alert.labels), **{name: getattr(stored, name) for name in PEOPLE},
    }  # fmt: skip


def alert_page(connection: Connection, stored: StoredAlert, names: Names) -> dict[str, Any]:
    """An alert with its evidence, how its severity came about, and what was done to it."""
    alert = acts.current(stored)
    return alert_row(stored, names) | {
        "reason": {"en": alert.severity.en, "zh": alert.severity.zh},
        "evidence": stored.evidence or {},
        "history": history(connection, stored.id),
        "notices": told(connection, stored),
    }


def told(connection: Connection, stored: StoredAlert) -> list[dict[str, Any]]:
    """Who was told of an alert, and whether it reached them; the latest first."""
    kept = ("receiver", "state", "at", "sent", "tries", "fault")
    return [{name: getattr(one, name) for name in kept} for one in notices.of_alert(connection, stored.id)]


def history(connection: Connection, id: str) -> list[dict[str, Any]]:
    """What people did to an alert, in order."""
    words = {one.id: one.comment for one in interactions.of(connection, "alert", id)}
    return [
        {"what": one.what, "who": one.who, "at": one.at, **_told(one.details, words)}
        for one in reversed(audit.listing(connection, kind="alert", subject=id, limit=500))
    ]


def _told(details: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    shown = {name: value for name, value in details.items() if name != "interaction"}
    comment = words.get(str(details.get("interaction", "")), "")
    return shown | ({"comment": comment} if comment else {})


def exported(connection: Connection, found: Iterable[StoredAlert]) -> Iterable[Alert]:
    """Alerts as `export` writes them, with the last verdict and what was said."""
    for stored in found:
        said = [one for one in interactions.of(connection, "alert", stored.id) if one.comment]
        deeds = [Deed("comment", one.who, one.at, "", one.comment) for one in said]
        if stored.verdict and stored.verdict_at is not None:
            deeds.append(Deed("verdict", stored.verdict_by or "", stored.verdict_at, stored.verdict))
        yield replace(acts.current(stored), deeds=tuple(sorted(deeds, key=lambda deed: deed.at)))


# -- series ------------------------------------------------------------------------------------------------------------
def tick_length(connection: Connection) -> float:
    """Seconds of a tick, as the stored ones lie apart; 0 where there are not two."""
    last = ticks.span(connection)
    if last is None:
        return 0.0
    starts = [row.start for row in ticks.of_series(connection, EVERYTHING, EVERYTHING, last[1] - 3 * DAY, math.inf)]
    return min((after - before for before, after in zip(starts, starts[1:], strict=False)), default=0.0)


def series_rows(connection: Connection, topic: str, company: str, start: float, end: float) -> list[dict[str, Any]]:
    """The ticks of a series, each with what was expected, in the form of the evidence of an alert.

    The series of everything has a row in every tick, so that the silence of another one is told from a gap.
    """
    whole = ticks.of_series(connection, EVERYTHING, EVERYTHING, start, end)
    own = {row.start: row for row in ticks.of_series(connection, topic, company, start, end)}
    return [tick_row(own.get(row.start) or StoredTick(topic, company, row.start, total=row.total, open=row.open))
            for row in whole]  # fmt: skip


def tick_row(row: StoredTick) -> dict[str, Any]:
    """A tick with its signal as one row."""
    counts = ("start", "stories", "negatives", "uncertain", "sentiment", "heat", "total", "open")
    shown: dict[str, Any] = {name: getattr(row, name) for name in counts}
    if row.signal:
        shown |= {name: round(row.signal[name], 4) for name in ("expected", "low", "high")}
        for name in ("statistic", "threshold"):
            numbers = {key: value for key, value in row.signal[name].items() if math.isfinite(value)}
            shown[name] = {key: round(value, 4) for key, value in numbers.items()}
        shown["firing"] = list(row.signal.get("firing", ()))
    return shown


def series_alerts(connection: Connection, topic: str, company: str, start: float, end: float) -> list[StoredAlert]:
    """The alerts of one series that were on in a time, the latest first."""
    wanted = alerts.Wanted(topic=topic, company=company, end=end)
    found = alerts.listing(connection, wanted, 200)
    return [one for one in found if (one.resolved if one.resolved is not None else one.last) >= start]


# -- stories and documents ---------------------------------------------------------------------------------------------
def document_row(connection: Connection, found: Sequence[StoredDocument], names: Names) -> list[dict[str, Any]]:
    """Documents with the companies that they name."""
    named = documents.mentions_of(connection, [one.id for one in found])
    return [
        {
            "id": one.id, "text": one.text, "time": one.time, "received": one.received, "source": one.source,
            "url": one.url, "language": one.language, "story": one.story, "run": one.version, "topics": one.topics,
            "sentiment": one.sentiment, "erased": one.erased,
            "mentions": [
                {name: value for name, value in asdict(mention).items() if name != "document"}
                | {"name": names.of(mention.company)}
                for mention in named.get(one.id, ())
            ],
        }
        for one in found
    ]  # fmt: skip


def story_page(connection: Connection, id: str, names: Names, limit: int = 200) -> dict[str, Any] | None:
    """A story with its documents, or `None`."""
    story = stories.get(connection, id)
    if story is None:
        return None
    found = documents.of_story(connection, id, limit)
    return {
        "id": story.id, "first": story.first, "last": story.last, "heat": story.heat, "topics": story.topics,
        "sentiment": story.sentiment, "pinned": stories.pinned(connection, id),
        "documents": document_row(connection, found, names),
    }  # fmt: skip
