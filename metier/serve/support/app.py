"""The application of customer service: routes, and what is around them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from metier.apps.support.conversation import Refused
from metier.apps.support.settings import SupportSettings
from metier.apps.support.support import Missing, Support
from metier.serve import documentation, problems
from metier.serve.doors import answers, api_people, entrance
from metier.serve.doors.gate import REFERRER, HouseGate
from metier.serve.doors.routes import Viewer
from metier.serve.gate import API_POLICY, PAGE_PATHS, policy
from metier.serve.problems import Problem, overloaded
from metier.serve.support import channel_route, chat, chores, desk, desk_live, live, review_route, trial
from metier.serve.support.hub import Hub
from metier.serve.support.office import At, Office
from metier.serve.support.settings import ServiceSettings
from metier.store import conversations
from metier.store.store import Store

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

PAGES = frozenset({"/", "/knowledge", "/review", "/gaps", "/figures", "/people"})
ABOUT = "Customer service: questions in, cited answers out, people where nobody else knows. Times are seconds, UTC."
CHAT, WIDGET = "/v1/chat/", "/widget.js"
ALLOWED = {
    b"access-control-allow-methods": b"GET, POST",
    b"access-control-allow-headers": b"authorization, content-type",
    b"access-control-max-age": b"600",
}


def create_app(
    support: Support,
    store: Store,
    asked: SupportSettings,
    settings: ServiceSettings,
    *,
    hub: Hub | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The web application of customer service. Its `state.console` is the `Office` behind it.

    Args:
        support: customer service over `store`; made with `hear=hub.hear`, so that what is said is told at once.
        store: an open store.
        asked: the settings of customer service.
        settings: where it listens, and who may come in.
        hub: that hears `support`; without one what is said is told when it is seen in the store, up to a second later.
        clock: seconds since 1970.

    Raises:
        RecipeError: where a channel has no secret.
    """
    at = Office(support, store, asked, settings, hub or Hub(), clock)
    app = FastAPI(
        title="Metier support", version="1", description=ABOUT, docs_url=None, redoc_url=None, lifespan=_lifespan
    )
    app.state.console = at
    app.add_middleware(_OfficeGate, office=at)
    problems.install(app)
    answers.install(app)
    _install(app)
    for router in (chat.router, live.router, desk.router, desk_live.router, review_route.router, channel_route.router,
                   api_people.router, entrance.router):  # fmt: skip
        app.include_router(router)
    _add_widget(app)
    _add_operations(app)
    documentation.add_page(app)
    if settings.page:
        from metier.serve.support.pages import add_pages

        app.include_router(trial.router)
        add_pages(app, at)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    at: Office = app.state.console
    running = chores.of(at)
    running.start()
    try:
        yield
    finally:
        at.hub.stop()
        at.pool.close()
        running.stop()


class _OfficeGate(HouseGate):
    """The gate of customer service: sockets of its own, and other sites that may run the widget."""

    def __init__(self, app: Any, office: Office) -> None:
        super().__init__(app, office, office.figures)
        self._origins = frozenset(one.lower().encode() for one in office.asked.service.origins)

    def is_page(self, path: str) -> bool:
        """Whether a page answers at a path."""
        return path in PAGES

    def policy(self, path: str) -> Iterable[tuple[bytes, bytes]]:
        """What a browser may do with the answer at a path: the widget's script is for pages of other sites, too."""
        if path == trial.PATH:
            return policy(trial.POLICY, kept=False, referrer=REFERRER)
        if path != WIDGET:
            return super().policy(path)
        kept = policy(API_POLICY, kept=True)
        return [(name, b"cross-origin" if name == b"cross-origin-resource-policy" else value) for name, value in kept]

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = _header(scope, b"origin")
        if scope["path"].startswith(CHAT) and origin is not None and origin.lower() in self._origins:
            send = _allowing(send, origin, preflight=scope["method"] == "OPTIONS")
        await super()._http(scope, receive, send)

    def _check(self, scope: Scope, body: Any) -> None:
        super()._check(scope, body)
        if scope["path"].startswith(CHAT) and not self._may_ask(scope):
            raise Problem(403, "Pages of this site may not ask here; it is not on the list of origins.")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(PAGE_PATHS):
            await super()._websocket(scope, receive, send)
            return
        known = self._host_is_known(dict(scope["headers"]))
        if not (known and self._may_ask(scope, chat=scope["path"].startswith(CHAT))) or self.draining:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    def _may_ask(self, scope: Scope, *, chat: bool = True) -> bool:
        """Whether a request comes from no page, a page of this service, or of a site that may run the widget."""
        origin = _header(scope, b"origin")
        if origin is None or (chat and origin.lower() in self._origins):
            return True
        return urlsplit(origin).netloc == _header(scope, b"host")


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


def _allowing(send: Send, origin: bytes, *, preflight: bool) -> Send:
    """Answers with the headers that let a page of `origin` read them."""

    async def allowing(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = {b"access-control-allow-origin": origin, b"vary": b"Origin",
                    b"access-control-expose-headers": b"Retry-After", **(ALLOWED if preflight else {})}  # fmt: skip
            message["headers"] = [*message.get("headers", []), *more.items()]
        await send(message)

    return allowing


def _install(app: FastAPI) -> None:
    """Answers to what customer service raises."""

    async def missing(_: Request, error: Exception) -> JSONResponse:
        return Problem(404, str(error)).response()

    async def refused(_: Request, error: Exception) -> JSONResponse:
        return Problem(409, str(error)).response()

    app.add_exception_handler(Missing, missing)
    app.add_exception_handler(Refused, refused)


def _add_widget(app: FastAPI) -> None:
    """The script that puts the chat on a site: `<script src="https://HOST/widget.js" async></script>`."""
    script = files("metier.serve.support").joinpath("widget.js").read_text(encoding="utf-8")

    @app.get(WIDGET, include_in_schema=False)
    async def widget() -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "public, max-age=600"})


def _add_operations(app: FastAPI) -> None:
    """The routes for whoever operates the service."""

    @app.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    def readyz(at: At) -> dict[str, str]:
        if at.draining:
            raise overloaded("The service stops.")
        with at.store.read() as connection:
            conversations.last_number(connection)
        return {"status": "ready"}

    @app.get("/metrics", response_class=Response, summary="Figures for Prometheus", tags=["operation"])
    def metrics(at: At, caller: Viewer) -> Response:
        return Response(at.figures.text(), media_type=at.figures.content_type)
