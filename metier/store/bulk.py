"""Many rows at once: in, over those that are there, added to those that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Row, Table, UniqueConstraint

MANY = 500
"""Rows, or ids, of one statement: SQLite takes 32,766 values at a time."""
T = TypeVar("T")


def put(
    connection: Connection,
    table: Table,
    rows: Iterable[Mapping[str, Any]],
    *,
    add: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
) -> None:
    """Writes rows, all with the same columns; one that is there is written over.

    Args:
        connection: of `Store.write`.
        table: where.
        rows: the columns of each.
        add: numbers that are added to those that are there.
        keep: columns that stay as they are where a row is there.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    keys = _keys(table)
    for row in rows:
        key = tuple(row[name] for name in keys)
        before = merged.get(key)
        merged[key] = dict(row) if before is None else {**row, **{name: before[name] + row[name] for name in add}}
    if merged:
        values = list(merged.values())
        connection.execute(_upsert(table, connection.dialect.name, tuple(values[0]), add, keep), values)


def add(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Writes the rows that are not there yet; the first key column of those that were written."""
    written: set[str] = set()
    for part in parts(rows):
        statement = _insert(table, connection.dialect.name, tuple(part[0]))
        written.update(connection.execute(statement, list(part)).scalars())
    return written


def parts(values: Iterable[T], size: int = MANY) -> Iterator[Sequence[T]]:
    """The values, so many at a time."""
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part


def _keys(table: Table) -> tuple[str, ...]:
    """The columns by which a row is the same: those that are unique beside a number, else the primary key."""
    unique = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
    if "number" in table.primary_key.columns and unique:
        return tuple(column.name for column in unique[0].columns)
    return tuple(column.name for column in table.primary_key.columns)


def _dialect(name: str) -> Callable[[Table], Any]:
    if name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as into_sqlite

        return into_sqlite
    from sqlalchemy.dialects.postgresql import insert as into_postgresql

    return into_postgresql


@cache
def _upsert(
    table: Table, dialect: str, columns: tuple[str, ...], add: tuple[str, ...], keep: tuple[str, ...]
) -> Insert:
    into = _dialect(dialect)(table)
    keys = _keys(table)
    changed: dict[str, Any] = {
        name: table.c[name] + into.excluded[name] if name in add else into.excluded[name]
        for name in columns
        if name not in keys and name not in keep
    }
    statement: Insert = (
        into.on_conflict_do_update(index_elements=list(keys), set_=changed)
        if changed
        else into.on_conflict_do_nothing(index_elements=list(keys))
    )
    return statement


@cache
def _insert(table: Table, dialect: str, columns: tuple[str, ...]) -> Insert:
    keys = _keys(table)
    statement: Insert = (
        _dialect(dialect)(table).on_conflict_do_nothing(index_elements=list(keys)).returning(table.c[keys[0]])
    )
    return statement


# -- dataclasses and rows ----------------------------------------------------------------------------------------
def columns_of(values: Iterable[Any], *left_out: str) -> Iterator[dict[str, Any]]:
    """The columns of frozen dataclasses of one kind, whose fields are named as the columns are."""
    names: list[str] = []
    for value in values:
        if not names:
            names = [field.name for field in fields(value) if field.name not in left_out]
            get = attrgetter(*names)
        yield dict(zip(names, get(value), strict=True))


def read_as(kind: type[T], row: Row[Any]) -> T:
    """A row as a dataclass; columns that it has no field for are left out."""
    mapping = row._mapping  # SQLAlchemy's public name for it
    names: Iterable[str] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: mapping[name] for name in names if name in mapping})
