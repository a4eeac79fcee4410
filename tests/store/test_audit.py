"""The audit log: it grows, it refuses, it notices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from metier.errors import StoreError
from metier.store import audit
from metier.store.audit import Entry
from metier.store.store import Store

ENTRIES = [Entry("ann", "log in", 1.1), Entry("ann", "judge", 2.2, "alert", "a1", {"verdict": "石", "p": 0.1}),
           Entry("bob\x00", "erase", 3.3, "subject"), Entry("bob", "log in", 4.4)]  # fmt: skip
COLUMNS = "at, who, what, kind, subject, details, previous, hash"


def test_what_was_done_comes_back_and_is_whole(store):
    with store.write() as connection:
        assert audit.head(connection) == (0, audit.START) and audit.verify(connection) is None
        audit.append(connection, *ENTRIES[:2])
        last = audit.append(connection, *ENTRIES[2:])
        assert audit.append(connection) == last and audit.head(connection) == (4, last)
        assert audit.verify(connection) is None and audit.verify(connection, (4, last)) is None
        found = audit.listing(connection)
        assert [one.number for one in found] == [4, 3, 2, 1] and found[2].details == {"verdict": "石", "p": 0.1}
        assert [one.what for one in audit.listing(connection, kind="alert", subject="a1")] == ["judge"]
        assert [one.number for one in audit.listing(connection, before=3, limit=1)] == [2]


def test_the_chain_is_the_same_on_both_databases(tmp_path, store):
    with Store.open(tmp_path / "other.db") as other:
        heads = []
        for one in (store, other):
            with one.write() as connection:
                heads.append(audit.append(connection, *ENTRIES))
    assert heads[0] == heads[1]


@pytest.mark.parametrize("act", ["UPDATE audit SET who = 'eve'", "DELETE FROM audit", "TRUNCATE audit"])
def test_the_database_refuses_to_change_it(store, act):
    with store.write() as connection:
        audit.append(connection, *ENTRIES)
    if act.startswith("TRUNCATE") and store.kind == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")
    with pytest.raises((DBAPIError, StoreError), match="append-only"), store.write() as connection:
        connection.execute(text(act))
    with store.read() as connection:
        assert audit.verify(connection) is None and audit.head(connection)[0] == 4


@pytest.mark.parametrize(
    ("act", "first"),
    [
        ("UPDATE audit SET who = 'eve' WHERE number = 2", 2),
        ("UPDATE audit SET at = 2.2000000000000006 WHERE number = 2", 2),
        ("UPDATE audit SET details = '{}' WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("UPDATE audit SET number = 9 WHERE number = 4", 4),
        (f"INSERT INTO audit SELECT 5, {COLUMNS} FROM audit WHERE number = 4", 5),
        ("DELETE FROM audit WHERE number = 4", None),
    ],
)
def test_who_gets_past_the_refusal_is_found(store, act, first):
    with store.write() as connection:
        audit.append(connection, *ENTRIES)
        noted = audit.head(connection)
    with store.write() as connection:
        off(connection)
        connection.execute(text(act))
    with store.read() as connection:
        assert audit.verify(connection) == first
        assert audit.verify(connection, noted) == (first or 4)  # an end that was cut off, for who noted the head


def off(connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
    else:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("DROP TRIGGER audit_no_delete"))


def test_a_rewritten_log_is_found_by_who_noted_the_head(store):
    with store.write() as connection:
        audit.append(connection, *ENTRIES)
        noted = audit.head(connection)
        off(connection)
        connection.execute(text("DELETE FROM audit"))
        audit.append(connection, *ENTRIES[:3], Entry("eve", "log in", 4.4), Entry("eve", "log out", 5.5))
        assert audit.verify(connection) is None and audit.verify(connection, noted) == 4


def test_many_append_at_once(store):
    def append(at):
        store.run(lambda connection: audit.append(connection, Entry("ann", "look", float(at)), Entry("ann", "go", 0.0)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(20)))
    with store.read() as connection:
        assert audit.head(connection)[0] == 40 and audit.verify(connection) is None
