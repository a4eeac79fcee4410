"""What the service of the monitor counts, in Prometheus' format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from metier.errors import MetierError
from metier.serve.monitoring import METHODS, SECONDS
from metier.store import alerts, quarantine, ticks
from metier.store.store import Store

_PARTS = (
    "v1 documents series alerts acknowledge snooze verdict comment own brief silences watchlists missed stories "
    "feedback quarantine replay unlinked companies people keys audit status healthz readyz metrics login logout setup "
    "review openapi.json docs alerts.csv alerts.json whoami settle"
)
PARTS = frozenset(_PARTS.split())


class Figures:
    """Counters of one service. Labels come from fixed sets: a client cannot make their number grow.

    Args:
        store: whose alerts are counted when the figures are read.
        status: what the engine says of itself; its numbers are shown as `metier_monitor_engine{name=...}`.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, store: Store, status: Callable[[], Mapping[str, Any]]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "metier_monitor_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "metier_monitor_request_seconds", "From the headers to the end of the answer.", ["route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.documents = Counter(
            "metier_monitor_documents", "Pushed documents that are on the disk.", registry=self.registry
        )
        self.registry.register(_Stored(store, status))

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
    parts = [part if part in PARTS else "*" for part in path.strip("/").split("/")][:5]
    return "/" + re.sub(r"\*(/\*)+", "*", "/".join(parts)) if path != "/" else "/"


class _Stored(Collector):
    """What is looked up whenever somebody reads the figures."""

    def __init__(self, store: Store, status: Callable[[], Mapping[str, Any]]) -> None:
        self._store, self._status = store, status

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            with self._store.read() as connection:
                firing = len(alerts.listing(connection, alerts.Wanted(states=("firing",)), 10_000))
                aside = sum(quarantine.counts(connection).values())
                span = ticks.span(connection)
        except MetierError:
            yield GaugeMetricFamily("metier_monitor_store_up", "Whether the store answers.", 0)
            return
        yield GaugeMetricFamily("metier_monitor_store_up", "Whether the store answers.", 1)
        yield GaugeMetricFamily("metier_monitor_alerts_firing", "Alerts that are firing.", firing)
        yield GaugeMetricFamily("metier_monitor_quarantine", "Documents that were set aside and wait.", aside)
        if span is not None:
            yield GaugeMetricFamily("metier_monitor_last_tick_seconds", "Start of the latest tick.", span[1])
        numbers = GaugeMetricFamily("metier_monitor_engine", "What the engine says of itself.", labels=["name"])
        for name, value in self._status().items():
            if isinstance(value, int | float):
                numbers.add_metric([name], float(value))
        yield numbers
