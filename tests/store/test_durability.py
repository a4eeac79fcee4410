"""Nothing that was acknowledged is lost when a process is killed, and two processes do not lose each other's work."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from writer import SIZE

from metier.errors import StoreGone
from metier.store import audit, documents, group, positions, ticks
from metier.store.documents import StoredDocument
from metier.store.group import Group

ROOT = Path(__file__).parent.parent.parent


def start(kind: str, url: str, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).parent / "writer.py"), kind, url, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def killed_after(process: subprocess.Popen[str], lines: int, seconds: float) -> int:
    """The last number that the process said before it was killed, some time after so many lines; -1: none."""
    said = [process.stdout.readline() for _ in range(lines)]
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    whole = [line for line in said if line.endswith("\n")]
    return int(whole[-1]) if whole else -1


def test_killed_in_the_middle_of_writes(place, store):
    """After each of three kills: every acknowledged batch is there, none in part; the next process goes on."""
    rng = random.Random(5)
    for _ in range(3):
        acknowledged = killed_after(start("batches", place, 10**6), 3, rng.uniform(0.0, 0.15))
        with store.read() as connection:
            position = int(positions.get(connection)["feed"])
            assert position in (acknowledged + 1, acknowledged + 2)  # the last may have been kept and not yet said
            assert documents.count(connection) == position * SIZE
            assert ticks.of_series(connection, "x", "*", 0.0, 1.0)[0].stories == position * SIZE
            if store.kind == "sqlite":
                assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_killed_in_the_middle_of_group_commits(place, store):
    acknowledged = killed_after(start("group", place, 5000), 200, 0.02)
    with store.read() as connection:
        kept = documents.known(connection, [f"g{at}" for at in range(acknowledged + 1)])
        assert len(kept) == acknowledged + 1


def test_two_processes_write_at_once(place, store):
    processes = [start("counts", place, 60) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=120)[0].count("\n") == 60
    with store.read() as connection:
        assert ticks.of_series(connection, "x", "*", 0.0, 1.0)[0].stories == 120
        assert audit.head(connection)[0] == 120 and audit.verify(connection) is None


# -- group commit ------------------------------------------------------------------------------------------------
def named(at: int) -> StoredDocument:
    return StoredDocument(f"g{at}", "", 0.0, 0.0)


def test_a_row_is_there_when_its_future_is_done(store):
    transactions = []

    def write(connection, rows):
        transactions.append(len(rows))
        documents.add(connection, rows)

    def commit(at):
        group.commit(named(at)).result(30)
        with store.read() as connection:
            return documents.get(connection, f"g{at}") is not None

    with Group[StoredDocument](store, write) as group, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(commit, range(200)))
    assert sum(transactions) == 200 and len(transactions) < 150


def test_one_bad_row_does_not_take_the_others_with_it(store):
    def write(connection, rows):
        documents.add(connection, rows)
        if any(row.id == "g3" for row in rows):
            raise ValueError("not this one")

    with Group[StoredDocument](store, write, wait=0.2) as group:
        futures = [group.commit(named(at)) for at in range(6)]
        with pytest.raises(ValueError, match="not this one"):
            futures[3].result(30)
        for at in (0, 1, 2, 4, 5):
            futures[at].result(30)
    with store.read() as connection:
        assert documents.known(connection, [f"g{at}" for at in range(6)]) == {"g0", "g1", "g2", "g4", "g5"}


def test_what_waits_is_written_at_the_end_and_then_nothing_is_taken(store):
    with Group[StoredDocument](store, documents.add, wait=0.1) as group:
        futures = [group.commit(named(at)) for at in range(50)]
        given_up = futures[0].cancel()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        group.commit(named(99))
    with store.read() as connection:
        assert documents.count(connection) == (49 if given_up else 50)


def test_too_many_that_wait_are_refused(store, monkeypatch):
    monkeypatch.setattr(group, "WAITING", 2)
    hold = threading.Event()
    with Group[StoredDocument](store, lambda connection, rows: hold.wait(30), wait=0.0) as full:
        with pytest.raises(StoreGone, match="2 rows wait"):
            for at in range(10_000):
                full.commit(named(at))
        hold.set()
