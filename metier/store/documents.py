"""The documents, the companies that they name, and what keeps them from being forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from metier.store import bulk
from metier.store.tables import documents, mentions, pins, unlinked
from metier.types import NOTHING


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is kept, with what was understood of it.

    Args:
        id: equal for the same document sent twice.
        text: all of it.
        time: what it is counted by, seconds since 1970, UTC; `received` likewise, when it came.
        version: of the run that understood it.
        topics, sentiment: as JSON has them, scores included.
        story: the id of its story.
        subject: the person or customer whose text it is, by whose id it can be erased.
        number: the place in the order of arrival; given by the store.
        erased: when the text was erased.
        tick: the start of the tick that it counts in; none where it came too late for any.
        vector: of its meaning, as its app packs it.
    """

    id: str
    text: str
    time: float
    received: float
    source: str = ""
    url: str = ""
    language: str = ""
    meta: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    version: str = ""
    topics: Any = None
    sentiment: Any = None
    story: str | None = None
    subject: str | None = None
    number: int | None = None
    erased: float | None = None
    tick: float | None = None
    vector: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredMention:
    """A company in a document: characters `start` to `end`, how it was found, how sure that is, what is said of it."""

    document: str
    company: str
    start: int
    end: int
    surface: str = ""
    how: str = ""
    score: float = 1.0
    sentiment: Any = None


def add(connection: Connection, found: Iterable[StoredDocument]) -> set[str]:
    """Keeps documents, numbered in this order; the ids of those that were not there. The others stay as they are."""
    return bulk.add(connection, documents, bulk.columns_of(found, "number"))


def put(connection: Connection, found: Iterable[StoredDocument]) -> None:
    """Keeps documents, over those that are there; their numbers stay."""
    bulk.put(connection, documents, bulk.columns_of(found, "number"))


def assign(connection: Connection, story_of: Mapping[str, str]) -> None:
    """Moves documents (ids) to stories (ids)."""
    if story_of:
        statement = update(documents).where(documents.c.id == bindparam("which")).values(story=bindparam("to"))
        connection.execute(statement, [{"which": which, "to": to} for which, to in story_of.items()])


def known(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are there."""
    return {
        id
        for part in bulk.parts(ids)
        for id in connection.execute(select(documents.c.id).where(documents.c.id.in_(part))).scalars()
    }


def get(connection: Connection, id: str) -> StoredDocument | None:
    """One document."""
    row = connection.execute(select(documents).where(documents.c.id == id)).first()
    return None if row is None else bulk.read_as(StoredDocument, row)


def many(connection: Connection, ids: Iterable[str]) -> dict[str, StoredDocument]:
    """The documents with these ids, those that are there, in the order of the ids."""
    ids = list(ids)
    found = {
        one.id: one
        for part in bulk.parts(ids)
        for one in _each(connection, select(documents).where(documents.c.id.in_(part)))
    }
    return {id: found[id] for id in ids if id in found}


def arrived(connection: Connection, after: int = 0, limit: int | None = None) -> Iterator[StoredDocument]:
    """The documents in the order of arrival, from the one after number `after`; read a little at a time."""
    statement = select(documents).where(documents.c.number > after).order_by(documents.c.number).limit(limit)
    return _each(connection, statement)


def between(
    connection: Connection,
    start: float,
    end: float,
    *,
    after: tuple[float, str] | None = None,
    limit: int | None = None,
) -> Iterator[StoredDocument]:
    """The documents of a time, `start` inclusive to `end` exclusive, by time and id.

    Args:
        connection: of `Store.read`.
        start: seconds since 1970, UTC.
        end: likewise.
        after: time and id of the last one that was seen, where a page follows another.
        limit: so many at most.
    """
    order = tuple_(documents.c.time, documents.c.id)
    statement = select(documents).where(documents.c.time >= start, documents.c.time < end)
    if after is not None:
        statement = statement.where(order > tuple_(*after))
    return _each(connection, statement.order_by(documents.c.time, documents.c.id).limit(limit))


def of_story(connection: Connection, story: str, limit: int | None = None) -> list[StoredDocument]:
    """The documents of a story, the first that came first."""
    statement = select(documents).where(documents.c.story == story).order_by(documents.c.number).limit(limit)
    return list(_each(connection, statement))


def latest(connection: Connection) -> float | None:
    """The latest time of any document."""
    found: float | None = connection.execute(select(func.max(documents.c.time))).scalar_one()
    return found


def since(connection: Connection, time: float) -> Iterator[StoredDocument]:
    """The documents whose time is not before `time`, in the order of arrival."""
    return _each(connection, select(documents).where(documents.c.time >= time).order_by(documents.c.number))


def counted(
    connection: Connection, start: float, end: float, companies: Iterable[str] | None = None, limit: int = 20_000
) -> list[StoredDocument]:
    """First documents of stories that count in the ticks that start at `start` or later and before `end`.

    Args:
        connection: of `Store.read` or `Store.write`.
        start: seconds since 1970, UTC.
        end: likewise.
        companies: only those that name one of these.
        limit: the latest so many.

    Returns the documents in the order of arrival.
    """
    statement = select(documents).where(documents.c.tick >= start, documents.c.tick < end)
    statement = statement.where(documents.c.id == documents.c.story)
    if companies is not None:
        named = select(mentions.c.document).where(mentions.c.company.in_(sorted(companies)))
        statement = statement.where(documents.c.id.in_(named))
    return list(_each(connection, statement.order_by(documents.c.number.desc()).limit(limit)))[::-1]


def told(connection: Connection, start: float, end: float) -> Iterator[StoredDocument]:
    """The documents, copies too, that count in the ticks that start at `start` or later and before `end`, as they
    arrived."""
    statement = select(documents).where(documents.c.tick >= start, documents.c.tick < end)
    return _each(connection, statement.order_by(documents.c.number))


def heats(connection: Connection, stories: Iterable[str], end: float) -> dict[str, int]:
    """How many documents each story has that count in ticks that start before `end`."""
    found: dict[str, int] = {}
    for part in bulk.parts(stories):
        statement = select(documents.c.story, func.count()).where(documents.c.story.in_(part), documents.c.tick < end)
        found.update(
            (str(story), int(heat)) for story, heat in connection.execute(statement.group_by(documents.c.story))
        )
    return found


def version_of(connection: Connection, start: float, end: float) -> str:
    """The run that understood the latest document that counts in these ticks; empty where there is none."""
    statement = select(documents.c.version).where(documents.c.tick >= start, documents.c.tick < end)
    return connection.execute(statement.order_by(documents.c.number.desc()).limit(1)).scalar() or ""


def count(connection: Connection) -> int:
    """How many documents there are."""
    return int(connection.execute(select(func.count()).select_from(documents)).scalar_one())


def _each(connection: Connection, statement: Any) -> Iterator[StoredDocument]:
    yield from bulk.read_each(StoredDocument, connection, statement)


# -- companies ---------------------------------------------------------------------------------------------------
def mention(connection: Connection, found: Iterable[StoredMention]) -> None:
    """Keeps mentions, over those at the same place. Their documents have to be there."""
    bulk.put(connection, mentions, bulk.columns_of(found))


def mentions_of(connection: Connection, ids: Iterable[str]) -> dict[str, list[StoredMention]]:
    """The mentions in documents, in the order of the text."""
    found: dict[str, list[StoredMention]] = {}
    for part in bulk.parts(ids):
        statement = (
            select(mentions).where(mentions.c.document.in_(part)).order_by(mentions.c.document, mentions.c.start)
        )
        for row in connection.execute(statement):
            found.setdefault(row.document, []).append(bulk.read_as(StoredMention, row))
    return found


def naming(connection: Connection, company: str, start: float, end: float, limit: int = 100) -> list[StoredDocument]:
    """The documents of a time that name a company, the newest first."""
    named = select(mentions.c.document).where(mentions.c.company == company)
    statement = select(documents).where(documents.c.id.in_(named), documents.c.time >= start, documents.c.time < end)
    return list(_each(connection, statement.order_by(documents.c.time.desc(), documents.c.id).limit(limit)))


def unlink(connection: Connection, counts: Mapping[str, int], at: float) -> None:
    """Adds to how often names were seen that belong to no company that is known."""
    rows = ({"surface": surface, "count": count, "last": at} for surface, count in counts.items())
    bulk.put(connection, unlinked, rows, add=("count",))


def unlinked_names(connection: Connection, limit: int = 100) -> list[tuple[str, int, float]]:
    """`(name, count, last seen)`, the most frequent first."""
    order = (unlinked.c.count.desc(), unlinked.c.surface)
    statement = select(unlinked.c.surface, unlinked.c.count, unlinked.c.last).order_by(*order).limit(limit)
    return [(surface, count, last) for surface, count, last in connection.execute(statement)]


def link(connection: Connection, surfaces: Iterable[str]) -> None:
    """Takes names off that list."""
    for part in bulk.parts(surfaces):
        connection.execute(delete(unlinked).where(unlinked.c.surface.in_(part)))


# -- pins --------------------------------------------------------------------------------------------------------
def pin(connection: Connection, kind: str, ids: Iterable[str], by: str) -> None:
    """Keeps documents or stories from being forgotten.

    Args:
        connection: of `Store.write`.
        kind: `document` or `story`; with a story its documents stay.
        ids: which.
        by: who holds them: `alert:ID`, `interaction:ID`, `person:NAME`.
    """
    bulk.put(connection, pins, ({"kind": kind, "subject": id, "by": by} for id in ids))


def unpin(connection: Connection, by: str) -> None:
    """Lets go of all that somebody held."""
    connection.execute(delete(pins).where(pins.c.by == by))


def pinned(connection: Connection, by: str) -> dict[str, list[str]]:
    """What somebody holds: ids by kind."""
    found: dict[str, list[str]] = {}
    statement = select(pins.c.kind, pins.c.subject).where(pins.c.by == by).order_by(pins.c.kind, pins.c.subject)
    for kind, subject in connection.execute(statement):
        found.setdefault(kind, []).append(subject)
    return found
