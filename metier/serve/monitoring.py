"""What the service counts, in Prometheus' format. One registry a service, so that two in a process do not mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTES = frozenset({"/", "/v1/predict", "/v1/run", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Monitor:
    """Counters of one service. Labels come from fixed sets: a client cannot make their number grow."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "metier_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "metier_request_seconds", "From the headers to the end of the answer.", ["route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.batch_texts = Histogram("metier_batch_texts", "Texts a batch.", buckets=TEXTS, registry=self.registry)
        self.rejected = Counter(
            "metier_rejected", "Requests refused before the model saw them.", ["status"], registry=self.registry
        )
        self._queue = Gauge("metier_queue_texts", "Texts that wait for the model.", registry=self.registry)
        self._open = Gauge("metier_requests_in_flight", "Requests that are being answered.", registry=self.registry)

    def watch(self, queue: Callable[[], float], in_flight: Callable[[], float]) -> None:
        """Names the functions that are asked whenever the figures are read."""
        self._queue.set_function(queue)
        self._open.set_function(in_flight)

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        route = path if path in ROUTES else "page" if path.startswith("/_nicegui") else "other"
        self.requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        if status in (401, 408, 413, 415, 421, 503):
            self.rejected.labels(str(status)).inc()

    def text(self) -> bytes:
        """The exposition document."""
        return generate_latest(self.registry)
