"""Redis Streams: a group of readers of which any may die, a server that goes away, entries that are none."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from monitor import feeding

from metier.apps.monitor.sources import Batch
from metier.apps.monitor.sources.redis_stream import Consumer, RedisSource
from metier.errors import DataError

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(bool(feeding.redis_missing()), reason=feeding.redis_missing() or "-")


@pytest.fixture(scope="module")
def server() -> Iterator[feeding.RedisServer]:
    with feeding.redis_server() as started:
        yield started


@pytest.fixture
def client(server: feeding.RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as made:
        made.flushall()
        yield made


def add(client: Any, *numbers: int) -> None:
    for number in numbers:
        client.xadd("news", {"json": json.dumps({"id": str(number), "text": "x"})})


def ids(*batches: Batch) -> list[int]:
    return [int(one.content["id"]) for batch in batches for one in batch.received]  # type: ignore[index]


def pending(client: Any) -> int:
    return int(client.xpending("news", "metier")["pending"])


def test_entries_are_acknowledged_after_they_were_kept(server: feeding.RedisServer, client: Any) -> None:
    add(client, 1, 2, 3)
    source = RedisSource(server.url, Consumer("news"))
    batch = source.read("", 2, 0.2)
    assert ids(batch) == [1, 2]
    assert pending(client) == 2
    source.acknowledge(batch.position)
    assert pending(client) == 0
    assert json.loads(source.read(batch.position, 1, 0.2).position) != []
    source.close()


def test_killed_between_commit_and_acknowledgement(server: feeding.RedisServer, client: Any) -> None:
    """What the position holds was kept: it is acknowledged and not read again. What it does not hold comes again."""
    add(client, 1, 2, 3, 4, 5)
    source = RedisSource(server.url, Consumer("news"))
    one = source.read("", 2, 0.2)
    two = source.read(one.position, 2, 0.2)
    assert ids(one, two) == [1, 2, 3, 4]
    source.close()
    again = RedisSource(server.url, Consumer("news"))
    three = again.read(one.position, 10, 0.2)
    four = again.read(three.position, 10, 0.2)
    assert ids(three, four) == [3, 4, 5]
    again.acknowledge(four.position)
    assert pending(client) == 0
    again.close()


def test_the_entries_of_the_dead_are_claimed(server: feeding.RedisServer, client: Any) -> None:
    add(client, *range(10))
    dead = RedisSource(server.url, Consumer("news", consumer="dead"))
    assert ids(dead.read("", 4, 0.2)) == [0, 1, 2, 3]
    dead.close()
    alive = RedisSource(server.url, Consumer("news", consumer="alive", idle=0.3))
    found, position = [], ""
    for _ in range(30):
        batch = alive.read(position, 3, 0.2)
        position = batch.position
        alive.acknowledge(position)
        found += ids(batch)
    assert sorted(found) == list(range(10))
    assert pending(client) == 0
    alive.close()


def test_two_readers_share(server: feeding.RedisServer, client: Any) -> None:
    add(client, *range(20))
    readers = [RedisSource(server.url, Consumer("news", consumer=name)) for name in "ab"]
    found, positions = [], ["", ""]
    for _ in range(6):
        for at, reader in enumerate(readers):
            batch = reader.read(positions[at], 3, 0.05)
            positions[at] = batch.position
            reader.acknowledge(batch.position)
            found += ids(batch)
    assert sorted(found) == list(range(20))
    for reader in readers:
        reader.close()


def test_entries_of_every_kind(server: feeding.RedisServer, client: Any) -> None:
    client.xadd("news", {"text": "flat", "time": "2026-01-02T03:04:05Z"})
    client.xadd("news", {"document": b'{"text": "no id"}'})
    client.xadd("news", {"json": b"{broken"})
    client.xadd("news", {"text": b"\xff\xfe"})
    name = client.xadd("news", {"json": b"[]"})
    source = RedisSource(server.url, Consumer("news"))
    batch = source.read("", 10, 0.2)
    flat, bare, *broken = batch.received
    assert flat.content["text"] == "flat"  # type: ignore[index]
    assert bare.content["id"].startswith("news ")  # type: ignore[index]
    assert bare.at == pytest.approx(int(name.split(b"-")[0]) / 1000, abs=5)
    assert all("entry " in one.fault for one in broken)
    assert [part in one.fault for part, one in zip(("not JSON", "not UTF-8", "a list"), broken, strict=True)] == [
        True
    ] * 3
    source.close()


def test_entries_that_were_cut_from_the_stream(server: feeding.RedisServer, client: Any) -> None:
    add(client, 1, 2)
    source = RedisSource(server.url, Consumer("news"))
    source.read("", 2, 0.2)
    client.xtrim("news", maxlen=1, approximate=False)
    batch = RedisSource(server.url, Consumer("news")).read("", 10, 0.2)
    assert ["cut from the stream" in one.fault for one in batch.received] == [True, False]
    source.close()


def test_a_stream_that_is_deleted_is_made_anew(server: feeding.RedisServer, client: Any) -> None:
    source = RedisSource(server.url, Consumer("news"))
    position = source.read("", 10, 0.0).position
    client.delete("news")
    add(client, 7)
    assert ids(source.read(position, 10, 0.5)) == [7]
    source.close()


def test_a_server_that_goes_away_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with feeding.redis_server() as own:
        with redis.Redis.from_url(own.url) as client:
            add(client, *range(4))
        source = RedisSource(own.url, Consumer("news"))
        one = source.read("", 2, 0.2)
        own.stop()
        with caplog.at_level(logging.INFO):
            source.acknowledge(one.position)
            two = source.read(one.position, 2, 0.3)
            three = source.read(two.position, 2, 0.3)
            assert ids(two, three) == []
            assert "cannot be reached" in three.fault
            own.start()
            position, found = three.position, []
            for _ in range(40):
                batch = source.read(position, 2, 0.5)
                position = batch.position
                source.acknowledge(position)
                found += ids(batch)
                if len(found) == 2:
                    break
        assert found == [2, 3]  # what was kept does not come again, though it could not be acknowledged then
        assert batch.fault == ""
        assert sum("cannot be reached" in line for line in caplog.messages) == 1
        assert sum("reached again" in line for line in caplog.messages) == 1
        with redis.Redis.from_url(own.url) as client:
            assert pending(client) == 0
        source.close()


def test_an_address_that_is_none() -> None:
    with pytest.raises(DataError, match="none"):
        RedisSource("http://127.0.0.1", Consumer("news"))
