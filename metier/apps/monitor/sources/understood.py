"""What workers understood of a Redis stream, in the order of the stream, whichever of them was how fast.

A worker (`metier.apps.monitor.worker`) leaves its answer to an entry in a hash beside the stream, under the id of the
entry, and acknowledges the entry in the same step; Redis does both or neither, and of two workers that answer the same
entry the first alone is heard. This source walks the stream itself, from entry to entry, and gives the answers: the
order is the stream's, so that stories and counts come out as one process would have them, and its position is one id.
"""

from __future__ import annotations

import logging
import threading
import time

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import BATCH, Batch
from metier.apps.monitor.sources.redis_stream import Consumer, arrived, connected, faults

logger = logging.getLogger(__name__)

POLL = 0.02
"""Seconds between two looks at answers that are awaited."""
PAUSE = 1.0
"""Seconds before a server that is away is tried again."""
BEGINNING = "0-0"
# Entries behind the position with their answers, up to the first that awaits one. An entry that was acknowledged and
# has no answer was counted by a process without workers before, and is passed over. Answers to entries that were cut
# from the stream in the meantime still count, in their place.
_WALK = """
local stream, answers, group, position = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local limit, size = tonumber(ARGV[3]), tonumber(ARGV[4])
local function before(a, b)
  local m, s = string.match(a, '^(%d+)-(%d+)$')
  local n, t = string.match(b, '^(%d+)-(%d+)$')
  m, s, n, t = tonumber(m), tonumber(s), tonumber(n), tonumber(t)
  return m < n or (m == n and s < t)
end
local ids = {}
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if not first or before(position, first[1]) then
  for _, id in ipairs(redis.call('HKEYS', answers)) do
    if before(position, id) and (not first or before(id, first[1])) then ids[#ids + 1] = id end
  end
  table.sort(ids, before)
end
for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', limit)) do
  ids[#ids + 1] = entry[1]
end
local delivered
if first then
  for _, one in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local named = {}
    for at = 1, #one, 2 do named[one[at]] = one[at + 1] end
    if named['name'] == group then delivered = named['last-delivered-id'] end
  end
end
local found, bytes = {}, 0
for _, id in ipairs(ids) do
  if #found == limit or bytes > size then break end
  local answer = redis.call('HGET', answers, id)
  if not answer then
    if not delivered or before(delivered, id) or #redis.call('XPENDING', stream, group, id, id, 1) > 0 then
      return {found, 1}
    end
  end
  found[#found + 1] = {id, answer or ''}
  bytes = bytes + #(answer or '')
end
return {found, 0}
"""


def answers(consumer: Consumer) -> str:
    """The key of the hash that holds the answers to the entries of a stream, by their ids."""
    return f"{consumer.stream}:{consumer.group}:understood"


class UnderstoodSource:
    """Reads what workers understood. One process alone may read it; needs `redis` (extra `apps`).

    Args:
        url: `redis://` or `rediss://` HOST:PORT/DATABASE.
        consumer: the stream and the group of the workers; `idle` tells when nobody seems to work.
        name: of the source; the key of the stream, where it is empty.

    Raises as `RedisSource`.
    """

    def __init__(self, url: str, consumer: Consumer, name: str = "") -> None:
        self.consumer, self.name = consumer, name or consumer.stream
        self._client = connected(url)
        self._walk = self._client.register_script(_WALK)
        self._last: str | None = None
        self._given: list[str] = []
        self._again, self._fault, self._since = 0.0, "", 0.0
        self._closed, self._turn = threading.Event(), threading.Lock()

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`. The contents are `{"answer": ...}`, which `metier.apps.monitor.wire.read` reads."""
        with self._turn:
            until = time.monotonic() + wait
            while True:
                found, behind = self._try(_id(position), limit)
                left = until - time.monotonic()
                if found or left <= 0 or self._closed.is_set():
                    break
                self._closed.wait(min(left, POLL))
            received = [Received(self.name, {"answer": answer}, arrived(name)) for name, answer in found if answer]
            if passed := len(found) - len(received):
                logger.info("%s: %d entries were counted without workers before", self.name, passed)
            if found:
                self._last = found[-1][0]
            reached = found[-1][0] if found else _id(position)
            return Batch(received, reached, fault=self._fault, behind=behind or passed > 0)

    def acknowledge(self, position: str) -> None:
        """Forgets the answers up to the position; where the connection is lost, the next time."""
        reached = _order(_id(position))
        kept = [name for name in self._given if _order(name) <= reached]
        if not kept:
            return
        try:
            self._client.hdel(answers(self.consumer), *kept)
        except faults() as error:
            self._lost(error)
            return
        self._given = self._given[len(kept) :]

    def close(self) -> None:
        self._closed.set()
        with self._turn:
            self._client.close()

    def _try(self, position: str, limit: int) -> tuple[list[tuple[str, str]], bool]:
        """`(entries with their answers, whether more are awaited)`; nothing after a fault, which is noted."""
        if time.monotonic() < self._again:
            return [], True
        which = self.consumer
        try:
            if position != self._last:
                self._resume(position)
            rows, behind = self._walk([which.stream, answers(which)], [which.group, position, limit, BATCH])
        except faults() as error:
            self._lost(error)
            return [], True
        found = [(name.decode(), answer.decode()) for name, answer in rows]
        self._given += [name for name, answer in found if answer]
        self._watch(bool(found), bool(behind))
        return found, bool(behind)

    def _resume(self, position: str) -> None:
        """What was counted and not forgotten, since a process died between the two, is forgotten now."""
        key, reached = answers(self.consumer), _order(position)
        old = [name for name in self._client.hkeys(key) if _order(name.decode()) <= reached]
        if old:
            self._client.hdel(key, *old)
        self._last, self._given = position, []

    def _watch(self, found: bool, behind: bool) -> None:
        """Says so where documents wait for longer than it takes to take over from a dead worker."""
        now = time.monotonic()
        if found or not behind or not self._since:
            self._since = now
        waits = now - self._since > 2 * self.consumer.idle
        self._fault = (
            f"documents of the stream {self.consumer.stream} wait for workers: metier monitor understand"
            if waits
            else ""
        )

    def _lost(self, error: Exception) -> None:
        self._again = time.monotonic() + PAUSE
        self._fault = f"the stream {self.consumer.stream} cannot be reached: {error}"


def _id(position: str) -> str:
    """A position as the id of an entry; that of a process without workers is another kind, and means the beginning."""
    ms, _, number = position.partition("-")
    return position if ms.isdecimal() and number.isdecimal() else BEGINNING


def _order(name: str) -> tuple[int, int]:
    ms, _, number = name.partition("-")
    return int(ms), int(number)
