"""A pipe: lines as they come, counted; nothing is read twice."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import IO

import pytest

from metier.apps.monitor.sources import DOCUMENT, Source
from metier.apps.monitor.sources.standard_input import StandardInput


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        yield source, sink


def test_lines_come_as_they_are_written(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source = StandardInput(stream=pipe[0])
    assert isinstance(source, Source)
    pipe[1].write(b'{"id": "1"}\n\n{"id": "2"}\n{"id":')
    one = source.read("", 1, 1.0)
    two = source.read(one.position, 5, 1.0)
    assert [batch.received[0].content for batch in (one, two)] == [{"id": "1"}, {"id": "2"}]
    assert (one.position, two.position) == ("1", "3")
    assert source.read("3", 5, 0.05).received == []
    pipe[1].write(b' "3"}')
    pipe[1].close()
    last = source.read("3", 5, 1.0)
    assert last.received[0].content == {"id": "3"}
    assert last.ended
    assert last.position == "4"


def test_bad_lines_are_set_aside(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source = StandardInput(stream=pipe[0])
    pipe[1].write(b'{"id": "1"\n\xff\n{"id": "2"}\n')
    batch = source.read("10", 5, 1.0)
    assert [one.fault.partition(":")[0] for one in batch.received] == ["line 11", "line 12", ""]


def test_a_line_that_is_too_long_is_passed_over(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source = StandardInput(stream=pipe[0])

    def write() -> None:
        pipe[1].write(b'{"a": "')
        for _ in range(2 * DOCUMENT // (1 << 16)):
            pipe[1].write(b"x" * (1 << 16))
        pipe[1].write(b'"}\n{"id": "2"}\n')

    thread = threading.Thread(target=write)
    thread.start()
    found, position = [], ""
    until = time.monotonic() + 20
    while len(found) < 2 and time.monotonic() < until:
        batch = source.read(position, 5, 1.0)
        position = batch.position
        found += batch.received
        assert len(source._buffer) <= DOCUMENT + (1 << 17)
    thread.join()
    assert "line 1: longer than 10 MB" in found[0].fault
    assert found[1].content == {"id": "2"}
    assert position == "2"


def test_closing_ends_a_read_that_waits(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source = StandardInput(stream=pipe[0])
    thread = threading.Thread(target=source.read, args=("", 5, 30.0))
    thread.start()
    time.sleep(0.05)
    source.close()
    thread.join(5)
    assert not thread.is_alive()
