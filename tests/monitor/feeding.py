"""Servers on loopback that the sources are read from: a feed with every fault, and a Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

Answerer = Callable[["BaseHTTPRequestHandler"], None]


def rss(entries: Sequence[dict[str, str]], extra: str = "") -> bytes:
    """A feed (RSS 2.0), the newest entry first."""
    items = "".join(
        f"<item><guid isPermaLink='false'>{escape(entry['id'])}</guid><title>{escape(entry.get('title', ''))}</title>"
        f"<description>{escape(entry['text'])}</description><link>{escape(entry.get('url', ''))}</link>"
        f"<pubDate>{entry.get('time', '')}</pubDate></item>"
        for entry in reversed(entries)
    )
    return (
        f"<?xml version='1.0'?><rss version='2.0'><channel><title>A feed</title>{extra}{items}</channel></rss>".encode()
    )


@dataclass
class FeedServer:
    """Answers GET; `answer` may be replaced at any time. Keeps the headers of what it was asked."""

    port: int = 0
    answer: Answerer | None = None
    body: bytes = b""
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/feed.xml") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def feed_server() -> Iterator[FeedServer]:
    state = FeedServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append({name.lower(): value for name, value in self.headers.items()})
            state.paths.append(self.path)
            try:
                if state.answer is not None:
                    state.answer(self)
                else:
                    send(self, 200, state.body, Content_Type="application/rss+xml")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class RedisServer:
    """A Redis that can be stopped and started again on the same port, with its data on disk."""

    port: int
    folder: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(shutil.which("redis-server")), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder,
             "--appendonly", "yes", "--save", ""],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


def redis_missing() -> str:
    """Why there can be no Redis; empty where there can."""
    return "" if shutil.which("redis-server") else "there is no redis-server on this machine"


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    folder = tempfile.mkdtemp(prefix="metier-redis-")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = RedisServer(port, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
