"""How far each source was read: committed with what was read, so that nothing is read twice or missed."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from metier.store import bulk
from metier.store.tables import positions


def put(connection: Connection, found: Mapping[str, str], at: float) -> None:
    """Keeps the positions of sources, by name, over those that are there."""
    rows = ({"source": source, "position": position, "at": at} for source, position in found.items())
    bulk.put(connection, positions, rows)


def get(connection: Connection) -> dict[str, str]:
    """The position of every source, by name."""
    found = connection.execute(select(positions.c.source, positions.c.position))
    return {row.source: row.position for row in found}


def forget(connection: Connection, source: str) -> None:
    """A source is read from its beginning again."""
    connection.execute(delete(positions).where(positions.c.source == source))
