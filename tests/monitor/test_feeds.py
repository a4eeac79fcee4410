"""Feeds: polled politely, whatever the other side does, and never the wrong machine."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from monitor.feeding import FeedServer, feed_server, rss, send

from metier.apps.addresses import allowed
from metier.apps.monitor.normalise import Item, normalise
from metier.apps.monitor.sources import Batch
from metier.apps.monitor.sources.apart import Apart
from metier.apps.monitor.sources.entries import NoFeed, parsed
from metier.apps.monitor.sources.feed import FeedSource
from metier.apps.monitor.sources.fetch import Fetcher, FetchFault, Hosts, Manners

QUICK = Manners(allow_private=True, gap=0.0, patience=2.0, deadline=2.0, size=1 << 20)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with feed_server() as started:
        yield started


def source(server: FeedServer, clock: Clock, every: float = 300.0, path: str = "/feed.xml") -> FeedSource:
    fetcher = Fetcher(QUICK, Hosts(clock))
    return FeedSource(server.url(path), "feed", fetcher=fetcher, every=every, clock=clock)


def entries(numbers: Sequence[int]) -> list[dict[str, str]]:
    return [
        {"id": f"n{number}", "title": f"Title {number}", "text": f"<p>Body &amp; {number}</p><script>x()</script>",
         "url": f"http://news.example/{number}", "time": "Fri, 02 Jan 2026 03:04:05 GMT"} for number in numbers
    ]  # fmt: skip


def ids(batch: Batch) -> list[str]:
    return [str(one.content.get("id")).rpartition(" ")[2] for one in batch.received]  # type: ignore[union-attr]


def test_entries_become_documents(server: FeedServer) -> None:
    server.body = rss(entries([1, 2]))
    batch = source(server, Clock()).read("", 10, 0.0)
    first = normalise(batch.received[0])
    assert isinstance(first, Item)
    assert first.id == "127.0.0.1 n1"
    assert first.text == "Title 1. Body & 1"
    assert first.time == 1767323045.0
    assert first.url == "http://news.example/1"
    assert first.source == "A feed"
    assert ids(batch) == ["n1", "n2"]


def test_atom_and_rdf_too() -> None:
    atom = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry>
    <id>tag:a.example,2026:1</id><title type="html">A &lt;b&gt;bold&lt;/b&gt; title</title>
    <updated>2026-01-02T04:04:05+01:00</updated><link href="/1"/><summary>short</summary>
    <content type="html">&lt;p&gt;longer text&lt;/p&gt;</content></entry></feed>"""
    found = parsed(atom, "application/atom+xml", "http://a.example/feed")
    assert found.entries[0].content == {
        "id": "tag:a.example,2026:1", "title": "A bold title", "text": "longer text", "source": "t",
        "time": "2026-01-02T03:04:05+00:00", "url": "http://a.example/1",
    }  # fmt: skip
    rdf = b"""<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmlns="http://purl.org/rss/1.0/" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>t</title><sy:updatePeriod>hourly</sy:updatePeriod>
    <sy:updateFrequency>2</sy:updateFrequency></channel><item><title>a</title><link>http://a.example/1</link>
    <dc:date>2026-01-02T03:04:05Z</dc:date></item></rdf:RDF>"""
    found = parsed(rdf, "text/xml", "http://a.example/feed")
    assert found.interval == 1800
    assert found.entries[0].content["time"] == "2026-01-02T03:04:05+00:00"


def test_only_new_entries_come(server: FeedServer) -> None:
    clock = Clock()
    feed = source(server, clock)
    server.body = rss(entries([1, 2, 3]))
    one = feed.read("", 10, 0.0)
    assert ids(one) == ["n1", "n2", "n3"]
    assert feed.read(one.position, 10, 0.0).received == []
    assert len(server.asked) == 1  # not before its time
    clock.now += 331
    server.body = rss([*entries([2, 3]), *entries([2, 4])])
    two = source(server, clock).read(one.position, 10, 0.0)
    assert ids(two) == ["n4"]
    clock.now += 331
    server.body = rss(entries([1, 2, 3, 4, 5]))
    assert ids(feed.read(two.position, 10, 0.0)) == ["n5"]


def test_a_feed_that_is_half_given_out_is_not_taken_as_read(server: FeedServer) -> None:
    server.body = rss(entries(range(9)))
    server.answer = lambda handler: send(handler, 200, server.body, ETag='"a"')
    clock = Clock()
    one = source(server, clock).read("", 4, 0.0)
    two = source(server, clock).read(one.position, 10, 0.0)  # killed between the two
    assert ids(one) + ids(two) == [f"n{number}" for number in range(9)]
    assert [asked.get("if-none-match") for asked in server.asked] == [None, None]


def test_etag_and_last_modified(server: FeedServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("If-None-Match") == '"a"' and handler.headers.get("If-Modified-Since") == "yesterday":
            handler.send_response(304)
            handler.end_headers()
        else:
            send(handler, 200, rss(entries([1])), ETag='"a"', Last_Modified="yesterday")

    server.answer = answer
    clock = Clock()
    feed = source(server, clock)
    one = feed.read("", 10, 0.0)
    clock.now += 400
    two = feed.read(one.position, 10, 0.0)
    assert (len(server.asked), two.received, two.fault) == (2, [], "")
    assert json.loads(two.position)["next"] > clock.now + 290


def test_the_interval_that_a_feed_asks_for_is_kept(server: FeedServer) -> None:
    server.body = rss(entries([1]), "<ttl>60</ttl>")
    clock = Clock()
    position = source(server, clock).read("", 10, 0.0).position
    assert clock.now + 3600 <= json.loads(position)["next"] <= clock.now + 3960
    server.body = rss(entries([1]), "<ttl>99999999</ttl>")
    position = source(server, clock).read("", 10, 0.0).position
    assert json.loads(position)["next"] <= clock.now + 1.1 * 86_400


def test_faults_back_off_and_are_got_over(server: FeedServer, caplog: pytest.LogCaptureFixture) -> None:
    server.answer = lambda handler: send(handler, 500)
    clock = Clock()
    feed = source(server, clock, every=10.0)
    position, pauses = "", []
    for _ in range(12):
        batch = feed.read(position, 10, 0.0)
        position = batch.position
        pauses.append(json.loads(position)["next"] - clock.now)
        clock.now += pauses[-1] + 0.1
    assert "it answers 500" in batch.fault
    for number, pause in enumerate(pauses, 1):
        longest = min(10.0 * 2**number, 6 * 3600.0)
        assert longest / 2 <= pause <= longest
    assert caplog.text.count("cannot be read") == 1  # said once
    server.answer, server.body = None, rss(entries([1]))
    good = feed.read(position, 10, 0.0)
    assert (ids(good), good.fault, json.loads(good.position)["faults"]) == (["n1"], "", 0)


@pytest.mark.parametrize(("value", "seconds"), [("7200", 7200), ("soon", 0), ("99999999999", 86_400)])
def test_retry_after(server: FeedServer, value: str, seconds: float) -> None:
    server.answer = lambda handler: send(handler, 429, Retry_After=value)
    clock = Clock()
    feed = source(server, clock, every=10.0)
    pause = json.loads(feed.read("", 10, 0.0).position)["next"] - clock.now
    assert max(10, seconds) <= pause <= max(20, seconds)
    assert feed.fetcher.hosts.wait("127.0.0.1") == pytest.approx(seconds, abs=1)  # its other feeds wait as well


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a page (HTML)"),
        (b"<?xml version='1.0'?><!-- x --><html xmlns='x'/>", "a page (HTML)"),
        (b"", "neither RSS nor Atom"),
        (b"\x00\xff\x01", "neither RSS nor Atom"),
        (b'{"a": 1}', "neither RSS nor Atom"),
        (b"<?xml version='1.0'?><a><b/></a>", "neither RSS nor Atom"),
    ],
)
def test_what_is_no_feed(server: FeedServer, body: bytes, said: str) -> None:
    server.body = body
    batch = source(server, Clock()).read("", 10, 0.0)
    assert said in batch.fault
    assert batch.received == []
    assert json.loads(batch.position)["faults"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<?xml?>" + b"<!-- a -->" * 400,  # a pattern for pages went through all ways of parting the comments
        b'<rss version="2.0"><channel><item><description>&lt;p style="' + b"a" * 200_000 + b'"&gt;',
    ],
)
def test_what_is_no_longer_slow(body: bytes) -> None:
    reader = Apart(20.0)
    try:
        reader.parsed(body, "text/xml", "http://a.example")
    except NoFeed as fault:
        assert "neither" in str(fault)
    finally:
        reader.close()


@pytest.mark.parametrize(
    "body",
    [
        b"\n" * 500_000 + b"<rss/>",
        b"<?xml " + b'encoding="' * 50_000,
        b'<rss version="2.0"><channel><item><author>' + b"a" * 500_000 + b"</author></item></channel></rss>",
    ],
)
def test_what_takes_the_parser_too_long_is_given_up_and_the_next_feed_is_read(body: bytes) -> None:
    reader = Apart(1.0)
    try:
        with pytest.raises(NoFeed, match="could not be read in 1 seconds"):
            reader.parsed(body, "text/xml", "http://a.example")
        reader.seconds = 60.0
        found = reader.parsed(rss(entries([1, 2])), "text/xml", "http://a.example")
        assert [entry.content for entry in found.entries] == [
            entry.content for entry in parsed(rss(entries([1, 2])), "text/xml", "http://a.example").entries
        ]
        assert len(found.entries) == 2
    finally:
        reader.close()


def test_a_reader_that_somebody_ended_is_started_anew() -> None:
    reader = Apart(60.0)
    try:
        for _ in range(2):
            assert len(reader.parsed(rss(entries([1])), "text/xml", "http://a.example").entries) == 1
            reader._process.kill()
            reader._process.wait()
    finally:
        reader.close()


def test_entities_that_explode_do_not() -> None:
    bomb = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 12))
    items = "<item><title>&a11;</title></item>"
    body = f'<!DOCTYPE rss [<!ENTITY a0 "x">{bomb}]><rss version="2.0"><channel>{items}</channel></rss>'
    try:
        found = parsed(body.encode(), "text/xml", "http://a.example")
    except NoFeed:
        return
    assert len(json.dumps([dict(entry.content) for entry in found.entries])) < 10_000


def test_a_broken_feed_gives_what_can_be_read(server: FeedServer) -> None:
    server.body = rss(entries([1, 2])).replace(b"</channel></rss>", b"<item><title>& cut")
    assert {"n1", "n2"} <= set(ids(source(server, Clock()).read("", 10, 0.0)))


# -- fetching ----------------------------------------------------------------------------------------------------
def fault(server: FeedServer, path: str = "/", manners: Manners = QUICK) -> str:
    with pytest.raises(FetchFault) as raised:
        Fetcher(manners).get(server.url(path))
    return str(raised.value)


def test_redirects_are_followed_but_not_for_ever(server: FeedServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/end":
            return send(handler, 200, b"there")
        return send(handler, 302, Location="/end" if handler.path == "/once" else "/loop")

    server.answer = answer
    found = Fetcher(QUICK).get(server.url("/once"))
    assert (found.body, found.url) == (b"there", server.url("/end"))
    assert "more than 5 redirects" in fault(server, "/loop")
    assert len(server.paths) == 2 + 6


@pytest.mark.parametrize(
    "to",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user:word@127.0.0.1/", "gopher://x", "data:,x"],
)
def test_redirects_to_elsewhere_are_not_followed(server: FeedServer, to: str) -> None:
    server.answer = lambda handler: send(handler, 302, Location=to)
    assert "address" in fault(server)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_machines_of_ones_own_network_are_refused(server: FeedServer, host: str) -> None:
    with pytest.raises(FetchFault, match="no public address|cannot be found|cannot be asked"):
        Fetcher(Manners()).get(f"http://{host}:{server.port}/")
    assert not server.asked


def test_each_hop_is_looked_at(server: FeedServer) -> None:
    """The first host is a public one for the resolver, the one that it leads to is not."""
    server.answer = lambda handler: send(handler, 302, Location=f"http://inside.example:{server.port}/secret")

    def resolve(host: str, port: int, allow_private: bool) -> tuple[str, ...]:
        return ("127.0.0.1",) if host == "outside.example" else allowed("127.0.0.1", port, allow_private)

    with pytest.raises(FetchFault, match="no public address"):
        Fetcher(Manners(), resolve=resolve).get(f"http://outside.example:{server.port}/")
    assert server.paths == ["/"]
    assert server.asked[0]["host"] == f"outside.example:{server.port}"  # the name, not the address


def test_a_name_that_changes_its_address_gains_nothing(server: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer of the resolver would be a private machine; there is no second question."""
    asked = []

    def answers(host: str, port: int, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        address = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("metier.apps.addresses.socket.getaddrinfo", answers)
    monkeypatch.setattr("socket.create_connection", connect)
    with pytest.raises(FetchFault, match="cannot be asked"):
        Fetcher(Manners()).get("http://rebinding.example/")
    assert asked == ["rebinding.example"]
    assert connected == ["93.184.215.14"]


def test_huge_bodies_are_cut_off(server: FeedServer) -> None:
    sent = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(500):
            handler.wfile.write(b"x" * (1 << 16))
            sent.append(1)

    server.answer = answer
    assert "more than 1 MB" in fault(server)
    assert len(sent) < 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bodies_that_unzip_to_much_are_cut_off(server: FeedServer, encoding: str) -> None:
    zipped = gzip.compress(b"x" * (64 << 20), 9) if encoding == "gzip" else zlib.compress(b"x" * (64 << 20), 9)
    server.answer = lambda handler: send(handler, 200, zipped, Content_Encoding=encoding)
    assert "more than 1 MB" in fault(server)
    small = gzip.compress(b"hello") if encoding == "gzip" else zlib.compress(b"hello")
    server.answer = lambda handler: send(handler, 200, small, Content_Encoding=encoding)
    assert Fetcher(QUICK).get(server.url()).body == b"hello"
    server.answer = lambda handler: send(handler, 200, b"junk", Content_Encoding=encoding)
    assert "damaged" in fault(server)
    server.answer = lambda handler: send(handler, 200, b"junk", Content_Encoding="br")
    assert "encoding that was not asked for" in fault(server)


@pytest.mark.parametrize("where", ["head", "body", "silent"])
def test_who_answers_drop_by_drop_is_left(server: FeedServer, where: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if where == "body":
            handler.send_response(200)
            handler.end_headers()
        elif where == "head":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.stop.wait(0.05):
            if where != "silent":
                handler.wfile.write(b"x")
                handler.wfile.flush()

    server.answer = answer
    start = time.monotonic()
    said = fault(server, manners=Manners(allow_private=True, patience=0.6, deadline=0.8))
    assert time.monotonic() - start < 2.5
    assert "too long" in said or "not there after" in said


def test_what_cannot_be_asked_says_why(server: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchFault, match="cannot be asked"):
        Fetcher(QUICK).get(f"http://127.0.0.1:{port}/")
    server.answer = lambda handler: handler.wfile.write(b"no http at all\r\n\r\n")
    assert "cannot be asked" in fault(server)

    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("metier.apps.addresses.socket.getaddrinfo", nobody)
    with pytest.raises(FetchFault, match="cannot be found: Name or service"):
        Fetcher(QUICK).get("http://nowhere.example/")


def test_proxies_and_passwords_of_the_environment_are_not_used(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.body = b"x"
    assert Fetcher(QUICK).get(server.url()).status == 200
    assert "authorization" not in server.asked[0]


def test_no_log_holds_the_address_of_a_feed(server: FeedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    server.body = rss(entries([1]))
    assert ids(source(server, Clock(), path="/feed.xml?token=hush").read("", 10, 0.0)) == ["n1"]
    assert server.paths == ["/feed.xml?token=hush"]
    assert "hush" not in caplog.text


def test_hosts_are_asked_with_pauses() -> None:
    clock = Clock()
    hosts = Hosts(clock)
    hosts.pause("a", 5)
    hosts.pause("a", 2)
    assert (hosts.wait("a"), hosts.wait("b")) == (5, 0)
    clock.now += 4
    assert hosts.wait("a") == 1
    for number in range(2_000):
        hosts.pause(str(number), 1)
    assert len(hosts._next) <= 1_000


def test_certificates_are_checked_for_the_name(tmp_path: Path) -> None:
    """The connection goes to an address, the certificate is that of the name."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=news.example",
         "-addext", "subjectAltName=DNS:news.example", "-keyout", key, "-out", certificate],
        capture_output=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("openssl cannot make a certificate here")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            send(self, 200, b"secret")

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        trusting = ssl.create_default_context(cafile=str(certificate))
        fetcher = Fetcher(QUICK, resolve=lambda *_: ("127.0.0.1",), tls=trusting)
        port = server.server_address[1]
        assert fetcher.get(f"https://news.example:{port}/").body == b"secret"
        with pytest.raises(FetchFault, match="(?i)certificate"):
            fetcher.get(f"https://other.example:{port}/")
        with pytest.raises(FetchFault, match="(?i)certificate"):
            Fetcher(QUICK, resolve=lambda *_: ("127.0.0.1",)).get(f"https://news.example:{port}/")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
