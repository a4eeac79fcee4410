"""NiceGUI in an application of ours: for the paths of the pages and for its own files, and for nothing else."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from nicegui import Client, core, ui
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from metier.serve.problems import of_http, overloaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f766e"/>'
    '<path d="M8 23V9l8 8 8-8v14" fill="none" stroke="#fff" stroke-width="3" stroke-linejoin="round"/></svg>'
)


def mount(app: FastAPI, is_page: Callable[[str], bool], most: int) -> None:
    """Mounts NiceGUI in `app` for the paths of which `is_page` says so: other paths keep their own answers.

    NiceGUI is one application a process. An app that is made later in the same process takes the pages over.

    Args:
        app: the application.
        is_page: whether a page answers at a path; NiceGUI's own files need not be told of.
        most: pages that may be open.
    """
    core.app.middleware_stack = None
    core.app.user_middleware.clear()
    own = app.router.lifespan_context
    ui.run_with(app, title="Metier", favicon=FAVICON, dark=None, tailwind=False, show_welcome_message=False)
    # run_with's own lifespan looks through every object of the process for its server, which wakes whatever torch keeps
    # asleep; NiceGUI's application has all that is needed.
    app.router.lifespan_context = _both(core.app.router.lifespan_context, own)
    app.router.routes[-1] = PageMount(core.app, is_page, most)
    core.app.add_exception_handler(HTTPException, _problem)
    core.app.add_exception_handler(404, _problem)


def _both(outer: Callable[[Any], Any], inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One lifespan of two: NiceGUI's around the service's."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with outer(core.app), inner(app):
            yield

    return lifespan


async def _problem(_: Request, error: Exception) -> Response:
    return of_http(error if isinstance(error, HTTPException) else HTTPException(404)).response()


class PageMount(Mount):
    """NiceGUI's mount, which by itself would swallow every path that no route has."""

    def __init__(self, app: ASGIApp, is_page: Callable[[str], bool], most: int) -> None:
        super().__init__("", app=_Bounded(app, is_page, most))
        self._is_page = is_page

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope.get("path", "")
        if self._is_page(path) or path == "/favicon.ico" or path.startswith("/_nicegui"):
            return super().matches(scope)
        return Match.NONE, {}


class _Bounded:
    """A page lives on the server for a while after it was asked for; there may be only so many."""

    def __init__(self, app: ASGIApp, is_page: Callable[[str], bool], most: int) -> None:
        self.app, self.is_page, self.most = app, is_page, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_page(scope["path"]) and len(Client.instances) >= self.most:
            raise overloaded("Too many pages are open.")
        await self.app(scope, receive, send)
