"""Pushed documents: what was confirmed is there after everything, what is too much is refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.assemble import spooled
from metier.apps.monitor.settings import MonitorSettings
from metier.apps.monitor.sources import inbox as inboxes
from metier.apps.monitor.sources.inbox import Inbox, SpoolFull
from metier.apps.monitor.sources.pushed import PushedSource
from metier.apps.monitor.sources.segments import framed, numbers, path_of, records, sound_size
from metier.errors import DataError


def row(number: int, size: int = 0) -> dict[str, Any]:
    return {"id": str(number), "text": "x" * size}


def drained(source: PushedSource, position: str = "", limit: int = 100) -> tuple[list[str], str]:
    found: list[str] = []
    while True:
        batch = source.read(position, limit, 0.0)
        position = batch.position
        source.acknowledge(position)
        found += [str(one.content["id"]) for one in batch.received]  # type: ignore[index]
        if not batch.received:
            return found, position


def test_private_data_never_reaches_the_disk(tmp_path: Path) -> None:
    asked = MonitorSettings.model_validate({"run": "r", "sources": [{"kind": "push", "text": ["body"]}]})
    inbox = Inbox(tmp_path, prepare=spooled(asked))
    inbox.put([{"id": "4111111111111111", "body": "Write to ann@example.com", "from": "650-253-0000"}])
    inbox.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ann@" not in written
    assert b"650-253" not in written
    (found,) = PushedSource(tmp_path).read("", 10, 0.0).received
    assert found.content == {"id": "4111111111111111", "body": "Write to [email]", "from": "[phone]"}
    open_ = MonitorSettings.model_validate({"run": "r", "sources": [{"kind": "push", "private": False}]})
    assert spooled(open_) is None


@given(contents=st.lists(st.binary(max_size=40), max_size=8), cut=st.integers(0, 400), flip=st.integers(0, 400))
@settings(max_examples=200)
def test_records_that_are_cut_off_or_damaged_are_noticed(contents: list[bytes], cut: int, flip: int) -> None:
    ends, block = [], b""
    for content in contents:
        block += framed(content)
        ends.append(len(block))
    cut = min(cut, len(block))
    whole = [content for content, end in zip(contents, ends, strict=True) if end <= cut]
    assert [content for content, _ in records(block[:cut])] == whole
    if flip < len(block):
        broken = bytearray(block)
        broken[flip] ^= 0x10
        found = [content for content, _ in records(bytes(broken))]
        sound = sum(end <= flip for end in ends)
        assert found == contents[:sound]


@given(data=st.data())
@settings(max_examples=40)
def test_whatever_is_torn_what_was_confirmed_is_read_once(data: st.DataObject) -> None:
    """Puts, reads, ends of both sides, and torn bytes behind the last record, in any order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inbox = Inbox(folder, 4_000)
        confirmed: list[str] = []
        found: list[str] = []
        position, source, number = "", PushedSource(folder), 0
        for step in data.draw(st.lists(st.sampled_from("pprtn"), max_size=25)):
            if step == "p":
                rows = [row(number + at, data.draw(st.integers(0, 300))) for at in range(data.draw(st.integers(1, 4)))]
                number += len(rows)
                try:
                    inbox.put(rows)
                    confirmed += [each["id"] for each in rows]
                except SpoolFull:
                    pass
            elif step == "r":
                batch = source.read(position, data.draw(st.integers(1, 5)), 0.0)
                position = batch.position
                found += [each.content["id"] for each in batch.received]  # type: ignore[index]
                source.acknowledge(position)
            elif step == "t":
                inbox.close()
                if known := numbers(folder):
                    with path_of(folder, known[-1]).open("ab") as file:
                        file.write(framed(b'{"at": 0, "row": {"id": "torn"}}')[: data.draw(st.integers(0, 20))])
                inbox = Inbox(folder, 4_000)
            else:
                source = PushedSource(folder)
            assert inbox.waiting() <= 4_000 + 20
        found += drained(source, position)[0]
        inbox.close()
        assert found == confirmed


def test_a_full_spool_refuses_until_it_is_read(tmp_path: Path) -> None:
    inbox, source = Inbox(tmp_path, 10_000), PushedSource(tmp_path)
    taken = 0
    with pytest.raises(SpoolFull, match="wait to be read") as refused:
        for taken in range(1000):
            inbox.put([row(taken, 500)])
    assert refused.value.retry_after > 0
    found, position = drained(source)
    assert found == [str(number) for number in range(taken)]
    drained(source, position)
    assert inbox.waiting() < 1_000
    inbox.put([row(5_000, 500)])
    assert drained(source, position)[0] == ["5000"]
    inbox.close()


def test_documents_that_are_too_large_or_no_json_are_refused_alone(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with pytest.raises(DataError, match=r"11\.0 MB"):
        inbox.put([row(1), row(2, 11 << 20)])
    with pytest.raises(DataError, match="JSON"):
        inbox.put([{"text": object()}])
    inbox.put([row(3)])
    inbox.put([])
    assert drained(PushedSource(tmp_path))[0] == ["3"]
    inbox.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with pytest.raises(DataError, match="Another process"):
        Inbox(tmp_path)
    inbox.close()
    Inbox(tmp_path).close()


def test_writers_that_come_together_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    real = os.fsync
    monkeypatch.setattr(inboxes.os, "fsync", lambda handle: (syncs.append(1), time.sleep(0.005), real(handle)))
    inbox = Inbox(tmp_path)

    def put(writer: int) -> None:
        for number in range(5):
            inbox.put([row(100 * writer + number)])

    threads = [threading.Thread(target=put, args=(writer,)) for writer in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, _ = drained(PushedSource(tmp_path))
    assert sorted(map(int, found)) == sorted(100 * writer + number for writer in range(16) for number in range(5))
    assert len(syncs) < 60
    inbox.close()


def test_a_full_disk_refuses_and_is_got_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(tmp_path)
    inbox.put([row(1)])
    real = os.write

    def full(handle: int, block: bytes) -> int:
        if len(block) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, block[: len(block) - 5])

    with monkeypatch.context() as patched:
        patched.setattr(inboxes.os, "write", full)
        with pytest.raises(SpoolFull, match="No space left"):
            inbox.put([row(2)])
    inbox.put([row(3)])
    assert drained(PushedSource(tmp_path))[0] == ["1", "3"]
    inbox.close()


def test_a_damaged_file_loses_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(tmp_path, 4_000)
    for number in range(6):
        inbox.put([row(number, 500)])
    first = path_of(tmp_path, numbers(tmp_path)[0])
    content = bytearray(first.read_bytes())
    content[700] ^= 1
    first.write_bytes(content)
    found, _ = drained(PushedSource(tmp_path))
    assert found == ["0", "2", "3", "4", "5"]
    assert "cannot be read" in caplog.text
    inbox.close()


def test_the_size_of_what_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(framed(b"abc") + framed(b"") + b"\xff\xff\xff\x7f1234")
    assert sound_size(path) == 19


PUTTING = """
import sys
from metier.apps.monitor.sources.inbox import Inbox
inbox = Inbox(sys.argv[1])
for number in range(int(sys.argv[2]), 10**9):
    inbox.put([{"id": str(number), "text": "x" * (number % 700)}])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_what_a_killed_process_confirmed_is_there(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    confirmed: list[int] = []
    for start in (0, 100_000):
        process = subprocess.Popen(
            [sys.executable, "-c", PUTTING, str(tmp_path), str(start)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(20):
            confirmed.append(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.stdout.close()
        process.wait(20)
    found, _ = drained(PushedSource(tmp_path))
    assert len(found) == len(set(found))
    assert set(map(str, confirmed)) <= set(found)
    assert len(found) <= len(confirmed) + 2  # the last of each may be there and was not yet confirmed
    Inbox(tmp_path).close()


def test_what_is_no_document_is_set_aside(tmp_path: Path) -> None:
    path_of(tmp_path, 1).write_bytes(framed(b"{}") + framed(b"no") + framed(json.dumps({"at": 5, "row": {}}).encode()))
    batch = PushedSource(tmp_path).read("", 10, 0.0)
    assert [bool(one.fault) for one in batch.received] == [True, True, False]
    assert batch.received[2].at == 5
