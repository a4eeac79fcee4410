"""The connections below the application: how slow a client may be, and how many there may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from metier.serve.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    import asyncio

    from metier.serve.settings import Limits


def bounded(limits: Limits) -> type[H11Protocol]:
    """`BoundedProtocol` with these limits, for uvicorn, which makes one a connection."""
    return type("LimitedProtocol", (BoundedProtocol,), {"limits": limits})


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on a client who takes too long to say what he wants, and on one connection too many.

    uvicorn has no clock for a request that is still arriving. Here one runs for the headers, from a connection's first
    moment or a later request's first byte, and another for the body. The one for the body is a second longer than the
    application's own, which answers politely; this one is for bodies that nobody reads.
    """

    limits: ClassVar[Limits]
    _phase: str | None = None
    _upgraded = False
    _clock: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(Problem(503, "There are too many connections.", headers={"Retry-After": "1"}))
        else:
            self._time("headers")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._upgraded:  # a socket's from here on; h11 waits for the end of a body that will not come
            return
        if self.conn.their_state is h11.SEND_BODY:
            self._time("body")
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._time("headers")
        else:
            self._time(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._time(None)
        if self._writing is not None:
            self._writing.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._time(None)
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written: for how long, is bounded as well."""
        super().pause_writing()
        self._writing = self.loop.call_later(self.limits.request_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # Closing waits until everything is read; a client that does not read would keep its place.
        self.loop.call_later(self.limits.idle_seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What is said to bytes that are not HTTP."""
        self._refuse(Problem(400, msg))

    def _time(self, phase: str | None) -> None:
        """Starts the clock of a phase, unless it is the one that runs; `None` only stops what runs."""
        if phase == self._phase:
            return
        if self._clock is not None:
            self._clock.cancel()
        self._phase, self._clock = phase, None
        if phase is not None and not self.transport.is_closing():
            seconds = self.limits.header_seconds if phase == "headers" else self.limits.body_seconds + 1
            self._clock = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self.transport.is_closing():
            return
        if self._phase == "headers" and self.conn.trailing_data[0]:
            self._refuse(Problem(408, "The request took too long to arrive."))
        self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answers below the application and closes; only closes where an answer is being written."""
        if self.cycle is None or self.cycle.response_complete:
            document = problem.document()
            body = json.dumps(document).encode()
            head = [f"HTTP/1.1 {problem.status} {document['title']}", f"content-type: {MEDIA_TYPE}"]
            head += [f"content-length: {len(body)}", "connection: close"]
            head += [f"{name}: {value}" for name, value in problem.headers.items()]
            self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        self.transport.close()
