"""How much one visitor, or one address, may ask: a bucket of tokens each (Turner 1986), in memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from metier.serve.problems import Problem

MOST = 100_000
"""Buckets that are remembered; those that were used longest ago go first, and they are the full ones."""


class Rates:
    """Buckets of `count` tokens that fill within `seconds`.

    Args:
        count: that may be asked at once, and in `seconds`.
        seconds: see above.
        what: is counted, for the answer.
        clock: in seconds.
    """

    def __init__(self, count: int, seconds: float, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._seconds, self._what, self._clock = count, seconds, what, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, key: str) -> None:
        """Takes a token. Raises `Problem` 429, which says when there will be one."""
        with self._turn:
            now = self._clock()
            tokens, at = self._buckets.pop(key, (float(self._count), now))
            tokens = min(self._count, tokens + (now - at) * self._count / self._seconds)
            enough = tokens >= 1
            self._buckets[key] = (tokens - enough, now)
            if len(self._buckets) > MOST:
                self._buckets.popitem(last=False)
        if not enough:
            wait = int((1 - tokens) * self._seconds / self._count) + 1
            raise Problem(
                429, f"At most {self._count} {self._what} in {self._seconds:g} s.", headers={"Retry-After": str(wait)}
            )


def network(address: str) -> str:
    """What an address counts as: of IPv6 one customer has a whole /64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
