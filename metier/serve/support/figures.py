"""What the service counts, in Prometheus' format."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from metier.errors import MetierError
from metier.serve.monitoring import METHODS, SECONDS
from metier.serve.support.pool import Pool
from metier.store import conversations
from metier.store.store import Store

_PARTS = (
    "v1 chat desk channels conversations messages acts rating verdict queue suggestions figures typing present replies "
    "erase people keys audit whoami healthz readyz metrics login logout setup docs openapi.json widget.js "
    "knowledge review gaps try"
)
PARTS = frozenset(_PARTS.split())


class Figures:
    """Counters of one service. Labels come from fixed sets: a client cannot make their number grow.

    Args:
        store: whose queue is counted when the figures are read.
        pool: of those who answer.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, store: Store, pool: Pool) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "metier_support_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "metier_support_request_seconds", "From the headers to the end of the answer.", ["route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Now(store, pool))

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        route = route_of(path)
        self.requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition document."""
        return generate_latest(self.registry)


def route_of(path: str) -> str:
    """A path with `*` for what is no name of ours."""
    if path.startswith("/_nicegui"):
        return "page"
    parts = [part if part in PARTS else "*" for part in path.strip("/").split("/")][:7]
    return "/" + re.sub(r"\*(/\*)+", "*", "/".join(parts)) if path != "/" else "/"


class _Now(Collector):
    """What is looked up whenever somebody reads the figures."""

    def __init__(self, store: Store, pool: Pool) -> None:
        self._store, self._pool = store, pool

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("metier_support_answering", "Messages that are answered, or wait.", self._pool.taken)
        try:
            with self._store.read() as connection:
                waiting = len(conversations.queue(connection))
        except MetierError:
            yield GaugeMetricFamily("metier_support_store_up", "Whether the store answers.", 0)
            return
        yield GaugeMetricFamily("metier_support_store_up", "Whether the store answers.", 1)
        yield GaugeMetricFamily("metier_support_queue", "Conversations that wait for a person.", waiting)
