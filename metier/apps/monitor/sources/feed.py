"""RSS and Atom, polled politely.

A feed is asked with its last `ETag` and `Last-Modified`; not before the interval that it asks for itself (`ttl`,
`sy:updatePeriod`), nor before `Retry-After`; after a fault twice as long later each time. What was read of it is known
by the ids of its entries, of which the position keeps as many as the feed shows at a time, twice.
"""

from __future__ import annotations

import calendar
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from metier.apps.addresses import shown
from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import Batch
from metier.apps.monitor.sources.apart import read_apart
from metier.apps.monitor.sources.entries import Entry, Feed, NoFeed
from metier.apps.monitor.sources.fetch import Answer, Fetcher, FetchFault

logger = logging.getLogger(__name__)

EVERY = 300.0
LONGEST_PAUSE, LONGEST_WISH = 6 * 3600.0, 86_400.0
"""Seconds to which waiting grows after faults; the longest interval that a feed may ask for."""
SEEN = 500
"""Ids that are kept at least."""
ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class State:
    """What the position of a feed holds: when to ask again, with what, and what was seen."""

    next: float = 0.0
    etag: str = ""
    modified: str = ""
    faults: int = 0
    seen: tuple[str, ...] = ()

    @classmethod
    def of(cls, position: str) -> State:
        """The state in a position."""
        values: dict[str, Any] = json.loads(position) if position else {}
        return cls(**{**values, "seen": tuple(values.get("seen", ()))})

    def position(self) -> str:
        """The state as a position."""
        values = {"next": round(self.next, 3), "etag": self.etag, "modified": self.modified, "faults": self.faults}
        return json.dumps({**values, "seen": self.seen})


class FeedSource:
    """One feed. Entries come oldest first; one that was seen does not come again, also where its text was changed.

    Entries that were published and withdrawn between two looks are not seen, as with every reader of feeds.

    Args:
        url: of the feed.
        name: of the source; the host and the path, where it is empty.
        fetcher: shared by all feeds.
        every: seconds between two looks.
        seed: of the random part of waiting.
        clock: seconds since 1970.
    """

    def __init__(
        self, url: str, name: str = "", *, fetcher: Fetcher | None = None, every: float = EVERY, seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.url, self.name = url, name or shown(url)
        self.fetcher, self.every, self.clock = fetcher or Fetcher(), every, clock
        self._random = random.Random(f"{seed} {url}")
        self._left: list[Entry] = []
        self._after = State()
        self._last = ""
        self._fault = ""
        self._closed = threading.Event()

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `Source`. The position holds when to ask again, `ETag`, `Last-Modified`, and the ids that were seen."""
        state = State.of(position)
        if position != self._last:
            self._left = []
        until = time.monotonic() + wait
        received: list[Received] = []
        while True:
            if not self._left and self._due(state) <= 0:
                state = self._look(state)
            if self._left:
                received, state = self._some(state, limit)
            left = until - time.monotonic()
            pause = min(max(self._due(state), 0.01), left)
            if received or left <= 0 or self._closed.wait(pause):
                self._last = state.position()
                return Batch(received, self._last, fault=self._fault)

    def acknowledge(self, position: str) -> None:
        """A feed is whose it is."""

    def close(self) -> None:
        self._closed.set()

    def _due(self, state: State) -> float:
        """Seconds until the feed may be asked."""
        return max(state.next - self.clock(), self.fetcher.hosts.wait(_host(self.url)))

    def _look(self, state: State) -> State:
        """Asks the feed. What is new waits in `_left`; the state of the feed is taken over with the last of it."""
        headers = {"Accept": ACCEPT}
        if state.etag:
            headers["If-None-Match"] = state.etag
        if state.modified:
            headers["If-Modified-Since"] = state.modified
        try:
            answer = self.fetcher.get(self.url, headers)
            if answer.status == 304:
                return self._well(replace(state, next=self._next(self.every)))
            if answer.status != 200:
                return self._faulty(state, f"it answers {answer.status}", _retry_after(answer, self.clock()))
            feed = read_apart(answer.body, answer.headers.get("content-type", ""), answer.url)
        except (FetchFault, NoFeed) as fault:
            return self._faulty(state, str(fault), 0.0)
        return self._well(self._news(state, feed, answer))

    def _news(self, state: State, feed: Feed, answer: Answer) -> State:
        known = set(state.seen)
        shown_now = {_key(entry): entry for entry in feed.entries}
        self._left = [entry for key, entry in shown_now.items() if key not in known]
        gone = [key for key in state.seen if key not in shown_now]
        size = len(shown_now)
        seen = (*gone[-max(SEEN - size, size) :], *shown_now) if size else state.seen
        etag, modified = answer.headers.get("etag", "")[:500], answer.headers.get("last-modified", "")[:100]
        wish = min(feed.interval, LONGEST_WISH)
        self._after = State(self._next(max(self.every, wish)), etag, modified, 0, seen)
        return self._after if not self._left else state

    def _some(self, state: State, limit: int) -> tuple[list[Received], State]:
        """The next entries. Until the last of them is given out the feed counts as not yet read."""
        some, self._left = self._left[:limit], self._left[limit:]
        at = self.clock()
        received = [Received(self.name, entry.content, at) for entry in some]
        if not self._left:
            return received, self._after
        return received, replace(state, next=0.0, seen=(*state.seen, *map(_key, some)))

    def _next(self, seconds: float) -> float:
        """The time of the next look: up to a tenth later, so that feeds are not all asked at once."""
        return self.clock() + seconds * (1 + 0.1 * self._random.random())

    def _well(self, state: State) -> State:
        if self._fault:
            logger.info("the feed %s is read again", self.name)
        self._fault = ""
        return replace(state, faults=0)

    def _faulty(self, state: State, said: str, retry: float) -> State:
        """Waits: exponentially longer, with a random part (`full jitter` halved), or as long as the other side says."""
        faults = state.faults + 1
        longest = min(max(self.every, 1.0) * 2.0 ** min(faults, 20), LONGEST_PAUSE)
        pause = max(longest * (0.5 + 0.5 * self._random.random()), retry)
        if retry:
            self.fetcher.hosts.pause(_host(self.url), min(retry, LONGEST_WISH))
        fault = f"the feed {self.name} cannot be read: {said}"
        if fault != self._fault:
            logger.warning("%s; it is asked again in %.0f s", fault, pause)
        self._fault = fault
        return replace(state, next=self.clock() + min(pause, LONGEST_WISH), faults=faults)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _key(entry: Entry) -> str:
    """60 bits by which an entry is known again."""
    return blake2b(entry.guid.encode("utf-8", "replace"), digest_size=8).hexdigest()[:15]


def _retry_after(answer: Answer, now: float) -> float:
    """Seconds of `Retry-After`, which is a number or a date."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value[:9]), LONGEST_WISH)
    try:
        return min(max(0.0, calendar.timegm(parsedate_to_datetime(value).utctimetuple()) - now), LONGEST_WISH)
    except (ValueError, TypeError, IndexError):
        return 0.0
