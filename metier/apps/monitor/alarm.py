"""From closed ticks to alerts and notices: detectors, the book of alerts, the dispatcher, a tick after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from metier.apps.monitor.alerts.dispatch import Dispatcher, Notice, Routing
from metier.apps.monitor.alerts.life import Alert, Book, Rules, Seen, heard
from metier.apps.monitor.counting import Closed
from metier.apps.monitor.detection.detectors import Detectors
from metier.apps.monitor.detection.signals import Signals
from metier.apps.monitor.item import SeriesKey, Signal
from metier.types import NOTHING


@dataclass(frozen=True, slots=True)
class Raised:
    """What a closed tick brought: alerts that began or changed, notices that are due, signals that are worth keeping.

    Signals are those of series that counted a document, of series with an alert, and of the whole stream.
    """

    closed: Closed
    end: float
    alerts: tuple[Alert, ...] = ()
    notices: tuple[Notice, ...] = ()
    signals: Mapping[SeriesKey, Signal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What people said of an alert, as it is stored."""

    acknowledged_at: float | None
    snoozed_until: float | None
    verdict: str | None


class Alarm:
    """Everything behind the counts.

    Args:
        detectors: at their beginning, or where another alarm stopped.
        rules: by which an alert lives.
        routing: who is told.
        labels: further labels of a series, such as its owner and sector.
        watched: the series that are on a watchlist.
        state: what `state()` of another one gave, from which to go on.
    """

    def __init__(
        self,
        detectors: Detectors,
        rules: Rules,
        routing: Routing,
        labels: Callable[[SeriesKey], Mapping[str, str]] = lambda series: NOTHING,
        watched: Collection[SeriesKey] = (),
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.detectors, self.labels, self.watched = detectors, labels, watched
        kept = state or {}
        self.book = Book(rules, kept.get("book"))
        self.dispatcher = Dispatcher(routing, kept.get("dispatcher"))

    def close(self, closed: Closed, wall: float | None = None) -> Raised:
        """Takes a closed tick; ticks come in order. `wall`: the time for people, `None` in a replay; it only decides
        whether what they snoozed or silenced still is."""
        detectors, end = self.detectors, closed.start + self.detectors.settings.tick
        signals = told(detectors, closed)
        names = [name for name in detectors.places if isinstance(name, SeriesKey)]
        firing = {series for series, on in zip(names, signals.firing.tolist(), strict=True) if on}
        followed = sorted(firing.union(self.book.alerts))
        told_of = sorted({SeriesKey(), *closed.ticks, *followed})
        kept = dict(zip(told_of, signals.each([detectors.places[series] for series in told_of]), strict=True))
        changed = [
            self.book.observe(
                Seen(
                    series,
                    kept[series],
                    end,
                    bool(signals.live[detectors.places[series]]),
                    max(1, closed.sources.get(series, 0)),
                    self._is_watched(series),
                    self.labels(series),
                )
            )
            for series in followed
        ]
        alerts = tuple(alert for alert in changed if alert is not None)
        return Raised(closed, end, alerts, tuple(self.dispatcher.tick(end, alerts, wall)), kept)

    def hear(self, said: Mapping[str, Spoken]) -> tuple[Alert, ...]:
        """Takes what people said of alerts, by their ids; those that it changed."""
        changed = []
        for series, alert in self.book.alerts.items():
            if alert.id in said:
                one = said[alert.id]
                after = heard(alert, one.acknowledged_at, one.snoozed_until, one.verdict)
                if after != alert:
                    self.book.alerts[series] = after
                    changed.append(after)
        return tuple(changed)

    def _is_watched(self, series: SeriesKey) -> bool:
        """A series is watched where it is on a list itself, or its topic or its company is."""
        wanted = {series, SeriesKey(topic=series.topic), SeriesKey(company=series.company)} - {SeriesKey()}
        return not wanted.isdisjoint(self.watched)

    def state(self) -> dict[str, Any]:
        """Plain values from which another one goes on, beside the state of the detectors."""
        return {"book": self.book.state(), "dispatcher": self.dispatcher.state()}


def told(detectors: Detectors, closed: Closed) -> Signals:
    """What the detectors say of a closed tick. A series that is new was followed all along and silent."""
    for series in (SeriesKey(), *sorted(closed.ticks)):
        detectors.add(series, silent=True)
    return detectors.tick(closed.start, closed.ticks, closed.total)
