"""What is in a feed: RSS and Atom as documents, their HTML as text."""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from metier.data.markup import plain

ENTRIES = 2_000
"""Entries of a feed that are looked at, the newest."""
PERIODS = {"hourly": 3600.0, "daily": 86_400.0, "weekly": 604_800.0, "monthly": 2_592_000.0, "yearly": 31_536_000.0}
_page = re.compile(rb"<!doctype\s+html|<html", re.IGNORECASE)


class NoFeed(Exception):
    """What came instead of a feed, one line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: what it is known by, and its fields as a document."""

    guid: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Feed:
    """Entries, the oldest first, and the seconds that the feed asks to be left alone for."""

    entries: Sequence[Entry]
    interval: float


def parsed(body: bytes, kind: str, url: str) -> Feed:
    """The entries of a feed. Raises `NoFeed`.

    Args:
        body: what came.
        kind: its `Content-Type`, which may name an encoding.
        url: where it came from; ids that are no addresses are told apart by its host.
    """
    import feedparser

    if _is_page(body[:4096]):
        raise NoFeed("it is a page (HTML) instead of a feed")
    headers = {"content-type": kind, "content-location": url}
    try:
        # From a file object: a text could be taken for an address and fetched. Its HTML becomes text, which makes
        # sanitising and resolving what is in it a waste.
        found = feedparser.parse(
            io.BytesIO(body), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
        )
    except Exception as error:  # noqa: BLE001 (whatever a broken feed makes of a tolerant parser)
        raise NoFeed(f"it cannot be read ({type(error).__name__})") from None
    if not found.get("version") and not found.entries:
        reason = found.get("bozo_exception")
        raise NoFeed(f"it is neither RSS nor Atom{f' ({str(reason)[:80]})' if reason else ''}")
    about = found.feed
    host = urlsplit(url).hostname or ""
    entries = [_entry(dict(entry), about, host) for entry in found.entries[:ENTRIES]]
    return Feed(entries[::-1], _interval(about))


def _is_page(begin: bytes) -> bool:
    """Whether the first element is that of a page: behind blanks, an XML declaration and comments."""
    rest = begin.lstrip()
    if rest[:5].lower() == b"<?xml":
        rest = rest.partition(b">")[2].lstrip()
    while rest.startswith(b"<!--"):
        rest = rest[4:].partition(b"-->")[2].lstrip()
    return _page.match(rest) is not None


def _entry(entry: Mapping[str, Any], about: Mapping[str, Any], host: str) -> Entry:
    title, link = plain(str(entry.get("title", ""))), str(entry.get("link", ""))
    bodies = [str(part.get("value", "")) for part in entry.get("content", ())] or [str(entry.get("summary", ""))]
    text = plain(max(bodies, key=len))
    guid = str(entry.get("id", "")) or link or f"{title} {text[:500]}"
    named = guid if ":" in guid[:10] and len(guid) <= 200 else ""  # an address, tag: or urn: is unique everywhere
    content = {
        "id": named or (f"{host} {guid}" if entry.get("id") else ""),
        "title": title,
        "text": text,
        "time": _time(entry),
        "url": link,
        "source": plain(str(about.get("title", ""))) or host,
        "language": str(about.get("language", ""))[:20],
    }
    return Entry(guid, {key: value for key, value in content.items() if value})


def _time(entry: Mapping[str, Any]) -> str:
    """ISO 8601 in UTC, which feedparser makes of every way of writing times; as it was written where it cannot."""
    for name in ("published", "updated", "created"):
        moment = entry.get(f"{name}_parsed")
        if moment is not None:
            return datetime.fromtimestamp(calendar.timegm(moment), UTC).isoformat()
        if entry.get(name):
            return str(entry[name])[:100]
    return ""


def _interval(about: Mapping[str, Any]) -> float:
    """Seconds of `ttl` (minutes) or of `sy:updatePeriod` divided by `sy:updateFrequency` (RSS 1.0 syndication)."""
    minutes = str(about.get("ttl", ""))
    wish = 60.0 * int(minutes) if minutes.isascii() and minutes.isdecimal() and len(minutes) < 9 else 0.0
    often = str(about.get("sy_updatefrequency", "1"))
    times = int(often) if often.isascii() and often.isdecimal() and len(often) < 9 else 1
    return max(wish, PERIODS.get(str(about.get("sy_updateperiod", "")).strip().lower(), 0.0) / max(1, times))
