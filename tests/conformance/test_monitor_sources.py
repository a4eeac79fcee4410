"""What every source must do: read all, go on exactly, stay bounded, survive bad documents, end, and be killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from monitor import feeding, reading

from metier.apps.monitor.item import Received
from metier.apps.monitor.normalise import Normaliser, Quarantined
from metier.apps.monitor.sources import Batch, Source

KINDS = ("jsonl", "gzip", "csv", "folder", "pushed", "archive", "feed", "redis")
COUNT = 43


def documents(count: int = COUNT, start: int = 0) -> list[dict[str, str]]:
    return [
        {
            "id": f"d{at}",
            "text": f'Umsatz, "Gewinn" und 利润 {at}',
            "time": f"2026-01-01T00:{at // 60:02}:{at % 60:02}Z",
        }
        for at in range(start, start + count)
    ]


@dataclass
class World:
    """Where the documents of a test are."""

    kind: str
    folder: Path
    place: str = ""
    feed: feeding.FeedServer | None = None
    written: list[dict[str, str]] = field(default_factory=list)
    inbox: Any = None

    def open(self, **more: Any) -> Source:
        return reading.opened(self.kind, self.place, **more)

    def write(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes] = ()) -> None:
        """Adds documents behind those that are there; `raw` are lines that are none."""
        self.written += rows
        getattr(self, f"_write_{self.kind}")(rows, raw)

    def _write_jsonl(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes], name: str = "a.jsonl") -> None:
        self.place = str(self.folder / name)
        with open(self.place, "ab") as file:
            file.writelines([*(line + b"\n" for line in raw), *(json.dumps(row).encode() + b"\n" for row in rows)])

    _write_archive = _write_jsonl

    def _write_gzip(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes]) -> None:
        self.place = str(self.folder / "a.jsonl.gz")
        lines = [*(line + b"\n" for line in raw), *(json.dumps(row).encode() + b"\n" for row in rows)]
        with open(self.place, "ab") as file:
            file.write(gzip.compress(b"".join(lines)))

    def _write_csv(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes]) -> None:
        import csv
        import io

        self.place = str(self.folder / "a.csv")
        new = not os.path.exists(self.place)
        text = io.StringIO()
        writer = csv.DictWriter(text, ["id", "text", "time"])
        if new:
            writer.writeheader()
        writer.writerows(rows)
        with open(self.place, "ab") as file:
            lines = text.getvalue().encode()
            head, _, rest = lines.partition(b"\n") if new else (b"", b"", lines)
            file.write((head + b"\n" if new else b"") + b"".join(line + b"\n" for line in raw) + rest)

    def _write_folder(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes]) -> None:
        half = len(rows) // 2
        self._write_jsonl(rows[:half], raw, "a.jsonl")
        self._write_jsonl(rows[half:], (), "b.jsonl")
        self.place = str(self.folder)

    def _write_pushed(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes]) -> None:
        from metier.apps.monitor.sources.inbox import Inbox

        self.place = str(self.folder / "spool")
        self.inbox = self.inbox or Inbox(self.place)
        self.inbox.put([*({"text": line.decode("latin-1"), "id": []} for line in raw), *rows])

    def _write_feed(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes]) -> None:
        assert self.feed is not None
        self.place = self.feed.url()
        self.feed.body = feeding.rss([*({"id": "bad", "text": ""} for _ in raw), *self.written])

    def _write_redis(self, rows: Sequence[dict[str, str]], raw: Sequence[bytes]) -> None:
        import redis

        with redis.Redis.from_url(self.place) as client:
            for line in raw:
                client.xadd("news", {"json": line})
            for row in rows:
                client.xadd("news", {"json": json.dumps(row)})


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(request.param, tmp_path)
    with ExitStack() as stack:
        if made.kind == "redis":
            if feeding.redis_missing():
                pytest.skip(feeding.redis_missing())
            made.place = stack.enter_context(feeding.redis_server()).url
        if made.kind == "feed":
            made.feed = stack.enter_context(feeding.feed_server())
        yield made
        if made.inbox is not None:
            made.inbox.close()


def drained(
    source: Source, position: str = "", *, limit: int = 7, wanted: int = 10**6, wait: float = 0.3
) -> list[Batch]:
    """Batches until `wanted` documents came, or nothing comes any more. Each is acknowledged."""
    batches: list[Batch] = []
    count = 0
    while count < wanted:
        batch = source.read(position, limit, wait)
        assert len(batch.received) <= limit
        assert not batch.fault
        source.acknowledge(batch.position)
        position = batch.position
        batches.append(batch)
        count += len(batch.received)
        if not batch.received:
            break
    return batches


def received(batches: Sequence[Batch]) -> list[Received]:
    return [one for batch in batches for one in batch.received]


def ids(batches: Sequence[Batch]) -> list[str]:
    return [str(one.content["id"]).rpartition(" ")[2] for one in received(batches) if not isinstance(one.content, str)]


def expected(world: World) -> list[str]:
    if world.kind == "folder":  # by file, then by line
        half = [row["id"] for row in world.written]
        return half
    return [row["id"] for row in world.written]


def test_it_is_a_source_and_gives_everything_in_order(world: World) -> None:
    world.write(documents())
    source = world.open()
    assert isinstance(source, Source)
    assert source.name == "it"
    found = drained(source)
    assert ids(found) == expected(world)
    assert all(one.source == "it" and not one.fault for one in received(found))
    assert "利润 0" in str(received(found)[0].content["text"])  # type: ignore[index]
    source.close()


def test_documents_become_items(world: World) -> None:
    world.write(documents(3))
    source = world.open()
    items = [Normaliser()(one) for one in received(drained(source))]
    assert not [item for item in items if isinstance(item, Quarantined)]
    assert {item.time for item in items} == {1767225600.0, 1767225601.0, 1767225602.0}  # type: ignore[union-attr]
    source.close()


def test_another_goes_on_exactly_behind_a_kept_position(world: World) -> None:
    world.write(documents())
    positions, seen = [""], [0]
    first = world.open()
    for batch in drained(first):
        positions.append(batch.position)
        seen.append(seen[-1] + len(batch.received))
    first.close()
    if world.kind in ("redis",):  # what was acknowledged is Redis' to forget
        positions, seen = positions[-1:], seen[-1:]
    for position, count in list(zip(positions, seen, strict=True))[::2]:
        source = world.open()
        assert ids(drained(source, position, limit=11, wanted=COUNT - count, wait=0.1)) == expected(world)[count:]
        source.close()


def test_a_batch_that_was_not_kept_comes_again(world: World) -> None:
    world.write(documents())
    source = world.open()
    kept = source.read("", 5, 1.0)
    source.acknowledge(kept.position)
    lost = source.read(kept.position, 9, 1.0)
    again = source.read(kept.position, 4, 1.0)
    assert ids([kept]) == expected(world)[:5]
    assert ids([lost]) == expected(world)[5:14]
    assert ids([again]) == expected(world)[5:9]
    assert ids(drained(source, again.position)) == expected(world)[9:]
    source.close()


def test_what_is_added_later_is_read(world: World) -> None:
    if world.kind == "archive":
        pytest.skip("an archive does not grow")
    world.write(documents(10))
    source = world.open()
    before = drained(source)
    world.write(documents(9, start=10))
    time.sleep(0.1)
    after = drained(source, before[-1].position, wait=1.0)
    if world.kind == "folder":
        assert sorted(ids(before) + ids(after)) == sorted(expected(world))
    else:
        assert ids(before) + ids(after) == expected(world)
    source.close()


def test_bad_documents_are_set_aside_and_stop_nobody(world: World) -> None:
    world.write(documents(6), raw=[b'{"id": "bad", "text": ', b"\xff\xfe\x00", b"[1, 2]", b'"a, b'])
    source = world.open()
    normalise = Normaliser()
    items = [normalise(one) for one in received(drained(source, limit=2))]
    good = [item.id.rpartition(" ")[2] for item in items if not isinstance(item, Quarantined)]
    bad = [item for item in items if isinstance(item, Quarantined)]
    assert good == expected(world)
    assert bad
    assert all(item.reason and item.source == "it" for item in bad)
    source.close()


def test_closing_ends_a_read_that_waits(world: World) -> None:
    world.write(documents(2))
    source = world.open()
    position = drained(source)[-1].position
    ended = threading.Event()
    thread = threading.Thread(target=lambda: (source.read(position, 5, 30.0), ended.set()))
    thread.start()
    time.sleep(0.1)
    source.close()
    thread.join(5)
    assert ended.is_set()


def test_a_killed_reader_loses_nothing_and_doubles_nothing(world: World, tmp_path: Path) -> None:
    world.write(documents(120))
    base = tmp_path / "kept.db"
    rng = random.Random(world.kind)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    started: Callable[[float], subprocess.Popen[bytes]] = lambda pause: subprocess.Popen(  # noqa: E731
        [sys.executable, reading.__file__, world.kind, world.place, str(base), str(pause)], env=environment
    )
    for _ in range(2):
        process = started(0.01)
        before = kept(base)
        until = time.monotonic() + 30
        while kept(base) < min(before + 5, 120) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.08)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    process = started(0.0)
    until = time.monotonic() + 40
    while kept(base) < 120 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    process.kill()
    process.wait(20)
    with sqlite3.connect(base) as rows:
        found = [
            json.loads(content)["id"].rpartition(" ")[2] for (content,) in rows.execute("SELECT id FROM documents")
        ]
    rows.close()
    assert sorted(found) == sorted(expected(world))


def kept(base: Path) -> int:
    if not base.exists():
        return 0
    rows = sqlite3.connect(base, timeout=5)
    try:
        return int(rows.execute("SELECT count(*) FROM documents").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        rows.close()
