"""What the routes and the pages share, and how a route says who may ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from metier.apps.monitor.companies.link import Companies
from metier.serve.body import read_json
from metier.serve.monitor.acts import Hand
from metier.serve.monitor.door import Caller, Door
from metier.serve.monitor.figures import Figures
from metier.serve.monitor.settings import ServiceSettings
from metier.serve.monitor.summaries import Desk
from metier.serve.monitor.views import Names
from metier.store import audit, ticks
from metier.store.store import Store
from metier.types import NOTHING

if TYPE_CHECKING:
    from metier.apps.monitor.explain.written import Summaries
    from metier.apps.monitor.sources.inbox import Inbox
    from metier.serve.gate import Gate

Status = Callable[[], Mapping[str, Any]]


class Console:
    """The parts of one service.

    Args:
        store: an open store.
        settings: of the service.
        inbox: where pushed documents go; `None`: none are taken.
        companies: the table of companies, whose names are shown.
        status: what the engine says of itself; `topics` and `sentiments`, where there, are offered for corrections.
        clock: seconds since 1970.
        summaries: of alerts, for their briefs; `None`: nobody writes any.
    """

    def __init__(
        self, store: Store, settings: ServiceSettings, inbox: Inbox | None = None, companies: Companies | None = None,
        status: Status = lambda: NOTHING, clock: Callable[[], float] = time.time, summaries: Summaries | None = None,
    ) -> None:  # fmt: skip
        self.store, self.settings, self.inbox, self.status, self.clock = store, settings, inbox, status, clock
        self.names = Names(companies)
        self.door = Door(store, settings, clock)
        self.figures = Figures(store, status)
        self.desk = None if summaries is None else Desk(summaries, clock)
        self.gate: Gate | None = None

    def hand(self, caller: Caller) -> Hand:
        """With what a caller does something now."""
        return Hand(self.store, caller.name, self.clock())

    def mark(self) -> tuple[Any, ...]:
        """What changes whenever the engine or a person changed something: by it an open page knows that it is old."""
        with self.store.read() as connection:
            clock = ticks.stage(connection, "monitor.clock")
            return (clock.at, clock.state.get("step")) if clock else (), audit.head(connection)[0]

    # what `server.DrainingServer` asks
    def drain(self) -> None:
        """From now on nothing new is taken."""
        if self.gate is not None:
            self.gate.draining = True

    @property
    def draining(self) -> bool:
        return self.gate is not None and self.gate.draining

    @property
    def drained(self) -> bool:
        """Whether every request that was accepted has its answer."""
        return self.gate is None or not self.gate.in_flight


class BoundedRoute(APIRoute):
    """A route whose JSON is read by `read_json`, within the limits, before FastAPI looks at it; of nobody unknown."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            if self.body_field is not None:
                console = console_of(request)
                # Before the body: megabytes of it would be read and parsed for people whom nobody knows.
                await run_in_threadpool(console.door.require, request, "viewer", request.method)
                request._json = await read_json(request, console.settings.limits)
            return await handle(request)

        return bounded


def console_of(request: Request) -> Console:
    """The service that a request came to."""
    found: Console = request.app.state.console
    return found


def _asks(role: str) -> Callable[[Request], Caller]:
    def caller(request: Request) -> Caller:
        return console_of(request).door.require(request, role, request.method)

    return caller


At = Annotated[Console, Depends(console_of)]
Viewer = Annotated[Caller, Depends(_asks("viewer"))]
Analyst = Annotated[Caller, Depends(_asks("analyst"))]
Admin = Annotated[Caller, Depends(_asks("admin"))]
