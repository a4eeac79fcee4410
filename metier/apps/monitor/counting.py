"""Documents into ticks, by the documents' own time: a tick closes when the stream has passed its end.

The watermark is the latest time of any document less the lateness that is allowed. What comes for a tick that is open
counts there, whatever the order. What comes later, as feeds do that are slow, counts in the first tick that is open, as
long as it is not later than a grace; what is older still, an archive that is filled up, is kept and counts nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from metier.apps.monitor.item import SeriesKey, Tick, Understood
from metier.types import NOTHING

Companies = Mapping[str, Sequence[str]]
"""The companies that a document counts for, parents among them; of each, those that it names."""
IDLE = 96
"""Empty ticks in a row that are told one by one; a longer silence is left out, for it is a gap whatever its length."""


@dataclass(frozen=True, slots=True)
class Voices:
    """Which answers of the sentiment head are bad news and which are good, and how sure it must be."""

    negative: frozenset[str] = frozenset({"negative"})
    positive: frozenset[str] = frozenset({"positive"})
    floor: float = 0.5


@dataclass(frozen=True, slots=True)
class Closed:
    """A tick that is over: its counts by series, the stream's stories, and how many sources told the negative ones.

    Series without a document are left out.
    """

    start: float
    ticks: Mapping[SeriesKey, Tick]
    total: int
    sources: Mapping[SeriesKey, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """A tick that may still get documents."""

    ticks: dict[SeriesKey, Tick] = field(default_factory=dict)
    total: int = 0
    changed: set[SeriesKey] = field(default_factory=set)
    sources: dict[SeriesKey, set[str]] = field(default_factory=dict)


class Counter:
    """Counts documents into the ticks of series.

    Args:
        tick: seconds.
        lateness: seconds by which documents may come out of order.
        grace: seconds by which a document may be late for the first open tick and count there.
        voices: what is negative.
        crossed: whether topic and company together are a series, too.
    """

    def __init__(
        self, tick: float, lateness: float, grace: float = 0.0, voices: Voices | None = None, crossed: bool = True
    ) -> None:
        self.tick, self.lateness, self.grace, self.crossed = tick, lateness, grace, crossed
        self.voices = voices or Voices()
        self.watermark = self.latest = -math.inf
        self.begin = math.nan
        """The start of the first tick that is open; no number before the first document."""
        self._open: dict[float, _Open] = {}

    # -- time --------------------------------------------------------------------------------------------------------
    def pass_(self, time: float) -> Iterator[Closed]:
        """Moves the clock to a document's time; the ticks that this closes, in order. To be used up before `count`."""
        self.watermark = max(self.watermark, time - self.lateness)
        if math.isnan(self.begin):
            self.begin = self.start_of(min(self.watermark, time))
        empty = 0
        while self.begin + self.tick <= self.watermark:
            if not self._open and empty >= IDLE:
                self.begin = self.start_of(self.watermark)
                return
            kept = self._open.pop(self.begin, None)
            empty = 0 if kept is not None else empty + 1
            closed = self._closed(self.begin, kept or _Open())
            self.begin += self.tick
            yield closed

    def start_of(self, time: float) -> float:
        """The start of the tick that a time lies in."""
        return math.floor(time / self.tick) * self.tick

    def counted(self) -> list[Closed]:
        """The ticks that are open, in order, as if they closed now."""
        return [self._closed(start, self._open[start]) for start in sorted(self._open)]

    def _closed(self, start: float, kept: _Open) -> Closed:
        ticks = {series: replace(tick, total=kept.total) for series, tick in kept.ticks.items()}
        return Closed(start, ticks, kept.total, {series: len(names) for series, names in kept.sources.items()})

    @property
    def gap(self) -> float:
        """From when on silence is a gap of the collection, which no clock closes: one that is years ahead for a moment
        would leave nothing of today to count."""
        return self.latest + IDLE * self.tick

    @property
    def last(self) -> float:
        """The start of the last tick that is open and has documents; minus infinity where there is none."""
        return max(self._open, default=-math.inf)

    # -- counts ------------------------------------------------------------------------------------------------------
    def count(self, understood: Understood, new: bool, companies: Companies = NOTHING) -> float | None:
        """Counts a document; the start of the tick that it counts in, `None` where it came too late for any.

        Args:
            understood: the document.
            new: whether it begins a story; a copy raises the heat alone.
            companies: that it counts for, parents among them; of each, those that it names.
        """
        self.latest = max(self.latest, understood.item.time)
        if understood.item.time < self.begin - self.grace:
            return None
        start = max(self.begin, self.start_of(understood.item.time))
        self.add(start, understood, new, companies)
        return start

    def add(self, start: float, understood: Understood, new: bool, companies: Companies = NOTHING) -> None:
        """Counts a document in the tick that begins at `start`."""
        kept = self._open.setdefault(start, _Open())
        kept.total += new
        for series in self.series_of(understood, companies):
            label, score, tone = self._voice(understood, companies.get(series.company, ()))
            sure = score >= self.voices.floor
            bad = sure and label in self.voices.negative
            before = kept.ticks.get(series, Tick(start))
            kept.ticks[series] = Tick(  # `replace` takes twice as long, and this is done several times a document
                before.start,
                before.stories + new,
                before.negatives + (new and bad),
                before.uncertain + (new and not sure),
                before.sentiment + (tone if new else 0.0),
                before.heat + 1,
                before.total,
                before.open,
            )
            kept.changed.add(series)
            if bad:
                kept.sources.setdefault(series, set()).add(understood.item.source)

    def series_of(self, understood: Understood, companies: Companies) -> list[SeriesKey]:
        """Everything, each topic that is sure, each company, and each of both together."""
        topics = [str(one.label) for one in understood.topics if not one.abstain]
        crossed = [SeriesKey(topic, company) for topic in topics for company in companies] if self.crossed else []
        return [
            SeriesKey(),
            *(SeriesKey(topic=topic) for topic in topics),
            *(SeriesKey(company=company) for company in companies),
            *crossed,
        ]

    def _voice(self, understood: Understood, companies: Sequence[str]) -> tuple[str, float, float]:
        """Label, score and tone (-1 to 1) of what is said of the companies, where that is known; else of everything."""
        own = [one.sentiment for one in understood.mentions if one.company in companies and one.sentiment is not None]
        said = max(own, key=lambda one: one.score) if own else understood.sentiment
        return str(said.label), said.score, self.tone(said.probabilities, str(said.label), said.score)

    def tone(self, probabilities: Mapping[str, float], label: str, score: float) -> float:
        """The expected sentiment, -1 to 1."""
        shares = probabilities or {label: score}
        good = sum(share for name, share in shares.items() if name in self.voices.positive)
        return good - sum(share for name, share in shares.items() if name in self.voices.negative)

    # -- what is kept ------------------------------------------------------------------------------------------------
    def changed(self) -> list[tuple[SeriesKey, Tick]]:
        """The counts of open ticks that changed since this was last asked."""
        found = []
        for kept in self._open.values():
            found += [(series, replace(kept.ticks[series], total=kept.total)) for series in sorted(kept.changed)]
            kept.changed.clear()
        return found

    def state(self) -> dict[str, Any]:
        """What is remembered beside the counts of open ticks, as JSON values."""
        return {
            "watermark": None if math.isinf(self.watermark) else self.watermark,
            "latest": None if math.isinf(self.latest) else self.latest,
            "begin": None if math.isnan(self.begin) else self.begin,
            "open": [
                {
                    "start": start,
                    "total": kept.total,
                    "sources": [[*astuple(series), *sorted(names)] for series, names in sorted(kept.sources.items())],
                }
                for start, kept in self._open.items()
            ],
        }

    def restore(self, state: Mapping[str, Any], rows: Iterable[tuple[SeriesKey, Tick]]) -> None:
        """Goes on from a state and the stored counts of the ticks that were open."""
        self.watermark = -math.inf if state["watermark"] is None else state["watermark"]
        latest = state.get("latest", state["watermark"])  # one that was not kept is no later than the watermark
        self.latest = -math.inf if latest is None else latest
        self.begin = math.nan if state["begin"] is None else state["begin"]
        self._open = {
            one["start"]: _Open(
                total=one["total"],
                sources={SeriesKey(topic, company): set(names) for topic, company, *names in one["sources"]},
            )
            for one in state["open"]
        }
        for series, tick in rows:
            if tick.start in self._open:
                self._open[tick.start].ticks[series] = replace(tick, total=0)
