"""The values that travel through the monitor: what came in, what it says, what was seen in a tick. All frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metier.types import NOTHING, Prediction

EVERYTHING = "*"
"""The topic, or company, of a series that leaves it open."""


@dataclass(frozen=True, slots=True)
class Received:
    """One document as its source had it, before anything was checked.

    Args:
        source: the name of the source.
        content: its fields, or the raw line where it could not be read.
        at: when it arrived, seconds since 1970, UTC.
        fault: why it could not be read; empty where it could.
    """

    source: str
    content: Mapping[str, Any] | str
    at: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One document, checked: what every later stage reads.

    `time` is what it is counted by (seconds since 1970, UTC): when it was published, or when it came, where the source
    does not say or says something that cannot be.
    """

    id: str
    text: str
    time: float
    received: float
    source: str = ""
    url: str = ""
    language: str = ""
    meta: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Mention:
    """A company in a text: characters `start` to `end`, how it was found, how sure it is, what is said of it."""

    company: str
    start: int
    end: int
    surface: str
    how: str
    score: float = 1.0
    sentiment: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Understood:
    """An item with what one forward pass says of it; `vector` `(width,)` is the encoder's, for doubtful copies."""

    item: Item
    topics: Sequence[Prediction]
    sentiment: Prediction
    mentions: Sequence[Mention] = ()
    vector: Any = None


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """What a series counts: one topic or all, one company or all."""

    topic: str = EVERYTHING
    company: str = EVERYTHING


@dataclass(frozen=True, slots=True)
class Tick:
    """The counts of one series in one tick.

    Args:
        start: of the tick, seconds since 1970, UTC.
        stories: stories that began in it; copies raise `heat` alone.
        negatives: of these, the negative ones.
        uncertain: of these, those whose sentiment is under the confidence floor.
        sentiment: the sum of expected sentiments of the stories, each from -1 to 1.
        heat: documents, copies too.
        total: stories of the whole stream in this tick, whatever their topic: what a share is taken of.
        open: whether the collection ran: nothing at all, where something was certain to come, is a gap and no silence.
    """

    start: float
    stories: int = 0
    negatives: int = 0
    uncertain: int = 0
    sentiment: float = 0.0
    heat: int = 0
    total: int = 0
    open: bool = True


@dataclass(frozen=True, slots=True)
class Signal:
    """What the detectors say of one series after a tick, and on what it rests.

    Args:
        start: of the tick.
        expected: negative stories that were expected, and `low` to `high`, the band of 95 %.
        observed: negative stories that came.
        statistic: of each detector by its name.
        threshold: of each detector by its name.
        firing: the names of the detectors that say that a surge is on.
        since: the start of the tick in which the surge is thought to have begun, where one is on.
    """

    start: float
    expected: float
    low: float
    high: float
    observed: int
    statistic: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    threshold: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    firing: tuple[str, ...] = ()
    since: float | None = None
