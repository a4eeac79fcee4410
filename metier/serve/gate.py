"""What every request passes before anything reads it: hosts, keys, sizes, time, and what no answer may leak."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from metier.serve.problems import CLOSE, Problem, overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from metier.serve.keys import KeyRing
    from metier.serve.settings import Limits

logger = logging.getLogger(__name__)

PAGE_PATHS = ("/_nicegui",)
LINGER_SECONDS = 1.0
LINGER_BODIES = 8
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:@/?#\[\]\s]+)(:\d+)?")
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
# Vue compiles templates in the browser, hence 'unsafe-eval'; everything comes from this server all the same.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Counting(Protocol):
    """What is told of every answer."""

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one answer."""


class Guarded(Protocol):
    """What an operator decides about the gate."""

    @property
    def limits(self) -> Limits:
        """How much one client may ask."""

    def known_hosts(self) -> frozenset[str] | None:
        """The names that the `Host` header may hold, or `None` where any will do."""


class Gate:
    """ASGI middleware. Turns whatever is raised behind it into a problem document."""

    def __init__(self, app: ASGIApp, settings: Guarded, keys: KeyRing, monitor: Counting) -> None:
        self.app, self.settings, self.keys, self.monitor = app, settings, keys, monitor
        self._known = settings.known_hosts()
        self.draining = False
        self.in_flight = 0
        self.admit: Callable[[str], None] = lambda path: None
        """Raises `Problem` where a prediction that is asked at a path need not be read: it would be refused."""

    def policy(self, path: str) -> Iterable[tuple[bytes, bytes]]:
        """The security headers of the answer at a path."""
        page = path == "/" or path.startswith(PAGE_PATHS)
        return policy(PAGE_POLICY if page else DOCS_POLICY if path == "/docs" else API_POLICY, kept=_is_kept(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self.settings.limits
        answer = Answering(scope, send, self.monitor, self.policy(scope["path"]))
        body = Body(receive, limits.body_bytes)
        self.in_flight += 1
        try:
            self._check(scope, body)
            async with asyncio.timeout(None if predicts(scope["path"]) else limits.request_seconds):
                await self.app(scope, body.receive, answer.send)
        except Problem as problem:
            await answer.refuse(problem, body)
        except ClientDisconnect:
            logger.debug("a client left before its answer")
        except TimeoutError:
            await answer.refuse(overloaded("The answer took too long."), body)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            await answer.refuse(Problem(500, "The service made a mistake; its log says which."), body)
        finally:
            self.in_flight -= 1
            answer.count()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope["headers"])
        origin = headers.get(b"origin")
        same = origin is None or urlsplit(origin).netloc == headers.get(b"host")
        if not (same and self._host_is_known(headers) and scope["path"].startswith(PAGE_PATHS)) or self.draining:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope, body: Body) -> None:
        headers = _headers(scope["headers"])
        guarded = scope["path"].startswith("/v1/") or scope["path"] == "/metrics"
        if not self._host_is_known(headers):
            raise Problem(421, "The Host header names a host that this service does not answer for.", headers=CLOSE)
        if guarded and not self.keys.admits(headers):
            raise Problem(
                401,
                "An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.",
                headers={"WWW-Authenticate": 'Bearer realm="metier"'},
            )
        if self.draining and scope["path"].startswith("/v1/"):
            raise Problem(503, "The service stops.", headers=CLOSE | {"Retry-After": "1"})
        body.announced(headers)
        if predicts(scope["path"]) and scope["method"] == "POST":
            self.admit(scope["path"])

    def _host_is_known(self, headers: dict[bytes, bytes]) -> bool:
        if self._known is None:
            return True
        host = HOST.fullmatch(headers.get(b"host", b"").decode("latin-1").lower())
        return host is not None and host["name"].strip("[]") in self._known


class Body:
    """The body of a request as it arrives, cut off where it grows too large."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._seen = 0
        self._complete = False
        self._expects = False

    def announced(self, headers: dict[bytes, bytes]) -> None:
        """Raises `Problem` 413 where the headers alone say that the body is too large."""
        self._expects = b"expect" in headers
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next message. Raises `Problem` 413 once more bytes came than one request may have."""
        message = await self._receive()
        self._note(message)
        if self._seen > self._most:
            raise self._too_large()
        return message

    async def discard(self) -> None:
        """Reads on for a moment: a client that is still sending reads no answer, and finds the connection reset."""
        if self._expects:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._complete and self._seen <= LINGER_BODIES * self._most:
                    self._note(await self._receive())

    def _note(self, message: Message) -> None:
        self._seen += len(message.get("body", b""))
        self._complete = message["type"] == "http.disconnect" or not message.get("more_body", False)

    def _too_large(self) -> Problem:
        return Problem(413, f"The body is larger than {self._most} bytes.", headers=CLOSE)


class Answering:
    """The answer as it leaves: its status is counted, and it carries the headers that keep browsers careful."""

    def __init__(self, scope: Scope, send: Send, monitor: Counting, policy: Iterable[tuple[bytes, bytes]]) -> None:
        self._scope, self._send, self._monitor = scope, send, monitor
        self._started = time.perf_counter()
        self._policy = policy
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), *self._policy]
        await self._send(message)

    async def refuse(self, problem: Problem, body: Body) -> None:
        """Answers with a problem, unless an answer is on its way already: then the connection is closed."""
        if self.status:
            raise ConnectionAbortedError("the answer could not be completed")
        if "Connection" in problem.headers:
            await body.discard()
        await problem.response()(self._scope, body.receive, self.send)

    def count(self) -> None:
        """Counts the answer; 499 stands for a client that left before it."""
        path, method = self._scope["path"], self._scope["method"]
        self._monitor.answered(path, method, self.status or 499, time.perf_counter() - self._started)


def predicts(path: str) -> bool:
    """Whether a model is asked at `path`, which may be slow: `body` and `batching` have clocks of their own for it."""
    return path.startswith("/v1/") and path.endswith("/predict")


def policy(content: str, *, kept: bool, referrer: str = "no-referrer") -> list[tuple[bytes, bytes]]:
    """Security headers: a content policy, whether a browser may keep the answer, and what it tells of where it was."""
    headers = {
        "content-security-policy": content,
        "x-content-type-options": "nosniff",
        "referrer-policy": referrer,
        "cross-origin-resource-policy": "same-origin",
    }
    if not kept:
        headers["cache-control"] = "no-store"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _is_kept(path: str) -> bool:
    return path == "/" or path.startswith((*PAGE_PATHS, "/docs"))


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; the first of two of the same name counts."""
    found: dict[bytes, bytes] = {}
    for name, value in raw:
        found.setdefault(name.lower(), value)
    return found
