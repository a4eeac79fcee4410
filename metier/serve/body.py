"""The JSON of a request: read as a stream, within a time, and checked before anything is built from it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute

from metier.serve.problems import CLOSE, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request, Response

    from metier.serve.settings import Limits

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def bounded_route(limits: Limits) -> type[APIRoute]:
    """A kind of route whose body is read by `read_json`, within these limits, before FastAPI looks at it."""

    class BoundedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def bounded(request: Request) -> Response:
                if self.body_field is not None:
                    # What Request.json() keeps: the parsed body, so that it is parsed once.
                    request._json = await read_json(request, limits)
                return await handle(request)

            return bounded

    return BoundedRoute


async def read_json(request: Request, limits: Limits) -> Any:
    """The body as JSON values.

    Raises `Problem`: 415 for another media type, 408 for a body that comes too slowly, 400 for what is not JSON in
    UTF-8 or nests too deep. (413 is raised by the stream itself, see `gate.Body`.)
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(
            415, "The body must be JSON: Content-Type: application/json.", headers={"Accept": "application/json"}
        )
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await request.body()
    except TimeoutError:
        raise Problem(408, f"The body took longer than {limits.body_seconds:g} seconds.", headers=CLOSE) from None
    return parse(body, limits.depth)


def parse(body: bytes, depth: int) -> Any:
    """JSON values nested at most `depth` deep. Raises `Problem` 400."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is not UTF-8: byte {error.start} does not belong there.") from None
    except json.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _too_deep(depth) from None
    except ValueError:
        raise Problem(
            400, "The body is not JSON: it holds a number that JSON does not have, or one too long."
        ) from None
    # No value is deeper than it has opening brackets: most bodies need no walk.
    if body.count(b"[") + body.count(b"{") > depth and nesting(value, depth) > depth:
        raise _too_deep(depth)
    if SURROGATE.search(body) and not _is_unicode(value):
        raise Problem(400, "The body holds half of a surrogate pair (\\ud800 to \\udfff), which is no character.")
    return value


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def nesting(value: Any, most: int) -> int:
    """How deep lists and objects are nested, counted no further than `most + 1`."""
    level, found = [value], 0
    while found <= most:
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            break
        found += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _too_deep(depth: int) -> Problem:
    return Problem(400, f"The body nests more than {depth} levels deep.")
