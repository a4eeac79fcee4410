"""A real server on loopback: slow clients, too many of them, broken bytes, and how it stops."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from contextlib import closing, suppress

import httpx
import pytest
from serving import served
from standin import Standin

from metier.errors import MetierError
from metier.serve import Settings, serve

QUICK = ("--limit", "header_seconds=0.4", "--limit", "body_seconds=0.4")


def connect(server):
    return closing(socket.create_connection(server.address, timeout=10))


def said(sock):
    """Everything the server says until it hangs up."""
    parts = []
    while part := sock.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def head(server, length):
    return (
        f"POST /v1/predict HTTP/1.1\r\nHost: {server.address[0]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def is_problem(answer, status):
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"application/problem+json" in top.lower()
    assert json.loads(body)["status"] == status


@pytest.fixture(scope="module")
def quick():
    with served(*QUICK, "--limit", "connections=8", "--limit", "body_bytes=100000") as one:
        yield one


def test_it_predicts(server):
    found = httpx.post(f"{server.url}/v1/predict", json={"texts": ["profit rose", "loss"]})
    assert [one["sentiment"]["label"] for one in found.json()["predictions"]] == ["positive", "negative"]
    assert "server" not in found.headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_answers_as_get_without_a_body(server, path):
    wait_until_ready(server)
    asked, found = (httpx.request(method, f"{server.url}{path}") for method in ("GET", "HEAD"))
    assert (found.status_code, found.content) == (200, b"")
    assert all(found.headers[name] == asked.headers[name] for name in ("content-type", "content-length"))
    assert set(httpx.delete(f"{server.url}{path}").headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert set(httpx.get(f"{server.url}/openapi.json").json()["paths"][path]) == {"get"}


# -- slow clients --------------------------------------------------------------------------------------------------
def test_headers_that_come_too_slowly(quick):
    with connect(quick) as sock:
        started = time.monotonic()
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        is_problem(said(sock), 408)
        assert time.monotonic() - started < 5


def test_headers_that_drip(quick):
    """A byte now and then does not buy more time."""
    with connect(quick) as sock, pytest.raises(OSError):
        for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"a" * 200:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)


def test_a_connection_that_says_nothing(quick):
    with connect(quick) as sock:
        assert said(sock) == b""


def test_a_body_that_comes_too_slowly(quick):
    with connect(quick) as sock:
        sock.sendall(head(quick, 1_000) + b'{"text": ')
        is_problem(said(sock), 408)


def test_a_body_that_nobody_reads(quick):
    """The answer comes at once; the connection does not stay open for the rest of the body."""
    with connect(quick) as sock:
        sock.sendall(head(quick, 1_000).replace(b"POST /v1/predict", b"GET /healthz"))
        started = time.monotonic()
        assert b'{"status":"ok"}' in said(sock)
        assert time.monotonic() - started < 5


def test_a_client_that_does_not_read():
    """Answers that nobody takes are given up, and their place with them."""
    with served("--limit", "request_seconds=0.5", "--limit", "idle_seconds=1") as own:
        with closing(socket.socket()) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.connect(own.address)
            ask = f"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: {own.address[0]}\r\n\r\n".encode()
            sock.sendall(ask * 20)
            time.sleep(2)
            with pytest.raises(OSError):
                for _ in range(100):
                    sock.sendall(ask)
                    time.sleep(0.05)
        assert httpx.get(f"{own.url}/healthz").status_code == 200
        assert own.stop() == 0


def test_a_client_that_leaves_takes_its_texts_along():
    with served("--delay", "0.5", "--limit", "batch_texts=1") as slow:
        wait_until_ready(slow)
        body = json.dumps({"texts": ["a"] * 20}).encode()
        with connect(slow) as sock:
            sock.sendall(head(slow, len(body)) + body)
            time.sleep(0.3)
        time.sleep(0.3)
        assert "metier_queue_texts 0.0" in httpx.get(f"{slow.url}/metrics").text


# -- too much ------------------------------------------------------------------------------------------------------
def test_a_large_body_with_and_without_a_length(quick):
    large = json.dumps({"text": "a" * 500_000}).encode()
    pieces = (large[at : at + 10_000] for at in range(0, len(large), 10_000))
    for content in (large, pieces):
        found = httpx.post(f"{quick.url}/v1/predict", content=content, headers={"content-type": "application/json"})
        assert found.status_code == 413
        assert found.headers["content-type"] == "application/problem+json"


def test_an_endless_body(quick):
    """A client that never stops is answered, or cut off."""
    with connect(quick) as sock:
        sock.sendall(head(quick, 1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked"))
        sent = 0
        try:
            while sent < 50_000_000:
                sock.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
                sent += 10_000
        except OSError:
            pass
        assert sent < 50_000_000


def test_headers_that_are_too_large(quick):
    with connect(quick) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nX-Large: " + b"a" * 15_000)
        sock.sendall(b"a" * 15_000)
        is_problem(said(sock), 400)


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01\x00", b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1 more"])
def test_bytes_that_are_not_http(quick, noise):
    with connect(quick) as sock:
        sock.sendall(noise + b"\r\n\r\n")
        is_problem(said(sock), 400)


def test_a_broken_chunk(quick):
    with connect(quick) as sock:
        chunked = head(quick, 1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
        sock.sendall(chunked + b'5\r\n{"tex\r\nnonsense\r\n')
        said(sock)
    assert httpx.get(f"{quick.url}/healthz").status_code == 200


def test_one_connection_too_many(quick):
    sockets = [socket.create_connection(quick.address, timeout=10) for _ in range(8)]
    try:
        time.sleep(0.1)
        with connect(quick) as sock:
            is_problem(said(sock), 503)
    finally:
        for one in sockets:
            one.close()
    time.sleep(0.2)
    assert httpx.get(f"{quick.url}/healthz").status_code == 200


def test_nothing_was_wrong_on_our_side(quick):
    """After all of the above: it still answers, and nothing was counted as a fault."""
    metrics = httpx.get(f"{quick.url}/metrics").text
    assert 'status="500"' not in metrics
    assert httpx.post(f"{quick.url}/v1/predict", json={"text": "a"}).status_code == 200


# -- stopping ------------------------------------------------------------------------------------------------------
def wait_until_ready(server):
    for _ in range(200):
        if httpx.get(f"{server.url}/readyz").status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError("never ready")


def test_sigterm_finishes_what_was_accepted():
    with served("--delay", "1.0") as slow, httpx.Client(base_url=slow.url, timeout=20) as client:
        wait_until_ready(slow)
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post("/v1/predict", json={"text": "a"})))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.4)
        slow.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        late = httpx.post(f"{slow.url}/v1/predict", json={"text": "b"})
        ready = httpx.get(f"{slow.url}/readyz")
        alive = httpx.get(f"{slow.url}/healthz")
        for thread in threads:
            thread.join()
        code = slow.process.wait(10)
        errors = slow.process.stderr.read()
    assert [one.status_code for one in answers] == [200, 200, 200]
    assert (late.status_code, ready.status_code, alive.status_code) == (503, 503, 200)
    assert late.headers["retry-after"]
    assert (code, errors) == (0, "")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{slow.url}/healthz")


def test_the_drain_time_bounds_it():
    with served("--delay", "30", "--limit", "drain_seconds=0.5") as stuck, connect(stuck) as sock:
        body = b'{"text": "a"}'
        sock.sendall(head(stuck, len(body)) + body)
        time.sleep(0.3)
        started = time.monotonic()
        assert stuck.stop() == 0
        assert time.monotonic() - started < 15, "a thread that predicts does not keep the process"


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once(first):
    with served() as idle:
        wait_until_ready(idle)
        started = time.monotonic()
        assert idle.stop(first) == 0
        assert time.monotonic() - started < 10
        assert idle.process.stderr.read() == ""


def test_a_second_signal_does_not_wait():
    with served("--delay", "30") as stuck:
        time.sleep(0.2)
        stuck.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert stuck.process.poll() is None
        assert stuck.stop(signal.SIGINT) == 0


def test_killed_in_the_middle_it_starts_again_at_once():
    """SIGKILL amid requests: the same port serves again, and nothing has to be cleaned up."""
    with served("--delay", "0.5", "--run", "further") as first:
        wait_until_ready(first)
        port = str(first.address[1])
        body = b'{"text": "a"}'
        with connect(first) as one, connect(first) as other:
            one.sendall(head(first, len(body)) + body)
            other.sendall(head(first, len(body)).replace(b"/v1/", b"/v1/runs/further/") + body)
            time.sleep(0.2)
            assert first.stop(signal.SIGKILL) == -signal.SIGKILL
            for sock in (one, other):
                with suppress(ConnectionResetError):
                    assert said(sock) == b"", "no half of an answer"
    with served("--port", port) as again:
        wait_until_ready(again)
        assert again.url == first.url
        assert httpx.post(f"{again.url}/v1/predict", json={"text": "a"}).status_code == 200


# -- starting ------------------------------------------------------------------------------------------------------
def test_a_port_that_is_taken(server):
    with pytest.raises(MetierError, match=r"cannot be used \(Address already in use\)\. Expected"):
        serve(Standin(), Settings(port=server.address[1], page=False))


def test_it_writes_nothing_where_it_stands(tmp_path):
    with served("--page", cwd=tmp_path) as one:
        assert httpx.get(one.url).status_code == 200
        one.stop()
        assert one.process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_socket_of_the_page_stays_open_for_longer_than_a_body_may_take():
    from websockets.sync.client import connect as opened

    with served("--page", *QUICK) as server:
        host, port = server.address
        address = f"ws://{host}:{port}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        with opened(address, origin=f"http://{host}:{port}", open_timeout=30) as sock:
            assert sock.recv(timeout=30).startswith("0{")  # engine.io says hello
            time.sleep(2.5)  # body_seconds and a second more
            assert sock.ping().wait(30)
