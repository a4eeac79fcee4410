"""The outbox: notices are stored with the alerts that they tell of, sent later, and marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Text, cast, select, update

from metier.store import bulk
from metier.store.tables import notices

WAITING, REPLAYED = "waiting", "replayed"


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice.

    Args:
        id: the same notice stored twice is sent once.
        receiver: whom it is for, by name.
        body: what is sent, as JSON has it.
        at: when it was stored, seconds since 1970, UTC, like all times.
        alerts: the ids of those that it tells of.
        state: `waiting`, `sent` or `failed`; `replayed`: an archive brought it, and nobody is told.
        tries: how often it was tried.
        again: not to be tried before.
        sent: when it was taken.
        fault: of the last try.
    """

    id: str
    receiver: str
    body: Any
    at: float
    alerts: Sequence[str] = field(default_factory=tuple)
    state: str = WAITING
    tries: int = 0
    again: float = 0.0
    sent: float | None = None
    fault: str = ""


def add(connection: Connection, found: Iterable[StoredNotice]) -> None:
    """Stores notices; those that are there stay as they are."""
    bulk.add(connection, notices, bulk.columns_of(found))


def waiting(connection: Connection, receiver: str, limit: int = 50) -> list[StoredNotice]:
    """The unsent notices of a receiver, the oldest first.

    Where several processes send, each takes those that no other holds (`FOR UPDATE SKIP LOCKED` on PostgreSQL), for as
    long as its transaction lasts.
    """
    statement = select(notices).where(notices.c.state == WAITING, notices.c.receiver == receiver)
    statement = statement.order_by(notices.c.at, notices.c.id).limit(limit)
    if connection.dialect.name == "postgresql" and not connection.get_execution_options().get("postgresql_readonly"):
        statement = statement.with_for_update(skip_locked=True)
    return list(bulk.read_each(StoredNotice, connection, statement))


def of_alert(connection: Connection, id: str, limit: int = 50) -> list[StoredNotice]:
    """The notices that tell of an alert, the latest first."""
    names_it = cast(notices.c.alerts, Text).contains(f'"{id}"', autoescape=True)
    statement = select(notices).where(names_it).order_by(notices.c.at.desc(), notices.c.id)
    return list(bulk.read_each(StoredNotice, connection, statement.limit(limit)))


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a notice; as in `StoredNotice`."""

    state: str
    tries: int
    again: float = 0.0
    sent: float | None = None
    fault: str = ""


def mark(connection: Connection, id: str, fate: Fate) -> None:
    """Writes down what became of a notice."""
    connection.execute(update(notices).where(notices.c.id == id).values(**asdict(fate)))
