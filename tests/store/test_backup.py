"""Backups of either database, restored into either."""

from __future__ import annotations

import sqlite3
import stat
import threading

import pytest
import stores
from filled import document, fill
from sqlalchemy import text

from metier.errors import StoreError
from metier.store import backup as module
from metier.store import contents, documents
from metier.store.backup import backup, restore
from metier.store.store import Store


def digests(url) -> dict:
    with Store.open(url) as store, store.read() as connection:
        return contents.digests(connection)


def test_there_and_back_again(tmp_path, server):
    """SQLite, PostgreSQL, SQLite: not a bit is lost, and what is numbered is numbered on."""
    with Store.open(tmp_path / "one.db") as one:
        fill(one)
        counts = backup(one, tmp_path / "first.backup")
    first = digests(tmp_path / "one.db")
    assert {name: count for name, (count, _) in first.items()} == counts and counts["documents"] == 10
    url = stores.fresh(server)
    assert restore(tmp_path / "first.backup", url) == counts
    assert digests(url) == first
    with Store.open(url) as two:
        backup(two, tmp_path / "second.backup")
    restore(tmp_path / "second.backup", tmp_path / "three.db")
    assert digests(tmp_path / "three.db") == first
    for place in (url, tmp_path / "three.db"):
        with Store.open(place) as store, store.write() as connection:
            documents.add(connection, [document(77)])
            assert documents.get(connection, "d77").number == 11


def test_a_backup_is_one_private_file(store, tmp_path):
    fill(store)
    backup(store, tmp_path / "kept" / "b.backup")
    assert [item.name for item in (tmp_path / "kept").iterdir()] == ["b.backup"]
    assert stat.S_IMODE((tmp_path / "kept" / "b.backup").stat().st_mode) == 0o600
    with Store.open(tmp_path / "kept" / "b.backup") as opened, opened.read() as connection:  # it is a store itself
        assert documents.count(connection) == 10


def test_a_backup_is_of_one_moment_while_others_write(store, tmp_path):
    stop = threading.Event()

    def write():
        at = 0
        while not stop.is_set():
            with store.write() as connection:  # always a pair
                documents.add(connection, [document(at), document(at + 1)])
            at += 2

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = [backup(store, tmp_path / f"{at}.backup")["documents"] for at in range(3)]
    finally:
        stop.set()
        writer.join()
    assert all(count % 2 == 0 for count in counts) and counts == sorted(counts)


def test_what_is_refused(store, tmp_path):
    fill(store)
    file = tmp_path / "b.backup"
    backup(store, file)
    with pytest.raises(StoreError, match="there already"):
        backup(store, file)
    with pytest.raises(StoreError, match="is not empty: there are"):
        restore(file, store.url.render_as_string(hide_password=False))
    with pytest.raises(StoreError, match="no backup"):
        restore(tmp_path / "no.backup", tmp_path / "new.db")
    with pytest.raises(StoreError, match="cannot be written"):
        backup(store, "/proc/b.backup")
    assert not (tmp_path / "new.db").exists()


def test_a_damaged_backup_is_refused_and_nothing_is_restored(tmp_path):
    with Store.open(tmp_path / "one.db") as store:
        fill(store, 400)
        backup(store, tmp_path / "b.backup")
    whole = (tmp_path / "b.backup").read_bytes()
    for name, content in (
        ("cut", whole[: len(whole) // 2]), ("text", b"hello" * 1000), ("empty", b""),
        ("torn", whole[:8192] + b"\xff" * 4096 + whole[12288:]),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreError, match=r"damaged|another program|no store"):
            restore(tmp_path / name, tmp_path / f"{name}.db")
        assert not (tmp_path / f"{name}.db").exists()


def test_a_tampered_log_is_told_of_and_restored_only_on_demand(tmp_path, server):
    with Store.open(tmp_path / "one.db") as store:
        fill(store)
        with store.write() as connection:
            connection.execute(text("DROP TRIGGER audit_no_update"))
            connection.execute(text("UPDATE audit SET who = 'eve' WHERE number = 2"))
        backup(store, tmp_path / "b.backup")  # what there is can always be kept
    url = stores.fresh(server)
    with pytest.raises(StoreError, match="not as it was written, from row 2 on"):
        restore(tmp_path / "b.backup", url)
    assert restore(tmp_path / "b.backup", url, tampered=True)["audit"] == 3


def test_a_backup_that_is_cut_off_leaves_nothing(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(28, "No space left on device")

    with Store.open(tmp_path / "one.db") as store:
        fill(store)
        monkeypatch.setattr(module, "_sync", fail)
        with pytest.raises(StoreError, match="cannot be written: No space left"):
            backup(store, tmp_path / "kept" / "b.backup")
    assert not list((tmp_path / "kept").iterdir())


def test_a_restore_that_fails_leaves_the_store_empty(tmp_path, server, monkeypatch):
    with Store.open(tmp_path / "one.db") as store:
        fill(store)
        backup(store, tmp_path / "b.backup")
    url = stores.fresh(server)
    monkeypatch.setattr(contents, "digests", lambda connection: {"documents": (id(connection), "")})
    with pytest.raises(StoreError, match="is not what"):
        restore(tmp_path / "b.backup", url)
    monkeypatch.undo()
    with Store.open(url) as target, target.read() as connection:
        assert not any(contents.counts(connection).values())


def test_a_backup_is_not_touched_by_its_restore(tmp_path):
    with Store.open(tmp_path / "one.db") as store:
        fill(store)
        backup(store, tmp_path / "b.backup")
    before = (tmp_path / "b.backup").read_bytes()
    restore(tmp_path / "b.backup", tmp_path / "two.db")
    assert (tmp_path / "b.backup").read_bytes() == before
    with sqlite3.connect(tmp_path / "b.backup") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
