"""The application of the monitor: routes and pages, and what is around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from metier.apps.monitor.sources.inbox import SpoolFull
from metier.serve import documentation, problems
from metier.serve.doors import answers, api_people, entrance
from metier.serve.doors.gate import HouseGate
from metier.serve.doors.routes import Viewer
from metier.serve.monitor import api_alerts, api_documents, api_lists
from metier.serve.monitor.console import At, Console
from metier.serve.monitor.settings import ServiceSettings
from metier.serve.problems import overloaded
from metier.types import NOTHING

if TYPE_CHECKING:
    from metier.apps.monitor.companies.link import Companies
    from metier.apps.monitor.explain.written import Summaries
    from metier.apps.monitor.sources.inbox import Inbox
    from metier.store.store import Store

ABOUT = "Opinion monitoring: documents in, alerts with their evidence out. Times are seconds since 1970, UTC."
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
    answers.install(app)
    _install(app)
    for router in (api_alerts.router, api_documents.router, api_lists.router, api_people.router, entrance.router):
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


class _ConsoleGate(HouseGate):
    """The gate of the monitor's console."""

    def __init__(self, app: Any, console: Console) -> None:
        super().__init__(app, console, console.figures)

    def is_page(self, path: str) -> bool:
        """Whether a page answers at a path."""
        return is_page(path)

    def is_plain(self, path: str) -> bool:
        """Whether what answers at a path is a page without scripts."""
        return super().is_plain(path) or path.endswith("/brief")


def _install(app: FastAPI) -> None:
    """Answers to what the monitor raises beside what every console does."""

    async def full(_: Request, error: Exception) -> JSONResponse:
        return overloaded(str(error), error.retry_after if isinstance(error, SpoolFull) else 5.0).response()

    app.add_exception_handler(SpoolFull, full)


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
