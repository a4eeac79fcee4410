"""Redis Streams, as a member of a consumer group: any number of processes share one stream.

Redis itself keeps who was given which entry. An entry is acknowledged (XACK) only after what came of it was kept; the
entries of a process that died are claimed by others (XAUTOCLAIM, Redis 6.2). The position holds the ids that were given
out and not yet acknowledged, so that a process that dies between the two does not count them twice; those that it had
kept and another process claims are known by their id, which is the stream's where the document has none of its own.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import Batch
from metier.apps.monitor.sources.lines import json_line, readable
from metier.errors import DataError, MissingExtra

logger = logging.getLogger(__name__)

Entry = tuple[str, Mapping[bytes, bytes]]
JSON_FIELDS = (b"json", b"document")
"""An entry with one of these fields alone is JSON; any other one's fields are those of the document."""
LONGEST_PAUSE = 30.0
UNACKNOWLEDGED = 10_000
"""Ids that may wait to be acknowledged; no more is read then."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """Which member of which group of which stream.

    Args:
        stream: the key of the stream.
        group: its name; it is made where it is missing, and then begins at the beginning of the stream.
        consumer: the name of this process, the same after a restart and another for each process.
        idle: seconds after which an entry that its consumer did not acknowledge is claimed.
    """

    stream: str
    group: str = "metier"
    consumer: str = "one"
    idle: float = 60.0


class RedisSource:
    """Reads a stream; needs `redis` (extra `apps`).

    Args:
        url: `redis://` or `rediss://` HOST:PORT/DATABASE.
        consumer: which member of which group.
        name: of the source; the key of the stream, where it is empty.
        seed: of the random part of waiting after a lost connection.

    Raises:
        DataError: for an address that is none.
        MissingExtra: where `redis` is not installed.
    """

    def __init__(self, url: str, consumer: Consumer, name: str = "", *, seed: int = 0) -> None:
        self.consumer, self.name = consumer, name or consumer.stream
        self.fresh = True
        """Whether entries are asked for that nobody was given yet, beside those of the dead."""
        self._client = connected(url)
        self._random = random.Random(f"{seed} {consumer.consumer}")
        self._last: str | None = None
        self._given: dict[str, None] = {}
        self._own = "0"
        self._claim = "0-0"
        self._claimed = 0.0
        self._faults, self._again, self._fault = 0, 0.0, ""
        self._closed, self._turn = threading.Event(), threading.Lock()

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`. Documents are bounded by their number alone: Redis cannot be asked for so many bytes."""
        with self._turn:
            return self._read(position, limit, wait)

    def _read(self, position: str, limit: int, wait: float) -> Batch:
        if position != self._last:
            self._resume(position)
        until = time.monotonic() + wait
        received: list[Received] = []
        while not received and not self._closed.is_set():
            received = self._try(limit, until)
            left = until - time.monotonic()
            if left <= 0:
                break
            if self._fault:
                self._closed.wait(min(left, max(0.01, self._again - time.monotonic())))
        self._last = json.dumps(list(self._given))
        return Batch(received, self._last, fault=self._fault)

    def acknowledge(self, position: str) -> None:
        """Acknowledges the entries of the position. Where the connection is lost they stay in the next positions."""
        kept = [entry for entry in json.loads(position or "[]") if entry in self._given]
        if not kept:
            return
        try:
            self._client.xack(self.consumer.stream, self.consumer.group, *kept)
        except faults() as error:
            self._lost(error)
            return
        for entry in kept:
            del self._given[entry]

    def close(self) -> None:
        self._closed.set()
        with self._turn:
            self._client.close()

    def _resume(self, position: str) -> None:
        """Begins with what this consumer was given before; what the position holds was kept, and is acknowledged."""
        self._given = dict.fromkeys(json.loads(position or "[]"))
        self._own, self._claim = "0", "0-0"
        self.acknowledge(position)

    def _try(self, limit: int, until: float) -> list[Received]:
        """The next entries; none after a fault, which is noted."""
        if time.monotonic() < self._again:
            return []
        try:
            entries = self._entries(min(limit, UNACKNOWLEDGED - len(self._given)), until)
        except faults() as error:
            self._lost(error)
            return []
        self._well()
        new = [(name, fields) for name, fields in entries if name not in self._given]
        self._given |= dict.fromkeys(name for name, _ in new)
        return [self._received(name, fields) for name, fields in new]

    def _entries(self, limit: int, until: float) -> list[Entry]:
        """First one's own from before, then those of the dead, then new ones."""
        if limit <= 0:
            self._closed.wait(0.05)
            return []
        if self._own:
            found = self._group(self._own, limit, None)
            self._own = found[-1][0] if found else ""
            if found:
                return found
        if time.monotonic() - self._claimed >= min(self.consumer.idle, 10.0) or self._claim != "0-0":
            found = self._abandoned(limit)
            if found:
                return found
        if not self.fresh:
            self._closed.wait(max(0.0, min(0.05, until - time.monotonic())))
            return []
        wait = min(1.0, max(0.0, until - time.monotonic()))  # by the second, so that `close` is heard
        return self._group(">", limit, int(1000 * wait))

    def _group(self, after: str, limit: int, block: int | None) -> list[Entry]:
        which = self.consumer
        try:
            found = self._client.xreadgroup(
                which.group, which.consumer, {which.stream: after}, count=limit, block=block or None
            )
        except _refusals() as error:
            if "NOGROUP" not in str(error):
                raise
            self._client.xgroup_create(which.stream, which.group, id="0", mkstream=True)
            return []
        return _listed(found)

    def _abandoned(self, limit: int) -> list[Entry]:
        which = self.consumer
        try:
            found = self._client.xautoclaim(
                which.stream, which.group, which.consumer, int(1000 * which.idle), self._claim, count=limit
            )
        except _refusals() as error:
            if "NOGROUP" in str(error):
                return []
            raise
        self._claim, self._claimed = found[0].decode(), time.monotonic()
        return [(name.decode(), fields or {}) for name, fields in found[1] if name is not None]

    def _received(self, name: str, fields: Mapping[bytes, bytes]) -> Received:
        """An entry as a document; it arrived when Redis got it, which its id says."""
        at = arrived(name)
        if not fields:
            return Received(self.name, name, at, f"entry {name}: cut from the stream before it was read")
        if len(fields) == 1 and (key := next(iter(fields))) in JSON_FIELDS:
            received = json_line(fields[key], self.name, at)
        else:
            received = self._flat(fields, at)
        if received.fault or isinstance(received.content, str):
            return Received(self.name, received.content, at, f"entry {name}: {received.fault}")
        if received.content.get("id") in (None, ""):
            return Received(self.name, {**received.content, "id": f"{self.consumer.stream} {name}"}, at)
        return received

    def _flat(self, fields: Mapping[bytes, bytes], at: float) -> Received:
        try:
            return Received(self.name, {key.decode(): value.decode() for key, value in fields.items()}, at)
        except UnicodeDecodeError:
            shown = orjson.dumps({readable(key): readable(value) for key, value in fields.items()})
            return Received(self.name, shown.decode(), at, "not UTF-8")

    def _lost(self, error: Exception) -> None:
        """Tries again later, exponentially, with a random part."""
        self._faults += 1
        pause = min(LONGEST_PAUSE, 0.1 * 2.0 ** min(self._faults, 20)) * (0.5 + 0.5 * self._random.random())
        self._again = time.monotonic() + pause
        # what was given to this consumer and did not reach it is asked for again
        self._own = "0"
        if not self._fault:
            logger.warning(
                "the stream %s of %s cannot be reached, trying on: %s", self.consumer.stream, self.name, error
            )
        self._fault = f"the stream {self.consumer.stream} cannot be reached: {error}"

    def _well(self) -> None:
        if self._fault:
            logger.info("the stream %s is reached again", self.consumer.stream)
        self._faults, self._again, self._fault = 0, 0.0, ""


def arrived(name: str) -> float:
    """When Redis got an entry, by its id; seconds since 1970."""
    stamp = name.partition("-")[0]
    return int(stamp) / 1000 if stamp.isdecimal() else time.time()


def connected(url: str) -> Any:
    """A client that says at once when the connection is lost. Raises `DataError`, `MissingExtra`."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise MissingExtra("redis", "apps") from None
    try:
        # its own tries again would block `close`, and hide from the operator that the connection is lost
        return redis.Redis.from_url(
            url, socket_connect_timeout=5.0, socket_timeout=10.0, retry=Retry(NoBackoff(), 0), decode_responses=False
        )
    except ValueError:
        raise DataError("The address of the Redis server is none.", expected="redis://HOST:PORT/0") from None


def faults() -> tuple[type[Exception], ...]:
    """What passes: a lost connection, a server that still loads, is full, or asks for another password."""
    import redis

    return redis.RedisError, OSError


def _refusals() -> type[Exception]:
    import redis

    return redis.ResponseError


def _listed(found: Any) -> list[Entry]:
    """`[[stream, [(id, fields), ...]]]`, or a mapping of the same, as entries."""
    streams = list(found.items()) if isinstance(found, dict) else found or []
    entries = streams[0][1] if streams else []
    if entries and isinstance(entries[0], list):  # the third version of the protocol wraps them once more
        entries = entries[0]
    return [(name.decode(), fields or {}) for name, fields in entries]
