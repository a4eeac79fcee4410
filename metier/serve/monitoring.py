"""What the service counts, in Prometheus' format. One registry a service, so that two in a process do not mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from metier.serve.served import ServedRun

ROUTES = frozenset(
    {"/", "/v1/predict", "/v1/run", "/v1/runs", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"}
)
RUN_PREDICT, RUN_RELOAD = "/v1/runs/{run}/predict", "/v1/runs/{run}/reload"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Monitor:
    """Counters of one service. Labels come from fixed sets: a client cannot make their number grow.

    What is named `metier_run_...` has the label `run`; the rest counts all runs together.
    """

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
        self.run_requests = Counter(
            "metier_run_requests", "Predictions asked of a run.", ["run", "status"], registry=self.registry
        )
        self.run_seconds = Histogram(
            "metier_run_request_seconds", "From the headers to the end of a run's answer.", ["run"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.run_batch_texts = Histogram(
            "metier_run_batch_texts", "Texts a batch of a run.", ["run"], buckets=TEXTS, registry=self.registry
        )
        self._run_queue = Gauge("metier_run_queue_texts", "Texts that wait for a run.", ["run"], registry=self.registry)
        self._run_ready = Gauge("metier_run_ready", "Whether a run is warm.", ["run"], registry=self.registry)
        self._run_memory = Gauge(
            "metier_run_memory_bytes", "By how much the process grew when a run was loaded; 0: it is not.", ["run"],
            registry=self.registry,
        )  # fmt: skip
        self.run_replaced = Counter(
            "metier_run_replacements", "New folders of a run that were found.", ["run", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._runs: list[str] = []
        self._queue = Gauge("metier_queue_texts", "Texts that wait for the model.", registry=self.registry)
        self._open = Gauge("metier_requests_in_flight", "Requests that are being answered.", registry=self.registry)

    def watch(self, queue: Callable[[], float], in_flight: Callable[[], float]) -> None:
        """Names the functions that are asked whenever the figures are read."""
        self._queue.set_function(queue)
        self._open.set_function(in_flight)

    def watch_run(self, run: ServedRun) -> None:
        """As `watch`, of one run. The first that is named is the one that `/v1/predict` asks."""
        self._runs.append(run.name)
        self._run_queue.labels(run.name).set_function(lambda: run.batcher.length + run.batcher.coming)
        self._run_ready.labels(run.name).set_function(lambda: run.warm)
        self._run_memory.labels(run.name).set_function(lambda: run.edition.memory if run.edition else 0)

    def replaced(self, run: str, outcome: str) -> None:
        """Counts a new folder of a run: it was `replaced` or `refused`."""
        self.run_replaced.labels(run, outcome).inc()

    def batches(self, run: str) -> Callable[[int], None]:
        """What is told the texts of every batch of a run."""
        of_run = self.run_batch_texts.labels(run)

        def observe(texts: int) -> None:
            self.batch_texts.observe(texts)
            of_run.observe(texts)

        return observe

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        route, run = self._place(path)
        self.requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        if run is not None:
            self.run_requests.labels(run, str(status)).inc()
            self.run_seconds.labels(run).observe(seconds)
        if status in (401, 408, 413, 415, 421, 503):
            self.rejected.labels(str(status)).inc()

    def _place(self, path: str) -> tuple[str, str | None]:
        """The route of a path, and the run that is asked there."""
        if path == "/v1/predict":
            return path, self._runs[0]
        named = path.removeprefix("/v1/runs/").removesuffix("/predict")
        if path == f"/v1/runs/{named}/predict" and named in self._runs:
            return RUN_PREDICT, named
        if path.startswith("/v1/runs/") and path.endswith("/reload"):
            return RUN_RELOAD, None
        return path if path in ROUTES else "page" if path.startswith("/_nicegui") else "other", None

    def text(self) -> bytes:
        """The exposition document."""
        return generate_latest(self.registry)
