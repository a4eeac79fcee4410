"""The application of the monitor: routes and pages, and what is around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from metier.apps.monitor.sources.inbox import SpoolFull
from metier.errors import StoreGone
from metier.serve import documentation, problems
from metier.serve.gate import API_POLICY, DOCS_POLICY, PAGE_PATHS, PAGE_POLICY, Gate, policy
from metier.serve.keys import KeyRing
from metier.serve.monitor import api_alerts, api_documents, api_lists, entrance
from metier.serve.monitor.acts import Missing
from metier.serve.monitor.console import At, Console, Viewer
from metier.serve.monitor.settings import ServiceSettings
from metier.serve.problems import Problem, overloaded
from metier.store.people import TooManyAttempts
from metier.types import NOTHING

if TYPE_CHECKING:
    from metier.apps.monitor.companies.link import Companies
    from metier.apps.monitor.explain.written import Summaries
    from metier.apps.monitor.sources.inbox import Inbox
    from metier.store.store import Store

ABOUT = "Opinion monitoring: documents in, alerts with their evidence out. Times are seconds since 1970, UTC."
PLAIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
)
REFERRER = "same-origin"
"""With `no-referrer` browsers send forms from nowhere (`Origin: null`), as another site would."""
PLAIN_PATHS = ("/login", "/setup")
PAGES = frozenset({"/", "/series", "/alerts", "/companies", "/review", "/missed", "/people"})
PAGE_FOLDERS = ("/alerts/", "/stories/")


def create_app(
    store: Store,
    *,
    settings: ServiceSettings,
    inbox: Inbox | None = None,
    companies: Companies | None = None,
    engine_status: Callable[[], Mapping[str, Any]] = lambda: NOTHING,
    clock: Callable[[], float] = time.time,
    summaries: Summaries | None = None,
) -> FastAPI:
    """The web application of a monitor. Its `state.console` is the `Console` behind it.

    Args:
        store: an open store, which the engine writes, in this process or in another one.
        settings: where it listens and who may come in.
        inbox: where pushed documents go; without it none are taken.
        companies: the table whose names are shown and searched.
        engine_status: numbers and words that the engine says of itself: shown beside the figures; with `topics` and
            `sentiments`, the labels that corrections are chosen from.
        clock: seconds since 1970.
        summaries: of alerts, as `assemble.summaries` makes them of the settings; without them briefs have none.
    """
    console = Console(store, settings, inbox, companies, engine_status, clock, summaries)
    app = FastAPI(title="Metier monitor", version="1", description=ABOUT, docs_url=None, redoc_url=None)
    app.state.console = console
    app.add_middleware(_ConsoleGate, console=console)
    problems.install(app)
    _install(app)
    for router in (api_alerts.router, api_documents.router, api_lists.router, entrance.router):
        app.include_router(router)
    _add_operations(app)
    documentation.add_page(app)
    if settings.page:
        from metier.serve.monitor.pages import add_pages

        add_pages(app, console)
    return app


def is_page(path: str) -> bool:
    """Whether a page answers at a path."""
    return path in PAGES or path.startswith(PAGE_FOLDERS)


class _ConsoleGate(Gate):
    """The gate of the console: keys are looked at behind it, by the door."""

    def __init__(self, app: Any, console: Console) -> None:
        super().__init__(app, console.settings, KeyRing(), console.figures)
        console.gate = self

    def policy(self, path: str) -> Iterable[tuple[bytes, bytes]]:
        """What a browser may do with the answer at a path."""
        if is_page(path) or path.startswith(PAGE_PATHS):
            return policy(PAGE_POLICY, kept=path.startswith(PAGE_PATHS), referrer=REFERRER)
        if path in PLAIN_PATHS or path.endswith("/brief"):
            return policy(PLAIN_POLICY, kept=False, referrer=REFERRER)
        return policy(DOCS_POLICY if path == "/docs" else API_POLICY, kept=path.startswith("/docs"))


def _install(app: FastAPI) -> None:
    """Answers to what the monitor raises; the nearest kind of an exception decides."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, Missing):
            return Problem(404, str(error)).response()
        if isinstance(error, TooManyAttempts):
            return Problem(429, str(error), headers={"Retry-After": str(int(error.seconds) + 1)}).response()
        if isinstance(error, SpoolFull):
            return overloaded(str(error), error.retry_after).response()
        return overloaded(str(error), 5.0).response()

    for kind in (Missing, TooManyAttempts, SpoolFull, StoreGone):
        app.add_exception_handler(kind, answer)


def _add_operations(app: FastAPI) -> None:
    """The routes for whoever operates the service."""

    @app.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    def readyz(at: At) -> dict[str, str]:
        if at.draining:
            raise overloaded("The service stops.")
        at.mark()
        return {"status": "ready"}

    @app.get("/metrics", response_class=Response, summary="Figures for Prometheus", tags=["operation"])
    def metrics(at: At, caller: Viewer) -> Response:
        return Response(at.figures.text(), media_type=at.figures.content_type)

    @app.get("/v1/status", summary="What the engine says of itself", tags=["operation"])
    def status(at: At, caller: Viewer) -> dict[str, Any]:
        return dict(at.status())
