"""What a store holds, in figures that are equal for equal contents, whichever database it is in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, func, select

from metier.store import bulk
from metier.store import support_tables as _support  # noqa: F401 (the tables join the MetaData)
from metier.store import tables as _house  # noqa: F401
from metier.store.columns import canonical
from metier.store.schema import metadata

MODULUS = 2**256


def tables() -> list[Table]:
    """All tables, those that others point to first."""
    return list(metadata.sorted_tables)


def digests(connection: Connection) -> dict[str, tuple[int, str]]:
    """`(rows, digest)` of every table: the sum of the SHA-256 of its rows, in whatever order they come."""
    return {table.name: _digest(rows(connection, table)) for table in tables()}


def counts(connection: Connection) -> dict[str, int]:
    """How many rows every table has."""
    return {
        table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one()) for table in tables()
    }


def rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """The rows of a table, by primary key."""
    statement = select(table).order_by(*table.primary_key.columns)
    names = [column.name for column in table.columns]
    for row in bulk.streamed(connection, statement):
        yield dict(zip(names, row, strict=True))


def _digest(found: Iterator[dict[str, Any]]) -> tuple[int, str]:
    count, total = 0, 0
    for row in found:
        count += 1
        total += int.from_bytes(digest(row), "big")
    return count, f"{total % MODULUS:064x}"


def digest(row: dict[str, Any]) -> bytes:
    """SHA-256 of a row."""
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
    return hashlib.sha256(canonical(plain).encode()).digest()
