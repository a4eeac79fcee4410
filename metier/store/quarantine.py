"""What could not be read, kept as it came, with the reason, until somebody mends and replays it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from metier.store import bulk
from metier.store.tables import quarantine


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something that could not be read.

    Args:
        source: where it came from.
        raw: as it came.
        reason: why it could not be read.
        at: when it came, seconds since 1970, UTC.
        number: in the order of arrival; given by the store.
        replayed: when it was replayed.
    """

    source: str
    raw: str
    reason: str
    at: float
    number: int = 0
    replayed: float | None = None


def add(connection: Connection, found: Iterable[Quarantined]) -> None:
    """Keeps what could not be read."""
    rows = list(bulk.columns_of(found, "number"))
    if rows:
        connection.execute(insert(quarantine), rows)


def waiting(connection: Connection, after: int = 0, limit: int | None = None) -> Iterator[Quarantined]:
    """What was not replayed, the oldest first, from the one after number `after`."""
    statement = select(quarantine).where(quarantine.c.replayed.is_(None), quarantine.c.number > after)
    statement = statement.order_by(quarantine.c.number).limit(limit)
    yield from bulk.read_each(Quarantined, connection, statement, 100)


def replayed(connection: Connection, numbers: Iterable[int], at: float) -> None:
    """Marks what was replayed."""
    for part in bulk.parts(numbers):
        connection.execute(update(quarantine).where(quarantine.c.number.in_(part)).values(replayed=at))


def counts(connection: Connection) -> dict[str, int]:
    """How many wait, by source."""
    statement = select(quarantine.c.source, func.count()).where(quarantine.c.replayed.is_(None))
    statement = statement.group_by(quarantine.c.source).order_by(quarantine.c.source)
    return {row[0]: row[1] for row in connection.execute(statement)}
