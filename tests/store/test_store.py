"""The way in: opening, refusing, committing, retrying, migrating."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import postgres
import psycopg
import pytest
import stores
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from filled import document, fill
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from metier.errors import MissingExtra, StoreError, StoreGone
from metier.store import contents, documents, migrate, open_store, positions
from metier.store import store as way
from metier.store.backup import backup
from metier.store.columns import Key
from metier.store.store import Store
from metier.store.tables import metadata


def test_what_is_written_is_there_and_what_fails_is_not(store):
    with store.write() as connection:
        documents.add(connection, [document(1)])
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        documents.add(connection, [document(2)])
        _ = 1 / 0
    with store.read() as connection:
        assert documents.known(connection, ["d1", "d2"]) == {"d1"}


def test_a_reader_sees_one_moment(store):
    with store.read() as reader:
        assert documents.count(reader) == 0
        with store.write() as connection:
            documents.add(connection, [document(1)])
        assert documents.count(reader) == 0
    with store.read() as reader:
        assert documents.count(reader) == 1


def test_a_reader_cannot_write(store):
    with pytest.raises(StoreError), store.read() as connection:
        positions.put(connection, {"feed": "1"}, 1.0)
    with store.write() as connection:  # and the same connection can again
        positions.put(connection, {"feed": "2"}, 1.0)


def test_run_again_after_a_clash(store):
    """Two transactions that wait for each other: PostgreSQL gives one up, which is done again."""
    met, tries = threading.Barrier(2), []

    def work(first, second):
        def inside(connection):
            tries.append(1)
            positions.put(connection, {first: "x"}, 1.0)
            if store.kind == "postgresql" and len(tries) <= 2:
                met.wait(10)
            positions.put(connection, {second: "x"}, 1.0)

        store.run(inside)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, ["a", "b"], ["b", "a"]))
    assert len(tries) == (3 if store.kind == "postgresql" else 2)


def test_threads_take_turns(store):
    def count(_):
        with store.write() as connection:
            at = int(positions.get(connection).get("n", "0")) if store.kind == "sqlite" else 0
            positions.put(connection, {"n": str(at + 1)}, 1.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    with store.read() as connection:
        assert positions.get(connection)["n"] == ("40" if store.kind == "sqlite" else "1")


def test_a_thread_that_writes_twice_at_once_is_told(tmp_path):
    refused = pytest.raises(RuntimeError, match="once more")
    with Store.open(tmp_path / "a.db") as store, store.write(), refused, store.write():
        pass


def test_foreign_keys_hold(store):
    with pytest.raises(IntegrityError), store.write() as connection:
        documents.mention(connection, [documents.StoredMention("nobody", "acme", 0, 4)])


# -- the schema --------------------------------------------------------------------------------------------------
def test_the_revisions_lead_to_the_tables(store):
    def same(context, inspected, column, old, new):
        return False if isinstance(new, Key) else None  # its collation is seen on one side alone

    with store.read() as connection:
        options = {"version_table": migrate.VERSIONS, "compare_type": same}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    assert store.current() == migrate.HEAD == migrate.revisions()[-1]


def test_two_processes_migrate_at_once(server, tmp_path):
    for url in (str(tmp_path / "new.db"), stores.fresh(server)):
        with ThreadPoolExecutor() as pool:
            for store in pool.map(lambda at, url=url: Store.open(url), range(3)):
                assert store.current() == migrate.HEAD
                store.close()


def test_a_migration_that_fails_leaves_nothing(place, monkeypatch):
    url = place if "postgresql" not in place else stores.fresh(place.rpartition("/")[0] + "/postgres")

    def fail(connection):
        upgrade(connection)
        raise StoreError("cut off")

    upgrade = migrate.upgrade
    monkeypatch.setattr(migrate, "upgrade", fail)
    with pytest.raises(StoreError, match="cut off"):
        Store.open(url)
    monkeypatch.undo()
    with Store.open(url) as store:
        assert store.current() == migrate.HEAD


def test_a_later_schema_is_refused(place):
    with Store.open(place) as store, store.write() as connection:
        connection.execute(text(f"UPDATE {migrate.VERSIONS} SET version_num = '9999'"))
    with pytest.raises(StoreError, match="later version of Metier.*9999.*install"):
        Store.open(place)
    if store.kind == "postgresql":
        with psycopg.connect(place, autocommit=True) as connection:  # others use the same one
            connection.execute(f"UPDATE {migrate.VERSIONS} SET version_num = '{migrate.HEAD}'")


def test_the_tables_of_another_program_are_refused(tmp_path, server):
    file, url = tmp_path / "other.db", stores.fresh(server)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE music (name TEXT)")
    connection.close()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE people (name TEXT)")
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
    for place, table in ((file, "music"), (url, "people")):
        with pytest.raises(StoreError, match=f"another program's.*'{table}'"):
            Store.open(place)


def test_without_leave_nothing_is_made_or_migrated(tmp_path, server):
    with pytest.raises(StoreError, match="There is no store"):
        Store.open(tmp_path / "no.db", create=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="There is no store"):
        Store.open(stores.fresh(server), create=False)


def test_a_schema_of_its_own(server, tmp_path):
    url = stores.fresh(server)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA news")
        connection.execute("CREATE TABLE people (name TEXT)")  # somebody else's
    with Store.open(f"{url}?options=-csearch_path%3Dnews") as store:
        fill(store)
        backup(store, tmp_path / "b.backup")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM news.documents").fetchone() == (10,)
        connection.execute("TRUNCATE news.documents CASCADE")
    with Store.open(f"{url}?options=-csearch_path%3Dnews") as store:
        assert store.current() == migrate.HEAD


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "metier.store.store", None)
    with pytest.raises(MissingExtra, match="metier\\[apps\\]"):
        open_store("a.db")


# -- mistakes ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "needs a file"),
        (":memory:", "needs a file"),
        ("mysql://me@host/db", "kind 'mysql'"),
        ("postgresq://me@host/db", "Did you mean 'postgresql'"),
        ("postgresql://me@host", "names no file and no database"),
        ("sqlite://", "names no file and no database"),
        ("postgresql://me:hush@127.0.0.1:1/db", "cannot be reached"),
        ("postgresql://me:hush@127.0.0.1:port/db", "cannot be read"),
    ],
)
def test_addresses_that_are_none(url, words):
    with pytest.raises(StoreError, match=words) as caught:
        Store.open(url)
    assert "hush" not in str(caught.value) and "\n" not in str(caught.value)


def test_addresses_of_files(tmp_path):
    for url in (
        tmp_path / "a.db",
        str(tmp_path / "a.db"),
        f"sqlite:///{tmp_path}/a.db",
        f"sqlite:///{tmp_path}/deep/b.db",
    ):
        with Store.open(url) as store:
            assert store.kind == "sqlite" and store.path is not None and store.path.is_file()
    assert stat.S_IMODE(os.stat(tmp_path / "a.db").st_mode) == 0o600


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.db").write_text("no database at all " * 100)
    with pytest.raises(StoreError, match="is not a database"):
        Store.open(tmp_path / "text.db")
    with pytest.raises(StoreError, match="is a folder"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match=r"cannot be made|cannot be opened"):
        Store.open("/proc/metier.db")


def test_a_wrong_password_and_a_database_that_is_not_there(server):
    with pytest.raises(StoreError, match="does not let us in.*password") as caught:
        Store.open(server.replace(postgres.PASSWORD, "hush-hush"))
    assert "hush-hush" not in str(caught.value) and postgres.PASSWORD not in str(caught.value)
    with pytest.raises(StoreError, match="is not there.*createdb nope"):
        Store.open(server.replace("/postgres", "/nope"))


def test_who_may_not_make_tables_is_told(server):
    url = stores.fresh(server)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-word'")
    with pytest.raises(StoreError, match="does not let us: permission denied.*GRANT"):
        Store.open(url.replace(f"metier:{postgres.PASSWORD}", "guest:guest-word"))


def test_a_full_disk(tmp_path):
    with Store.open(tmp_path / "a.db") as store:
        with store.write() as connection:
            documents.add(connection, [document(0)])
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        with pytest.raises(StoreGone, match="disk is full.*free some"), store.write() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 3}")
            documents.add(connection, [document(at) for at in range(1, 500)])
        with store.read() as connection:
            assert documents.count(connection) == 1


def test_a_locked_file(tmp_path, monkeypatch):
    monkeypatch.setattr(way, "WAIT", 0.2)
    with Store.open(tmp_path / "a.db") as store:
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreGone, match="locked by another process"), store.write():
            pass
        with store.read() as connection:  # readers do not mind
            assert documents.count(connection) == 0
        other.close()


def test_a_server_that_goes_and_comes_back(server):
    """Every connection is cut; the next transaction has a fresh one, and `run` does its work again."""
    with Store.open(stores.fresh(server)) as store:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        calls = []

        def work(connection):
            positions.put(connection, {"feed": "1"}, 1.0)
            if not calls:
                calls.append(1)
                with psycopg.connect(server, autocommit=True) as other:
                    other.execute(cut, [store.url.database])
            positions.put(connection, {"feed": "2"}, 1.0)

        store.run(work)
        calls.clear()
        with pytest.raises(StoreGone, match="cannot be reached"), store.write() as connection:
            work(connection)
        with store.read() as connection:
            assert positions.get(connection) == {"feed": "2"}


def test_what_a_store_holds_is_the_same_figures_on_both(tmp_path, store):
    fill(store)
    with store.read() as connection:
        assert min(contents.counts(connection)[name] for name in contents.counts(connection) if name != "attempts") > 0
        first = contents.digests(connection)
        assert store.size() > 50_000
        assert first == contents.digests(connection) and first["documents"][0] == 10
    with store.write() as connection:
        connection.execute(text("UPDATE documents SET language = 'en' WHERE id = 'd3'"))
        assert {name for name, value in contents.digests(connection).items() if value != first[name]} == {"documents"}
