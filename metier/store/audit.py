"""The audit log: who did what, on what, when. Rows are only ever added; the database refuses anything else.

Each row holds the SHA-256 of its content and of the row before it (a hash chain: Haber & Stornetta 1991), so that a row
that somebody changes, removes or slips in past the database's refusal is found by `verify`. A log whose end was cut off
is whole up to there: whoever wants to notice that, too, notes the `head` somewhere else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text

from metier.store import bulk
from metier.store.columns import canonical, clean
from metier.store.tables import audit
from metier.types import NOTHING

START = "0" * 64
"""What stands for the row before the first one."""
LOCK = 0x4D65746965720002
"""On PostgreSQL those who append take turns, each until its transaction ends."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act.

    Args:
        who: the name of a person or key, or of the part of Metier that acted by itself.
        what: the act, a verb: `acknowledge`, `log in`, `erase`.
        at: when, seconds since 1970, UTC.
        kind: what it was done to (`alert`), and `subject`, the id of that.
        details: as JSON has them; no texts of customers, for nothing here can be erased.
        number: the place in the log; given by the store.
        hash: of the row; given by the store.
    """

    who: str
    what: str
    at: float
    kind: str = ""
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    number: int = 0
    hash: str = ""


def append(connection: Connection, *entries: Entry) -> str:
    """Adds entries, in this order; the hash of the last row."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    number, previous = head(connection)
    rows = []
    for number, entry in enumerate(entries, number + 1):  # noqa: B020 (goes on from the head's)
        row = {
            "number": number, "at": float(entry.at), "who": clean(entry.who), "what": clean(entry.what),
            "kind": clean(entry.kind), "subject": clean(entry.subject), "details": canonical(entry.details),
            "previous": previous,
        }  # fmt: skip
        previous = row["hash"] = _hash(row)
        rows.append(row)
    if rows:
        connection.execute(insert(audit), rows)
    return previous


def head(connection: Connection) -> tuple[int, str]:
    """`(number, hash)` of the last row."""
    row = connection.execute(select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)).first()
    return (0, START) if row is None else (row.number, row.hash)


def last(connection: Connection, who: str, what: str) -> float:
    """When somebody did something last, seconds since 1970; minus infinity: never."""
    found = connection.execute(select(func.max(audit.c.at)).where(audit.c.who == who, audit.c.what == what)).scalar()
    return -math.inf if found is None else float(found)


def verify(connection: Connection, noted: tuple[int, str] | None = None) -> int | None:
    """The number of the first row that is not as it was written; `None` where all are.

    Args:
        connection: of `Store.read`.
        noted: a `head` that was noted earlier: where it is not in the log any more, its number is the answer.
    """
    expected, previous = 1, START
    for row in bulk.streamed(connection, select(audit).order_by(audit.c.number)):
        content = {name: row._mapping[name] for name in audit.c.keys()}  # noqa: SIM118 (a collection, no mapping)
        if row.number != expected or row.previous != previous or row.hash != _hash(content):
            return expected
        if noted is not None and noted[0] == row.number and noted[1] != row.hash:
            return expected
        expected, previous = expected + 1, row.hash
    return noted[0] if noted is not None and noted[0] >= expected else None


def listing(
    connection: Connection, *, before: int | None = None, kind: str | None = None, subject: str | None = None,
    limit: int = 100,
) -> list[Entry]:  # fmt: skip
    """The entries, the latest first: before a number, about a kind of thing, about one thing."""
    statement = select(audit).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit.c.number < before)
    if kind is not None:
        statement = statement.where(audit.c.kind == kind)
    if subject is not None:
        statement = statement.where(audit.c.subject == subject)
    return [_entry(row) for row in connection.execute(statement)]


def _hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of the row's content and of the previous row's hash, as a JSON array."""
    names = ("previous", "number", "at", "who", "what", "kind", "subject", "details")
    return hashlib.sha256(canonical([row[name] for name in names]).encode()).hexdigest()


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        row.who, row.what, row.at, row.kind, row.subject, json.loads(row.details), number=row.number, hash=row.hash
    )
