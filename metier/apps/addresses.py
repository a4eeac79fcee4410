"""Which machines a feed or a webhook may make us ask: no private ones, unless they are allowed.

A name is resolved once and the connection goes to the very address that was looked at. A name whose owner changes its
address between the look and the connection (DNS rebinding) gains nothing. The name is still what the other side sees in
`Host` and what its certificate is checked for.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from metier.errors import RecipeError
from metier.types import NOTHING

Address = IPv4Address | IPv6Address
PORTS = {"http": 80, "https": 443}
_NAT64 = ip_network("64:ff9b::/96")
"""Well-known prefix of IPv6 addresses that hold an IPv4 address in their last 32 bits (RFC 6052)."""
_KEEPERS = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "fd00:ec2::254")))
"""Where clouds keep the secrets of a machine other than at link-local addresses: Azure's host, which looks public, and
the metadata of Alibaba Cloud and, by IPv6, of AWS."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """What to hand to httpx so that it connects to an address that was looked at.

    `client.request(method, pinned.url, headers={**headers, **pinned.headers}, extensions=pinned.extensions)`; redirects
    must not be followed by the client: each one is a new address and is pinned anew.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    extensions: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


def allowed(host: str, port: int, allow_private: bool = False) -> tuple[str, ...]:
    """The addresses of a host, in the order in which the resolver likes them.

    Args:
        host: a name, or an address, IPv6 with or without brackets.
        port: the port that will be asked.
        allow_private: whether loopback, private and shared networks may be reached. Addresses where clouds keep the
            secrets of a machine (link-local ones and a few others), multicast and unspecified ones never may.

    Raises:
        RecipeError: where any of its addresses may not be reached: one that is hidden among others is no accident.
        OSError: where the name cannot be resolved; trying again later may help.
    """
    name = host.strip("[]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except UnicodeError:
        raise RecipeError("The name of the machine is none.", expected="labels of 1 to 63 letters") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not may_reach(address, allow_private):
            own = "set allow_private = true where this machine of your own network is meant"
            raise RecipeError(
                f"{name} is {address}, which is no public address.",
                expected="a machine on the internet",
                hint=own if may_reach(address, allow_private=True) else "",
            )
    return addresses


def may_reach(address: str, allow_private: bool = False) -> bool:
    """Whether an address may be asked; see `allowed`."""
    plain = _inner(ip_address(address.partition("%")[0]))
    if plain.is_multicast or plain.is_unspecified or plain.is_link_local or plain in _KEEPERS:
        return False
    return allow_private or plain.is_global


def pinned(url: str, allow_private: bool = False) -> Pinned:
    """An address of the web, bound to the machine that it names now.

    Raises:
        RecipeError: for one that is not http or https, holds a user or a password, or may not be reached.
        OSError: where the name cannot be resolved.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if not port or not parts.hostname or parts.username or parts.password:
        # The address itself stays unsaid: it may hold a secret.
        raise RecipeError(
            "The address is none of the web.", expected="http://HOST/… or https://HOST/… without a user or a password"
        )
    address = allowed(parts.hostname, port, allow_private)[0]
    place = f"[{address}]" if ":" in address else address
    target = urlunsplit((parts.scheme, f"{place}:{port}", parts.path or "/", parts.query, ""))
    extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
    return Pinned(target, {"Host": parts.netloc}, extensions)


def shown(url: str) -> str:
    """An address as it may be shown: the path and the query of a webhook are often its secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname or ''}{port}/…"


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address
