"""What came back of predictions that were shown: one table for all applications, which training reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from metier.errors import DataError, nearest
from metier.store import bulk, documents
from metier.store.tables import interactions
from metier.types import VERDICTS, WITH_CORRECTION, Interaction


def add(connection: Connection, found: Iterable[Interaction]) -> int:
    """Keeps interactions, each once, however often it is sent; how many were new.

    Documents and stories that are judged are not forgotten: training reads them.

    Raises:
        DataError: see `require`; none is kept then.
    """
    found = list(found)
    for one in found:
        require(one)
    new = bulk.add(connection, interactions, bulk.columns_of(found))
    for one in found:
        if one.id in new and one.kind in ("document", "story"):
            documents.pin(connection, one.kind, [one.subject], f"interaction:{one.id}")
    return len(new)


def require(one: Interaction) -> None:
    """Raises `DataError` for a verdict that there is not, a correction that is missing or has no place, an empty
    name."""
    empty = [name for name in ("app", "kind", "subject", "who", "id") if not getattr(one, name)]
    if empty:
        raise DataError(f"An interaction has no {' and no '.join(empty)}.", expected="whose, what on, by whom")
    if one.verdict not in VERDICTS:
        raise DataError(
            f"There is no verdict {one.verdict!r}.{nearest(one.verdict, VERDICTS)}", expected=", ".join(VERDICTS)
        )
    if (one.correction is not None) != (one.verdict in WITH_CORRECTION):
        found = "has no correction" if one.correction is None else "has a correction"
        raise DataError(
            f"The verdict {one.verdict!r} {found}.",
            expected=f"a correction with {', '.join(sorted(WITH_CORRECTION))}, and with nothing else",
        )


def of(connection: Connection, kind: str, subject: str) -> list[Interaction]:
    """What was said of one thing, in the order in which it came."""
    statement = select(interactions).where(interactions.c.kind == kind, interactions.c.subject == subject)
    return list(bulk.read_each(Interaction, connection, statement.order_by(interactions.c.number)))


def since(
    connection: Connection, after: int = 0, *, app: str | None = None, head: str | None = None
) -> Iterator[tuple[int, Interaction]]:
    """`(number, interaction)` in the order in which they came, from the one after number `after`.

    Args:
        connection: of `Store.read`.
        after: the last number that was seen.
        app: of one application only.
        head: about one head only.
    """
    statement = select(interactions).where(interactions.c.number > after).order_by(interactions.c.number)
    if app is not None:
        statement = statement.where(interactions.c.app == app)
    if head is not None:
        statement = statement.where(interactions.c.head == head)
    for row in bulk.streamed(connection, statement):
        yield row.number, bulk.read_as(Interaction, row)


def counts(connection: Connection, app: str) -> dict[tuple[str, str], int]:
    """How many of each `(kind, verdict)` an application has."""
    columns: tuple[Any, ...] = (interactions.c.kind, interactions.c.verdict)
    statement = select(*columns, func.count()).where(interactions.c.app == app).group_by(*columns).order_by(*columns)
    return {(row[0], row[1]): row[2] for row in connection.execute(statement)}
