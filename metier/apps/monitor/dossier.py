"""What an alert rests on, looked up in the store: counts, signals, the negative stories, and what was said before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.counting import Voices
from metier.apps.monitor.explain import why
from metier.apps.monitor.item import EVERYTHING, SeriesKey, Tick
from metier.apps.monitor.keeping import signal_of
from metier.store import documents, ticks
from metier.store.documents import StoredDocument, StoredMention
from metier.store.ticks import StoredTick

BEFORE = 7 * 86_400.0
"""Seconds before a surge that its counts are shown with, and whose stories it is compared with."""
MOST_BEFORE, MOST = 2_000, 1_000
"""Stories of the time before, the latest, and of the surge, the latest."""


class Dossier:
    """Looks up evidence: `dossier(connection, alert)`, plain JSON.

    It depends alone on what is stored and on the ticks up to the alert's last one, so that it comes out the same
    however much later it is looked up.

    Args:
        voices: what counts as negative.
        companies: that are followed.
        settings: what else decided, to be shown.
    """

    def __init__(self, voices: Voices, companies: Companies | None, settings: Mapping[str, Any]) -> None:
        self.voices, self.settings = voices, settings
        self.names = {one.id: one.name for one in companies.companies.values()} if companies else {}
        self._below: dict[str, set[str]] = {}
        for name in self.names:
            for above in companies.rolled_up([name]) if companies else ():
                self._below.setdefault(above, set()).add(name)

    def __call__(self, connection: Connection, alert: Alert) -> dict[str, Any]:
        series, since = alert.series, alert.since or alert.starts_at or alert.pending_at
        rows = ticks.of_series(connection, series.topic, series.company, since - BEFORE, alert.updated_at)
        surge = self._told(connection, series, since, alert.updated_at, MOST, negative=True)
        heats = documents.heats(connection, [one.id for one in surge], alert.updated_at)
        version = documents.version_of(connection, since, alert.updated_at)
        case = why.Case(
            alert,
            [tick_of(row) for row in rows],
            [signal for row in rows if (signal := signal_of(row)) is not None],
            [replace(one, heat=heats[one.id]) for one in surge],
            why.baseline(self._told(connection, series, since - BEFORE, since, MOST_BEFORE, negative=False)),
            version,
            self.settings,
        )
        return why.evidence(case)

    def _told(
        self, connection: Connection, series: SeriesKey, start: float, end: float, most: int, *, negative: bool
    ) -> list[why.Told]:
        """The stories that a series counted in the ticks from `start` to `end`."""
        below = None if series.company == EVERYTHING else self._below.get(series.company, {series.company})
        found = documents.counted(connection, start, end, below)
        kept = [one for one in found if self._counts(one, series)][-(10 * most) :]
        named = documents.mentions_of(connection, [one.id for one in kept])
        chosen = [one for one in kept if not negative or self._negative(one, named.get(one.id, ()), series)][-most:]
        return list(self._stories(chosen, named))

    def _counts(self, document: StoredDocument, series: SeriesKey) -> bool:
        topics = [one["label"] for one in document.topics or () if not one.get("abstain")]
        return series.topic == EVERYTHING or series.topic in topics

    def _negative(self, document: StoredDocument, mentions: Iterable[StoredMention], series: SeriesKey) -> bool:
        said = self._tone(document, mentions, series)
        return said["score"] >= self.voices.floor and said["label"] in self.voices.negative

    def _tone(
        self, document: StoredDocument, mentions: Iterable[StoredMention], series: SeriesKey
    ) -> Mapping[str, Any]:
        """What was counted of a document: what it says of the company, where that is known, else its own tone."""
        below = self._below.get(series.company, ())
        own = [one.sentiment for one in mentions if one.company in below and one.sentiment]
        found: Mapping[str, Any] = max(own, key=lambda one: one["score"]) if own else document.sentiment
        return found

    def _stories(self, found: list[StoredDocument], named: Mapping[str, list[StoredMention]]) -> Iterator[why.Told]:
        for one in found:
            shares = one.sentiment.get("probabilities") or {one.sentiment["label"]: one.sentiment["score"]}
            mentions = named.get(one.id, ())
            yield why.Told(
                one.id,
                one.text,
                one.time,
                one.url,
                (one.source,),
                negative=sum(share for label, share in shares.items() if label in self.voices.negative),
                entities=tuple(dict.fromkeys(self.names.get(mention.company, mention.company) for mention in mentions)),
            )


def tick_of(row: StoredTick) -> Tick:
    """A stored tick as the detectors read it."""
    return Tick(row.start, row.stories, row.negatives, row.uncertain, row.sentiment, row.heat, row.total, row.open)
