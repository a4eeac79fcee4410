"""The stories: documents that tell the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, select, tuple_

from metier.store import bulk
from metier.store.tables import pins, stories


@dataclass(frozen=True, slots=True)
class StoredStory:
    """A story as it is kept.

    Args:
        id: its id.
        document: the id of the first document.
        first, last: the earliest and the latest time of its documents, seconds since 1970, UTC.
        heat: documents, copies too.
        topics, sentiment: as JSON has them.
    """

    id: str
    document: str | None
    first: float
    last: float
    heat: int = 1
    topics: Any = None
    sentiment: Any = None


def put(connection: Connection, found: Iterable[StoredStory]) -> None:
    """Keeps stories, over those that are there."""
    bulk.put(connection, stories, bulk.columns_of(found))


def get(connection: Connection, id: str) -> StoredStory | None:
    """One story."""
    row = connection.execute(select(stories).where(stories.c.id == id)).first()
    return None if row is None else bulk.read_as(StoredStory, row)


def many(connection: Connection, ids: Iterable[str]) -> dict[str, StoredStory]:
    """The stories with these ids, those that are there, in the order of the ids."""
    ids = list(ids)
    found = {
        one.id: one
        for part in bulk.parts(ids)
        for one in _each(connection, select(stories).where(stories.c.id.in_(part)))
    }
    return {id: found[id] for id in ids if id in found}


def alive(connection: Connection, since: float) -> Iterator[StoredStory]:
    """The stories with a document at or after a time, by their last time and id: what a window is rebuilt from."""
    statement = select(stories).where(stories.c.last >= since).order_by(stories.c.last, stories.c.id)
    return _each(connection, statement)


def newest(
    connection: Connection, limit: int = 100, *, before: tuple[float, str] | None = None
) -> Iterator[StoredStory]:
    """The stories that began last, the latest first.

    Args:
        connection: of `Store.read`.
        limit: so many at most.
        before: first time and id of the last one that was seen, where a page follows another.
    """
    statement = select(stories).order_by(stories.c.first.desc(), stories.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(tuple_(stories.c.first, stories.c.id) < tuple_(*before))
    return _each(connection, statement)


def pinned(connection: Connection, id: str) -> bool:
    """Whether somebody holds the story."""
    held = exists().where(pins.c.kind == "story", pins.c.subject == id)
    return bool(connection.execute(select(held)).scalar())


def _each(connection: Connection, statement: Any) -> Iterator[StoredStory]:
    yield from bulk.read_each(StoredStory, connection, statement)
