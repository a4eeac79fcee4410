"""How a route says who may ask, and how much."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from metier.serve.body import read_json
from metier.serve.doors.door import Caller
from metier.serve.doors.house import House


class BoundedRoute(APIRoute):
    """A route whose JSON is read by `read_json`, within the limits, before FastAPI looks at it; of nobody unknown."""

    visitors: ClassVar[bool] = False
    """Whether those are let in, too, whom the door does not know."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            if self.body_field is not None:
                house = house_of(request)
                if not self.visitors:  # before the body: megabytes of it would be parsed for people whom nobody knows
                    await run_in_threadpool(house.door.require, request, "viewer", request.method)
                request._json = await read_json(request, house.settings.limits)
            return await handle(request)

        return bounded


class VisitorRoute(BoundedRoute):
    """The same, of anybody: who may do what is in the token of a conversation."""

    visitors = True


def house_of(request: Request) -> House:
    """The service that a request came to."""
    found: House = request.app.state.console
    return found


def _asks(role: str) -> Callable[[Request], Caller]:
    def caller(request: Request) -> Caller:
        return house_of(request).door.require(request, role, request.method)

    return caller


At = Annotated[House, Depends(house_of)]
Viewer = Annotated[Caller, Depends(_asks("viewer"))]
Analyst = Annotated[Caller, Depends(_asks("analyst"))]
Admin = Annotated[Caller, Depends(_asks("admin"))]
