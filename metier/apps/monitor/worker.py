"""One of many processes that understand: entries of a Redis stream in, answers beside the stream out.

The forward pass is by far the dearest stage of the monitor; stories, counts and alarms stay with the one process that
reads the answers (`metier.apps.monitor.sources.understood`).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence

from metier.apps.monitor import wire
from metier.apps.monitor.item import Item
from metier.apps.monitor.normalise import Normaliser, Quarantined
from metier.apps.monitor.sources.redis_stream import Consumer, RedisSource, connected, faults
from metier.apps.monitor.sources.understood import answers
from metier.apps.monitor.understand import Reading

logger = logging.getLogger(__name__)

BATCH = 64
"""Documents that are understood together, and come again where the worker dies."""
AHEAD = 20_000
"""Answers that nobody has counted yet, from which on no new documents are taken."""
PAUSE, LONGEST_PAUSE = 0.2, 15.0
"""Seconds before publishing is tried again, doubled from try to try up to the longest."""
# The first to acknowledge an entry leaves its answer; who comes later, since the entry was claimed meanwhile, does not.
_PUBLISH = """
local kept = 0
for at = 2, #ARGV, 2 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[at]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
    kept = kept + 1
  end
end
return kept
"""


def work(workers: Sequence[Worker], stopped: threading.Event, hear: Callable[[int], None], wait: float = 0.5) -> None:
    """Lets workers of several streams work in turn until it is stopped.

    Args:
        workers: at least one.
        stopped: ends it after the steps that are under way.
        hear: is told how many documents each round published.
        wait: seconds for which one of them waits for documents where none has any.
    """
    found = 0
    while not stopped.is_set():
        pause = 0.0 if found else wait / len(workers)
        found = sum(worker.step(pause) for worker in workers)
        hear(found)


class Worker:
    """Understands the documents of a stream as a member of its consumer group; needs `redis` (extra `apps`).

    Args:
        url: of the Redis server.
        consumer: which member of which group of which stream.
        normalise: how documents are checked.
        read: documents to what they say, such as `Reader`.
        version: of the run behind `read`.
        name: of the source.

    Raises as `RedisSource`.
    """

    def __init__(
        self,
        url: str,
        consumer: Consumer,
        normalise: Normaliser,
        read: Callable[[Sequence[Item]], list[Reading]],
        version: str,
        name: str = "",
    ) -> None:
        self.consumer, self.normalise, self.understand, self.version = consumer, normalise, read, version
        self.source = RedisSource(url, consumer, name)
        self._client = connected(url)
        self._publish = self._client.register_script(_PUBLISH)
        self._position = ""
        self._stopped = threading.Event()

    def step(self, wait: float = 0.0) -> int:
        """One batch; the number of documents of which this worker's answer is the one that counts."""
        self.source.fresh = self._in_demand()
        batch = self.source.read(self._position, BATCH, wait)
        self._position = batch.position
        if not batch.received:
            return 0
        # ids that could not be acknowledged earlier stand before those of this batch
        names = json.loads(batch.position)[-len(batch.received) :]
        checked = [self.normalise(one) for one in batch.received]
        readings = iter(self.understand([one for one in checked if isinstance(one, Item)]))
        outcomes = [one if isinstance(one, Quarantined) else next(readings) for one in checked]
        rows = [part for name, one in zip(names, outcomes, strict=True) for part in (name, self._written(one))]
        kept = self._published(rows)
        self.source.acknowledge(batch.position)
        return kept

    def stop(self) -> None:
        """Gives up publishing where the server is away: the documents stay, for another worker."""
        self._stopped.set()

    def close(self) -> None:
        """Lets go of the connections."""
        self.source.close()
        self._client.close()

    def _written(self, outcome: Reading | Quarantined) -> bytes:
        return wire.written(outcome, self.version)

    def _in_demand(self) -> bool:
        """Whether answers are counted as fast as they come. Those of dead workers are taken over in any case: what is
        counted next may be among them."""
        try:
            return int(self._client.hlen(answers(self.consumer))) < AHEAD
        except faults():  # reading says what is wrong
            return True

    def _published(self, rows: Sequence[str | bytes]) -> int:
        """Publishes, however long the server is away: what was understood is not thrown away, and nothing is read."""
        keys, pause = [self.consumer.stream, answers(self.consumer)], PAUSE
        while True:
            try:
                return int(self._publish(keys, [self.consumer.group, *rows]))
            except faults() as error:
                if self._stopped.is_set():
                    return 0
                logger.warning("%s: trying again in %.1f s: %s", self.consumer.stream, pause, error)
                self._stopped.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
