"""A generator that speaks OpenAI's protocol, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def endpoint(say) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine: `say(prompt)` gives the answer's text, or status and raw body. Its address, prompts."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append(content["messages"][0]["content"])
            said = say(heard[-1])
            body = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            status, raw = (200, body) if isinstance(said, str) else said
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:  # whoever asked is gone
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
