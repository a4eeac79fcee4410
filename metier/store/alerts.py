"""The alerts and what people do with them; silences, watchlists, events that were missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, select, tuple_, update

from metier.errors import DataError
from metier.store import bulk, documents
from metier.store.tables import alerts, missed, silences, watchlists
from metier.types import new_id

PEOPLES = (
    "owner", "acknowledged_by", "acknowledged_at", "snoozed_until", "verdict", "verdict_by", "verdict_at",
)  # fmt: skip
"""What people say of an alert: `put` leaves it alone, for it may be said while the engine is at work."""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as it is kept.

    Args:
        id: its id.
        topic, company: of its series.
        state: `pending`, `firing`, `resolved`.
        severity: as the monitor has it.
        since: when the surge began; `last`: the tick that it was last on; seconds since 1970, UTC, like all times.
        fired, resolved: when it came to these states.
        labels: what matchers read.
        evidence: what it rests on, as JSON has it.
        details: whatever else its owner keeps.
        owner, acknowledged_by, acknowledged_at, snoozed_until, verdict, verdict_by, verdict_at: what people said.
    """

    id: str
    topic: str
    company: str
    state: str
    since: float
    last: float
    severity: str = ""
    fired: float | None = None
    resolved: float | None = None
    labels: Any = None
    evidence: Any = None
    details: Any = None
    owner: str | None = None
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None
    snoozed_until: float | None = None
    verdict: str | None = None
    verdict_by: str | None = None
    verdict_at: float | None = None


def put(connection: Connection, alert: StoredAlert, *, stories: Iterable[str] = (), texts: Iterable[str] = ()) -> None:
    """Keeps an alert, over the one that is there, but for what people said of that.

    Args:
        connection: of `Store.write`.
        alert: the alert.
        stories: ids of the stories that it rests on: they and their documents are not forgotten.
        texts: ids of single documents that it rests on, likewise.
    """
    bulk.put(connection, alerts, bulk.columns_of([alert]), keep=PEOPLES)
    documents.pin(connection, "story", stories, f"alert:{alert.id}")
    documents.pin(connection, "document", texts, f"alert:{alert.id}")


def get(connection: Connection, id: str) -> StoredAlert | None:
    """One alert."""
    row = connection.execute(select(alerts).where(alerts.c.id == id)).first()
    return None if row is None else bulk.read_as(StoredAlert, row)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts: in one of these states, of this topic, of this company, begun at `start` or later and before
    `end`; of one of these severities, of this owner, with this verdict (empty: with none yet); before `(since, id)` of
    the last one that was seen, where a page follows another. What is `None` is open."""

    states: Sequence[str] | None = None
    topic: str | None = None
    company: str | None = None
    start: float | None = None
    end: float | None = None
    before: tuple[float, str] | None = None
    severities: Sequence[str] | None = None
    owner: str | None = None
    verdict: str | None = None


def listing(connection: Connection, wanted: Wanted | None = None, limit: int | None = 100) -> list[StoredAlert]:
    """The alerts that are wanted, the latest first."""
    wanted = wanted or Wanted()
    statement = select(alerts).order_by(alerts.c.since.desc(), alerts.c.id.desc()).limit(limit)
    statement = _said_of(statement, wanted)
    if wanted.states is not None:
        statement = statement.where(alerts.c.state.in_(wanted.states))
    if wanted.topic is not None:
        statement = statement.where(alerts.c.topic == wanted.topic)
    if wanted.company is not None:
        statement = statement.where(alerts.c.company == wanted.company)
    if wanted.start is not None:
        statement = statement.where(alerts.c.since >= wanted.start)
    if wanted.end is not None:
        statement = statement.where(alerts.c.since < wanted.end)
    if wanted.before is not None:
        statement = statement.where(tuple_(alerts.c.since, alerts.c.id) < tuple_(*wanted.before))
    return list(bulk.read_each(StoredAlert, connection, statement))


def _said_of(statement: Any, wanted: Wanted) -> Any:
    """How bad it is, whose it is, and what was said of it."""
    if wanted.severities is not None:
        statement = statement.where(alerts.c.severity.in_(wanted.severities))
    if wanted.owner is not None:
        statement = statement.where(alerts.c.owner == wanted.owner)
    if wanted.verdict is not None:
        statement = statement.where(
            alerts.c.verdict == wanted.verdict if wanted.verdict else alerts.c.verdict.is_(None)
        )
    return statement


def acknowledge(connection: Connection, id: str, who: str, at: float) -> None:
    """Somebody looks after it. Raises `DataError` where there is no such alert, like all that people do."""
    _say(connection, id, acknowledged_by=who, acknowledged_at=at)


def snooze(connection: Connection, id: str, until: float | None) -> None:
    """No notices of it until then; `None`: at once again."""
    _say(connection, id, snoozed_until=until)


def own(connection: Connection, id: str, owner: str | None) -> None:
    """Whose it is."""
    _say(connection, id, owner=owner)


def judge(connection: Connection, id: str, verdict: str, who: str, at: float) -> None:
    """What it turned out to be; the last word counts. The interaction is kept beside it, by `interactions.add`."""
    _say(connection, id, verdict=verdict, verdict_by=who, verdict_at=at)


def _say(connection: Connection, id: str, **said: Any) -> None:
    if not connection.execute(update(alerts).where(alerts.c.id == id).values(**said)).rowcount:
        raise DataError(f"There is no alert {id!r}.", hint="the list of alerts")


# -- silences ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Silence:
    """No notices of alerts that the matchers (as JSON has them) meet, `starts` inclusive to `ends` exclusive."""

    matchers: Any
    starts: float
    ends: float
    by: str
    comment: str = ""
    id: str = field(default_factory=new_id)


def silence(connection: Connection, found: Silence) -> None:
    """Keeps a silence, over the one that is there."""
    bulk.put(connection, silences, bulk.columns_of([found]))


def silenced(connection: Connection, now: float | None = None) -> list[Silence]:
    """The silences that are on at a time, or all of them, the one that ends last first."""
    statement = select(silences).order_by(silences.c.ends.desc(), silences.c.id)
    if now is not None:
        statement = statement.where(silences.c.starts <= now, silences.c.ends > now)
    return list(bulk.read_each(Silence, connection, statement))


def unsilence(connection: Connection, id: str, now: float) -> None:
    """Ends a silence now; that it was stays known. Raises `DataError` where there is none that is on or to come."""
    ended = update(silences).where(silences.c.id == id, silences.c.ends > now).values(ends=now)
    if not connection.execute(ended).rowcount:
        raise DataError(f"There is no silence {id!r} that could be ended.", hint="the list of silences")


# -- watchlists and missed events --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Watchlist:
    """Topics and companies that a person follows."""

    name: str
    owner: str
    topics: Sequence[str] = ()
    companies: Sequence[str] = ()
    at: float = 0.0
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Missed:
    """An event that somebody says no alert told of: a labelled example of where a detector should have fired.

    Args:
        topic, company: of the series.
        starts, ends: of the event, seconds since 1970, UTC.
        who: says so.
        at: when it was said.
        comment: in their words.
        documents: ids of some that show it.
    """

    topic: str
    company: str
    starts: float
    ends: float
    who: str
    at: float
    comment: str = ""
    documents: Sequence[str] = ()
    id: str = field(default_factory=new_id)


def watch(connection: Connection, found: Watchlist) -> None:
    """Keeps a watchlist, over the one that is there."""
    bulk.put(connection, watchlists, bulk.columns_of([found]))


def watched(connection: Connection, owner: str | None = None) -> list[Watchlist]:
    """The watchlists of a person, or of all, by name."""
    statement = select(watchlists).order_by(watchlists.c.name, watchlists.c.id)
    if owner is not None:
        statement = statement.where(watchlists.c.owner == owner)
    return list(bulk.read_each(Watchlist, connection, statement))


def unwatch(connection: Connection, id: str) -> None:
    """Removes a watchlist."""
    _remove(connection, watchlists, id, "watchlist")


def miss(connection: Connection, found: Missed) -> None:
    """Keeps an event that was missed, over the one that is there; its documents are not forgotten.

    Raises:
        DataError: where it ends before it starts.
    """
    if found.ends < found.starts:
        raise DataError("The event ends before it starts.", expected="two times in their order")
    bulk.put(connection, missed, bulk.columns_of([found]))
    documents.pin(connection, "document", found.documents, f"missed:{found.id}")


def missed_events(connection: Connection, start: float | None = None, end: float | None = None) -> list[Missed]:
    """The events that were missed, of a time or of all, in order."""
    statement = select(missed).order_by(missed.c.starts, missed.c.id)
    if start is not None:
        statement = statement.where(missed.c.starts >= start)
    if end is not None:
        statement = statement.where(missed.c.starts < end)
    return list(bulk.read_each(Missed, connection, statement))


def withdraw(connection: Connection, id: str) -> None:
    """Takes back that an event was missed."""
    _remove(connection, missed, id, "missed event")
    documents.unpin(connection, f"missed:{id}")


def _remove(connection: Connection, table: Table, id: str, noun: str) -> None:
    if not connection.execute(delete(table).where(table.c.id == id)).rowcount:
        raise DataError(f"There is no {noun} {id!r}.")
