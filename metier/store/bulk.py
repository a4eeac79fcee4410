"""Many rows at once: in, over those that are there, added to those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, Table, UniqueConstraint, bindparam, func, select

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
    _execute(connection, table, list(merged.values()), (True, add, keep))


def add(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Writes the rows that are not there yet; the first key column of those that were written."""
    return set(_execute(connection, table, list(rows), (False, (), ())))


def add_all(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows, none of which is there."""
    for part in parts(rows):
        connection.execute(table.insert(), list(part))


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


# -- statements --------------------------------------------------------------------------------------------------
How = tuple[bool, tuple[str, ...], tuple[str, ...]]
"""Whether rows that are there are written over, and then which columns are added and which are kept."""


def _execute(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], how: How) -> list[str]:
    """Writes the rows; where none is written over, the first key column of those that were written."""
    if not rows:
        return []
    columns = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        arrays = {name: [row[name] for row in rows] for name in columns}
        result = connection.execute(_arrays(table, columns, how), arrays)
        return [] if how[0] else list(result.scalars())
    written: list[str] = []
    if not how[0]:  # nobody else writes meanwhile: looking first is faster than asking each row what became of it
        rows = _new(connection, table, rows)
        written = [row[_keys(table)[0]] for row in rows]
    if rows:
        connection.execute(_values(table, columns, how), rows)
    return written


def _new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows whose key is not there, each key once."""
    key = table.c[_keys(table)[0]]
    first: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(row[key.name], row)
    for part in parts(list(first)):
        for there in connection.execute(select(key).where(key.in_(part))).scalars():
            del first[there]
    return list(first.values())


@cache
def _values(table: Table, columns: tuple[str, ...], how: How) -> Any:
    """`INSERT ... VALUES`, a row at a time within SQLite."""
    from sqlalchemy.dialects.sqlite import insert

    return _resolved(insert(table), table, columns, how)


@cache
def _arrays(table: Table, columns: tuple[str, ...], how: How) -> Any:
    """`INSERT ... SELECT unnest(...)`: one array a column, which PostgreSQL reads several times as fast as rows."""
    from sqlalchemy.dialects.postgresql import ARRAY, insert

    each = [func.unnest(bindparam(name, type_=ARRAY(table.c[name].type, dimensions=1))) for name in columns]
    into = _resolved(insert(table).from_select(list(columns), select(*each)), table, columns, how)
    return into if how[0] else into.returning(table.c[_keys(table)[0]])


def _resolved(into: Any, table: Table, columns: tuple[str, ...], how: How) -> Any:
    over, add, keep = how
    keys = list(_keys(table))
    changed = {
        name: table.c[name] + into.excluded[name] if name in add else into.excluded[name]
        for name in columns
        if name not in keys and name not in keep
    }
    if over and changed:
        return into.on_conflict_do_update(index_elements=keys, set_=changed)
    return into.on_conflict_do_nothing(index_elements=keys)


# -- dataclasses and rows ----------------------------------------------------------------------------------------
def columns_of(values: Iterable[Any], *left_out: str) -> Iterator[dict[str, Any]]:
    """The columns of frozen dataclasses of one kind, whose fields are named as the columns are."""
    names: list[str] = []
    for value in values:
        if not names:
            names = [field.name for field in fields(value) if field.name not in left_out]
            get = attrgetter(*names)
        yield dict(zip(names, get(value), strict=True))


def streamed(connection: Connection, statement: Select[Any], size: int = 1000) -> Iterator[Row[Any]]:
    """The rows of a query, `size` of them in memory at a time; who stops early leaves nothing open."""
    with connection.execute(statement, execution_options={"yield_per": size}) as result:
        yield from result


def read_each(kind: type[T], connection: Connection, statement: Select[Any], size: int = 1000) -> Iterator[T]:
    """The rows of a query as dataclasses, likewise; columns that these have no field for are left out."""
    there = [column.name for column in statement.selected_columns]
    names = [name for name in kind.__dataclass_fields__ if name in there]  # type: ignore[attr-defined]
    get = itemgetter(*[there.index(name) for name in names])
    for row in streamed(connection, statement, size):
        yield kind(**dict(zip(names, get(row), strict=True)))


def read_as(kind: type[T], row: Row[Any]) -> T:
    """A row as a dataclass; columns that it has no field for are left out."""
    mapping = row._mapping  # SQLAlchemy's public name for it
    names: Iterable[str] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: mapping[name] for name in names if name in mapping})
