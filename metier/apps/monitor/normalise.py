"""`Received` to `Item`: every document is checked once, here, and every later stage may trust what it reads.

What cannot be used is set aside with its reason (`Quarantined`) and stops nobody. What is odd but usable is kept and
marked: `Item.meta["marks"]` says which (see `MARKS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from hashlib import blake2b
from typing import Any

import orjson

from metier.apps.monitor.item import Item, Received
from metier.apps.monitor.published import written
from metier.apps.zones import zone_of
from metier.data.clean import clean_text
from metier.data.languages import FEW, KNOWN, LENGTH, WORDS, language
from metier.data.markup import plain
from metier.data.private import mask
from metier.types import NOTHING

MARKS = {
    "clock": "counted by its arrival, since its time is `undated`, `unreadable`, `absurd` or in the `future`",
    "stated": "the time as it was written, where the clock is marked",
    "day": "true where only a day was written: it counts at the beginning of that day",
    "late": "seconds between the time it was published and its arrival, where they are more than the rules say",
    "cut": "characters before the text was cut",
}
ENGLISH = frozenset(WORDS["en"].split())
COMMON = frozenset(word for words in WORDS.values() for word in words.split())
SENTENCE_ENDS = ".!?:;…。！？：；"
LATEST = 1e11
"""Seconds since 1970 that no clock shows: the year 5138."""
LONGEST_ID, LONGEST_URL, LONGEST_EXTRA, EXTRAS = 200, 2_000, 500, 30
LOOKED = 100_000
"""Characters of a text in which private data is looked for before it is kept: the time grows with them. What is longer
waits as it is in the spool, and is cut to its beginning where it is set aside; what the model reads is shorter."""
DEEP = 8
BINARY = 0.1
"""A text with so large a share of control and replacement characters is no text."""
_controls = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]")


@dataclass(frozen=True, slots=True)
class Fields:
    """Under which names a source has what. Of `text` those that are there are joined, a title before its body."""

    text: Sequence[str] = ("title", "text")
    id: str = "id"
    time: str = "time"
    url: str = "url"
    source: str = "source"
    language: str = "language"


@dataclass(frozen=True, slots=True)
class Rules:
    """How the documents of one source are checked.

    Args:
        fields: the names of its fields.
        zone: of times without one, such as `Asia/Shanghai`.
        formats: of times, where they are unusual (`datetime.strptime`).
        html: whether its texts are HTML.
        prefix: put before its ids, where they are unique in this source alone: ids of all sources share one space.
        detect: whether the language of a text is guessed where the source does not say it.
        private: whether private data (`metier.data.private`) is masked in texts and further fields before anything
            reads or stores them.
        characters: of a text that the model reads; what follows is cut off and marked.
        size: bytes of a document; a larger one is set aside.
        ahead: seconds by which a document may be ahead of its arrival; one further ahead is counted by its arrival.
        late: seconds behind its arrival from which a document is marked as late.
        earliest: seconds since 1970 before which no document can have been published (by default the year 1971, for
            clocks that were never set say 1970).
    """

    fields: Fields = field(default_factory=Fields)
    zone: str = "UTC"
    formats: Sequence[str] = ()
    html: bool = False
    prefix: str = ""
    detect: bool = True
    private: bool = True
    characters: int = 20_000
    size: int = 10 << 20
    ahead: float = 900.0
    late: float = 3600.0
    earliest: float = 31_536_000.0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A document that was set aside.

    Args:
        source: the name of the source that it came from.
        kind: `unreadable`, `too long`, `not text`, `empty` or `bad id`.
        reason: one sentence.
        content: what came, as text: what is corrected and read again (`metier.apps.monitor.sources.lines.json_line`).
            Private data is masked in it as the rules say. Of a document that is too long only the beginning.
        at: when it came, seconds since 1970, UTC.
    """

    source: str
    kind: str
    reason: str
    content: str
    at: float


class _Refused(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason
        super().__init__(reason)


class Normaliser:
    """The rules of one source, made ready: `normaliser(received)` is an `Item`, or `Quarantined`.

    Raises `RecipeError` for a zone that is none.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.zone: tzinfo = zone_of(self.rules.zone)
        names = self.rules.fields
        self._kept = frozenset((names.id, names.time, names.url, names.source, names.language))
        self._known = self._kept | set(names.text)

    def __call__(self, received: Received) -> Item | Quarantined:
        try:
            return self._item(received)
        except _Refused as refused:
            return self._aside(received, refused)

    def _item(self, received: Received) -> Item:
        content, rules = received.content, self.rules
        if received.fault or isinstance(content, str):
            raise _Refused("unreadable", received.fault or "a line instead of an object with fields")
        names = rules.fields
        text, whole = self._text(content)
        raw = content.get(names.time)
        time, marks = self._time(raw, received.at)
        if whole > len(text):
            marks["cut"] = whole
        extras = self._extras(content) if not content.keys() <= self._known else {}
        if marks:
            extras["marks"] = marks
        url = _short(content.get(names.url), LONGEST_URL)
        outlet = _short(content.get(names.source), LONGEST_ID) or received.source
        spoken = _short(content.get(names.language), 20) or (guessed(text) if rules.detect else "")
        name = self._id(content.get(names.id)) or _digest(outlet, url, text, "" if url else raw)
        shown = mask(text).text if rules.private else text
        return Item(name, shown, time, received.at, outlet, url, spoken, extras or NOTHING)

    def time_of(self, content: Mapping[str, Any] | str) -> float | None:
        """When a document says that it was published; `None` where it does not, or says something that cannot be."""
        if isinstance(content, str):
            return None
        found = written(content.get(self.rules.fields.time), self.zone, self.rules.formats)
        return found.seconds if found is not None and found.seconds >= self.rules.earliest else None

    def masked(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """A document with private data masked in all its texts but id, time, address, outlet and language."""
        return {name: value if name in self._kept else _masked(value) for name, value in content.items()}

    def _text(self, content: Mapping[str, Any]) -> tuple[str, int]:
        """`(text, characters before it was cut)`."""
        names, rules = self.rules.fields.text, self.rules
        parts = [self._part(name, content[name]) for name in names if content.get(name) is not None]
        if not parts:
            raise _Refused("empty", f"no field {' or '.join(map(repr, names))}; there are {_listed(content)}")
        text = parts[0] if len(parts) == 1 else _joined(parts)
        if not text:
            raise _Refused("empty", "the text is empty")
        if len(text) <= rules.characters:
            return text, len(text)
        return text[: rules.characters].rstrip(), len(text)

    def _part(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise _Refused("not text", f"the field {name!r} is {_kind(value)} instead of a text")
        if len(value) > 1_000_000 and len(value.encode("utf-8", "replace")) > self.rules.size:
            raise _Refused("too long", f"the field {name!r} is larger than {self.rules.size >> 20} MB")
        if not value.isascii() or not value.isprintable():
            odd = sum(1 for _ in _controls.finditer(value))
            if odd > 3 and odd > BINARY * len(value):
                raise _Refused("not text", f"the field {name!r} holds {odd} characters that are no text")
        return clean_text(plain(value) if self.rules.html else value)

    def _time(self, raw: object, arrived: float) -> tuple[float, dict[str, Any]]:
        """What a document is counted by, and the marks that this leaves."""
        if raw is None or raw == "":
            return arrived, {"clock": "undated"}
        found = written(raw, self.zone, self.rules.formats)
        if found is None:
            return arrived, {"clock": "unreadable", "stated": str(raw)[:100]}
        seconds, day = found
        behind = arrived - seconds
        if not self.rules.earliest <= seconds <= LATEST or behind < -self.rules.ahead:
            clock = "future" if self.rules.earliest <= seconds <= LATEST else "absurd"
            return arrived, {"clock": clock, "stated": str(raw)[:100]}
        marks: dict[str, Any] = {"day": True} if day else {}
        if behind > self.rules.late:
            marks["late"] = round(behind, 3)
        return seconds, marks

    def _id(self, value: object) -> str:
        if value is None or value == "":
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise _Refused("bad id", f"the id is {_kind(value)} instead of a text or a whole number")
        name = clean_text(str(value))
        if len(name) > LONGEST_ID:
            name = _digest(name)
        return self.rules.prefix + name if name else ""

    def _extras(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The other fields, where they are small: numbers, booleans, short texts."""
        found: dict[str, Any] = {}
        for key, value in content.items():
            if key in self._known or len(found) == EXTRAS or len(key) > LONGEST_ID:
                continue
            if isinstance(value, str) and len(value) <= LONGEST_EXTRA:
                short = clean_text(value)
                found[clean_text(key)] = mask(short).text if self.rules.private else short
            elif isinstance(value, bool | int | float) and abs(value) < 2**63:  # and no NaN: not all stores take more
                found[clean_text(key)] = value
        found.pop("marks", None)
        return found

    def _aside(self, received: Received, refused: _Refused) -> Quarantined:
        shown = self._shown(received.content)
        # no data base takes a NUL or half a character
        shown = shown.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
        return Quarantined(received.source, refused.kind, refused.reason, shown, received.at)

    def _shown(self, content: Mapping[str, Any] | str) -> str:
        """What came, as text that may be kept."""
        shown = content if isinstance(content, str) else _dumped(content)
        large = len(shown) > 1_000_000 and len(shown.encode("utf-8", "replace")) > self.rules.size
        if large or (self.rules.private and len(shown) > LOOKED):
            content = shown = shown[:1_000]
        if not self.rules.private:
            return shown
        return mask(content).text if isinstance(content, str) else _dumped(self.masked(content))


def normalise(received: Received, rules: Rules | None = None) -> Item | Quarantined:
    """One document, checked. For many of one source a `Normaliser` is made once."""
    return Normaliser(rules)(received)


def _masked(value: object, depth: int = 0) -> object:
    """A value with private data masked in all texts of it; what is nested deeply becomes one text."""
    if isinstance(value, str):
        return mask(value).text if len(value) <= LOOKED else value
    if not isinstance(value, list | dict):
        return value
    if depth == DEEP:
        return _masked(_dumped({"": value}), depth)
    if isinstance(value, dict):
        return {name: _masked(one, depth + 1) for name, one in value.items()}
    return [_masked(one, depth + 1) for one in value]


def guessed(text: str) -> str:
    """The language of a text, `""` where there is too little to go by (see `metier.data.languages`)."""
    if text.isascii():  # most such texts are English, or say nothing: seen at half the cost
        words = set(text[:LENGTH].lower().split())
        common = words & COMMON
        if not common:
            return ""
        if len(words) >= FEW and common <= ENGLISH and len(common) >= KNOWN * len(words):
            return "en"
    return language(text) or ""


def _joined(parts: Sequence[str]) -> str:
    """A title and its body as one text: between them a full stop where there is none, and no title twice."""
    kept: list[str] = []
    for part in filter(None, parts):
        if kept and part.startswith(kept[-1]):
            kept.pop()
        kept.append(part)
    text = kept[0] if kept else ""
    for part in kept[1:]:
        stop = "" if text[-1] in SENTENCE_ENDS else "。" if "\u2e80" <= text[-1] <= "\u9fff" else "."
        text = f"{text}{stop} {part}" if stop != "。" else f"{text}。{part}"
    return text


def _digest(*parts: object) -> str:
    """An id for what has none: 80 bits of a hash, the parts told apart."""
    joined = "\x1f".join(["" if part is None else str(part) for part in parts])
    return blake2b(joined.encode("utf-8", "replace"), digest_size=10).hexdigest()


def _short(value: object, longest: int) -> str:
    if not value or not isinstance(value, str):
        return ""
    if len(value) <= longest and value.isascii() and value.isprintable():
        return value
    return clean_text(value[: longest * 2])[:longest]


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), f"a {type(value).__name__}")


def _listed(content: Mapping[str, Any]) -> str:
    names = [repr(str(name)[:40]) for name in list(content)[:10]]
    return ", ".join(names) if names else "none"


def _dumped(content: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(dict(content), option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    except TypeError:  # half characters, numbers of more than 64 bits
        import json

        return json.dumps(dict(content), default=str)
