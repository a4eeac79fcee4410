"""What an operator decides about a service for people: where it listens, who may come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from metier.errors import RecipeError
from metier.serve.settings import LOOPBACK_NAMES, Limits, is_loopback
from metier.store.people import HOURS, ROLES


def _limits() -> Limits:
    return Limits(body_bytes=8 << 20, connections=256)


@dataclass(frozen=True)
class ServiceSettings:
    """Where the service listens, who may come in and how.

    Args:
        host: the address to bind; anything but loopback needs `https`, or `insecure` said aloud.
        port: the port; 0 takes a free one.
        allowed_hosts: names that the `Host` header may hold beside the loopback ones (DNS rebinding). Bound elsewhere
            than to loopback, an empty tuple accepts every name.
        https: whether browsers reach the service by HTTPS, through a proxy that ends it: cookies travel by it alone.
        insecure: allows a public address without HTTPS, where passwords travel in the open.
        proxy_header: the header in which a trusted proxy names who has signed on, such as `X-Remote-User`; empty: none.
        trusted_proxies: addresses and networks of these proxies; from all others the header is worth nothing.
        proxy_role: the role of those whom the proxy names and the store does not know; empty: they may not come in.
        session_hours: how long a log-in lasts.
        page: whether there are pages beside the API.
        look_seconds: how often an open page looks for news.

    Raises `RecipeError` for an open address that nothing protects, and for settings that do not fit each other.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: tuple[str, ...] = ()
    https: bool = False
    insecure: bool = False
    proxy_header: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_role: str = ""
    session_hours: float = HOURS
    page: bool = True
    look_seconds: float = 2.0
    limits: Limits = field(default_factory=_limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise RecipeError(f"Port {self.port} does not exist.", expected="0 to 65535")
        if min(self.session_hours, self.look_seconds) <= 0:
            raise RecipeError("Hours of a session and seconds between looks are above 0.")
        if not (is_loopback(self.host) or self.https or self.insecure):
            raise RecipeError(
                f"{self.host} can be reached from other machines, and passwords would travel to it in the open.",
                expected="https = true, behind a proxy that ends HTTPS",
                hint="leave host out, or say insecure = true in a network that you trust",
            )
        if bool(self.proxy_header) != bool(self.trusted_proxies):
            raise RecipeError(
                "Single sign-on needs proxy_header and trusted_proxies, both.",
                expected='such as proxy_header = "X-Remote-User" and trusted_proxies = ["127.0.0.1"]',
            )
        if self.proxy_role and self.proxy_role not in ROLES:
            raise RecipeError(f"There is no role {self.proxy_role!r}.", expected=", ".join(ROLES))
        self._networks  # noqa: B018 (a wrong address is told now)

    @cached_property
    def _networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        try:
            return tuple(ip_network(one) for one in self.trusted_proxies)
        except ValueError as error:
            raise RecipeError(
                f"A trusted proxy is no address ({error}).", expected="such as 10.0.0.7 or 10.0.0.0/24"
            ) from None

    def trusts(self, address: str) -> bool:
        """Whether a request from this address comes from a trusted proxy."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def known_hosts(self) -> frozenset[str] | None:
        """The names that the `Host` header may hold, in lower case, or `None` where any will do."""
        if not is_loopback(self.host) and not self.allowed_hosts:
            return None
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, self.host, *self.allowed_hosts))
