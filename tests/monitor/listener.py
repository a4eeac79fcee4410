"""An HTTP server on loopback that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """Answers with the statuses of `script`, one a request, then with 200. A status may come with headers."""

    def __init__(self, script: list[Any] | None = None, reply: bytes = b"ok") -> None:
        self.script, self.reply = list(script or []), reply
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                listener.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                step = listener.script.pop(0) if listener.script else 200
                status, headers = step if isinstance(step, tuple) else (step, {})
                self.send_response(status)
                for key, value in {"Content-Length": str(len(listener.reply)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(listener.reply)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def listening(
    script: list[Any] | None = None, reply: bytes = b"ok", context: ssl.SSLContext | None = None
) -> Iterator[Listener]:
    """A listener that runs until the block ends; with TLS where a context is given."""
    listener = Listener(script, reply)
    if context is not None:
        # Shaken hands in the thread of the request, so that a client who refuses ours stops nobody else.
        listener.server.socket = context.wrap_socket(listener.server.socket, True, do_handshake_on_connect=False)
        listener.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        listener.url = listener.url.replace("http:", "https:")
    thread = threading.Thread(target=listener.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield listener
    finally:
        listener.server.shutdown()
        thread.join()
        listener.server.server_close()
