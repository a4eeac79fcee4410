"""A generator that speaks OpenAI's protocol, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]


@contextmanager
def served(answer: Answer) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server on this machine: `answer(path, content)` gives status and JSON. Yields its address and what it heard."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append({"path": self.path, "key": self.headers.get("authorization"), **content})
            status, body = answer(self.path, content)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:  # whoever asked is gone
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def endpoint(say: Callable[[str], str | tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """As `served`, for chats: `say(prompt)` gives the answer's text, or status and raw body. Its address, prompts."""
    prompts: list[str] = []

    def answer(path: str, content: dict[str, Any]) -> tuple[int, Any]:
        prompts.append(content["messages"][0]["content"])
        said = say(prompts[-1])
        return (200, {"choices": [{"message": {"content": said}}]}) if isinstance(said, str) else said

    with served(answer) as (address, _):
        yield address, prompts
