"""One polite, bounded and careful GET: what a feed is fetched with.

Which machine is asked is decided where the connection is made: the name is resolved there, all of its addresses are
looked at, and the connection goes to one of those (`metier.apps.addresses.allowed`). That holds for every hop
of a redirect and leaves no moment at which the name could come to mean another machine.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from metier.apps.addresses import allowed, shown
from metier.errors import RecipeError

AGENT = "Metier (feed reader)"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HOSTS = 1_000
Resolver = Callable[[str, int, bool], tuple[str, ...]]


class FetchFault(Exception):
    """What could not be fetched, one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: `body` only for 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Manners:
    """How a fetcher behaves.

    Args:
        allow_private: whether machines of private networks may be asked.
        patience: seconds for one connection, or for some bytes to come.
        deadline: seconds for all of one fetch, redirects included.
        size: bytes of a document, unzipped; of a longer one nothing is taken.
        redirects: that are followed.
        gap: seconds between two requests to one host.
        agent: what the fetcher calls itself.
    """

    allow_private: bool = False
    patience: float = 10.0
    deadline: float = 30.0
    size: int = 5 << 20
    redirects: int = 5
    gap: float = 1.0
    agent: str = AGENT


class Hosts:
    """When each host may be asked again; what it remembers is bounded."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._next: OrderedDict[str, float] = OrderedDict()

    def wait(self, host: str) -> float:
        """Seconds until a host may be asked."""
        with self._lock:
            return max(0.0, self._next.get(host, 0.0) - self._clock())

    def pause(self, host: str, seconds: float) -> None:
        """Leaves a host alone for so long at least."""
        with self._lock:
            self._next[host] = max(self._next.pop(host, 0.0), self._clock() + seconds)
            while len(self._next) > HOSTS:
                self._next.popitem(last=False)


class Fetcher:
    """Fetches. One for all feeds, so that the hosts that they share are asked with pauses.

    Args:
        manners: how it behaves.
        hosts: when each may be asked.
        resolve: name, port and whether private ones are allowed, to the addresses that may be asked.
        tls: the certificates that are trusted; those of the system's, where it is `None`.
    """

    def __init__(
        self, manners: Manners | None = None, hosts: Hosts | None = None, resolve: Resolver = allowed,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.manners, self.hosts = manners or Manners(), hosts or Hosts()
        self._resolve, self._tls = resolve, tls or httpx.create_ssl_context(trust_env=False)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET, redirects followed. Raises `FetchFault`."""
        until = time.monotonic() + self.manners.deadline
        network = _Network(until, self.manners.allow_private, self._resolve)
        sent = {"User-Agent": self.manners.agent, "Accept-Encoding": "gzip, deflate", **(headers or {})}
        # The transport by itself: httpx's client would log the whole address, which may hold a secret. It knows neither
        # proxies nor .netrc of the environment, which would decide which machine is asked.
        with closing(_Transport(network, self._tls)) as transport:
            for _ in range(self.manners.redirects + 1):
                answer = self._once(transport, _checked(url), sent, until)
                if answer.status not in REDIRECTS or "location" not in answer.headers:
                    return answer
                url = _joined(answer.url, answer.headers["location"])
        raise FetchFault(f"more than {self.manners.redirects} redirects")

    def _once(self, transport: _Transport, url: str, headers: Mapping[str, str], until: float) -> Answer:
        host = httpx.URL(url).host
        self.hosts.pause(host, self.manners.gap)
        patience = dict.fromkeys(("connect", "read", "write", "pool"), self.manners.patience)
        request = httpx.Request("GET", url, headers=headers, extensions={"timeout": patience})
        try:
            with closing(transport.handle_request(request)) as response:
                body = self._body(response, until) if response.status_code == 200 else b""
                return Answer(response.status_code, response.headers, body, url)
        except RecipeError as error:
            raise FetchFault(f"{error.found}") from None
        except (httpx.TimeoutException, httpcore.TimeoutException):
            raise FetchFault(f"{host} takes too long to answer") from None
        except (httpx.HTTPError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
            raise FetchFault(f"{host} cannot be asked: {error}") from None
        except OSError as error:
            raise FetchFault(f"{host} cannot be found: {error.strerror or error}") from None
        except (httpx.InvalidURL, ValueError) as error:  # httpx looks at redirects even where it does not follow them
            raise FetchFault(f"{host} answers with an address that is none: {error}") from None

    def _body(self, response: httpx.Response, until: float) -> bytes:
        """The content, unzipped piece by piece so that little that becomes much is noticed early."""
        limit = self.manners.size
        unzip = _unzipper(response.headers.get("content-encoding", "").strip().lower())
        body = bytearray()
        for piece in response.iter_raw(1 << 16):
            body += piece if unzip is None else unzip(piece, limit + 1 - len(body))
            if len(body) > limit:
                raise FetchFault(f"more than {limit >> 20} MB" if limit >= 1 << 20 else f"more than {limit} bytes")
            if time.monotonic() > until:
                raise FetchFault(f"not there after {self.manners.deadline:.0f} seconds")
        return bytes(body)


def _unzipper(encoding: str) -> Callable[[bytes, int], bytes] | None:
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchFault(f"in an encoding that was not asked for ({encoding[:20]})")
    unzip = zlib.decompressobj(wbits=47 if "gzip" in encoding else 15)

    def unzipped(piece: bytes, most: int) -> bytes:
        try:
            return unzip.decompress(piece, most)
        except zlib.error as error:
            raise FetchFault(f"damaged on its way: {error}") from None

    return unzipped


def _checked(url: str) -> str:
    """An address of the web without a user. Raises `FetchFault`."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise FetchFault("the address is none") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise FetchFault(f"an address that is none of the web ({parts.scheme[:20] or 'no scheme'})")
    if parts.userinfo:
        raise FetchFault("an address with a user or a password in it")
    return str(parts)


def _joined(url: str, location: str) -> str:
    try:
        return str(httpx.URL(url).join(location))
    except (httpx.InvalidURL, ValueError):
        raise FetchFault(f"{shown(url)} leads to an address that is none") from None


@dataclass
class _Network(httpcore.NetworkBackend):
    """Connections to addresses that were looked at, every step of which ends by a deadline."""

    until: float
    allow_private: bool
    resolve: Resolver
    _plain: httpcore.SyncBackend = field(default_factory=httpcore.SyncBackend)

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        addresses = self.resolve(host, port, self.allow_private)
        fault: Exception = httpcore.ConnectError("no address")
        for address in addresses[:4]:
            try:
                stream = self._plain.connect_tcp(
                    address, port, _left(self.until, timeout), local_address, socket_options
                )
                return _Stream(stream, self.until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
        raise fault


class _Stream(httpcore.NetworkStream):
    """A connection that ends by a deadline, however slowly the other side goes on."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream, self._until = stream, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._until, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._until, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, _left(self._until, timeout))
        return _Stream(inner, self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(until: float, timeout: float | None) -> float:
    """Seconds that a step may take. Raises `ReadTimeout` where none are left."""
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for all of it is over")
    return left if timeout is None else min(left, timeout)


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Transport(httpx.BaseTransport):
    """httpx over a network of ours: its own transport has no place for one."""

    def __init__(self, network: httpcore.NetworkBackend, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.ConnectionPool(ssl_context=tls, network_backend=network, max_keepalive_connections=0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = request.url
        url = httpcore.URL(scheme=asked.raw_scheme, host=asked.raw_host, port=asked.port, target=asked.raw_path)
        inner = httpcore.Request(request.method, url, headers=request.headers.raw, extensions=request.extensions)
        response = self._pool.handle_request(inner)
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()
