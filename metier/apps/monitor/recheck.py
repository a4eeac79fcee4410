"""An alert once more, from what is stored: its documents are counted again, its ticks go through detectors that begin
anew, the alert lives again, its evidence is looked up again. All of it has to come out as it is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from metier.apps.monitor import keeping
from metier.apps.monitor.alarm import Alarm, Raised
from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.counting import Closed, Counter
from metier.apps.monitor.detection.detectors import Detectors
from metier.apps.monitor.dossier import BEFORE, Dossier
from metier.apps.monitor.engine import Plan, closed_ticks, watched
from metier.apps.monitor.item import EVERYTHING, Item, Mention, SeriesKey, Signal, Tick, Understood
from metier.errors import MetierError
from metier.store import alerts, documents, ticks
from metier.store.alerts import StoredAlert
from metier.store.documents import StoredDocument, StoredMention
from metier.types import Prediction

TOLD = ("id", "since", "pending_at", "starts_at", "severity", "observed", "expected", "detector", "share", "sources")
"""What is compared of an alert: all that documents decide, nothing that people do to it."""
SHARE = 1e-6
"""By how much numbers may differ, relatively: stored probabilities are rounded to a millionth."""
ON_ALL = ("baseline", "words", "entities", "sources", "stories_in_all", "stories", "stories_by_heat",
          "stories_by_negativity")  # fmt: skip
"""Of evidence what rests on all documents of the surge and of the time before it."""
ROUND = 1_000
"""Documents whose mentions are looked up at a time."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the four comparisons: its name, how many things were compared, and what is different."""

    name: str
    compared: int
    different: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recheck:
    """What came of it.

    Args:
        alert: its id.
        run: the version of the run whose answers the documents keep.
        parts: the comparisons.
        changed: settings that were others when the alert was raised, `name: then, now`.
        missing: documents of that time that are no longer kept; what rests on them is not compared.
    """

    alert: str
    run: str
    parts: Sequence[Part]
    changed: Sequence[str] = ()
    missing: int = 0

    @property
    def same(self) -> bool:
        """Whether everything came out as it is kept."""
        return not any(part.different for part in self.parts)


def recheck(connection: Connection, plan: Plan, id: str, tick: Callable[[int], None] = lambda units: None) -> Recheck:
    """Checks an alert against what is stored.

    Documents are not read by a run again: what it said of each is stored, with its version. Counts are those of the
    documents from the beginning of the surge to the alert's last tick, detectors begin at the first stored tick.

    Args:
        connection: of `Store.read`.
        plan: how the stream is watched.
        id: of the alert.
        tick: told of each tick that the detectors see again.

    Raises:
        MetierError: where there is no such alert.
    """
    stored = alerts.get(connection, id)
    if stored is None:
        raise MetierError(f"There is no alert {id!r}.", hint="metier monitor alerts, or the console, lists them")
    alert = Alert.from_json(stored.details)
    start = min(time for time in (alert.since, alert.pending_at - plan.detectors.tick) if time is not None)
    told = _counted(connection, plan, start, alert.updated_at)
    lived = list(_lived(connection, plan, alert, {one.start: one for one in told}, tick))
    evidence = stored.evidence or {}
    missing = _missing(connection, (alert.since or start) - BEFORE, alert.updated_at)
    return Recheck(
        id,
        str(evidence.get("run", "")),
        (
            _counts(connection, told, start, alert.updated_at),
            _signals(connection, alert, lived),
            _life(alert, lived),
            _evidence(connection, plan, alert, stored, ON_ALL if missing else ()),
        ),
        tuple(_changed(evidence.get("settings", {}), plan.shown)),
        missing,
    )


def _missing(connection: Connection, start: float, end: float) -> int:
    """How many of the documents that were counted are no longer kept."""
    rows = ticks.of_series(connection, EVERYTHING, EVERYTHING, start, end)
    return sum(row.heat for row in rows) - sum(1 for _ in documents.told(connection, start, end))


# -- counts ------------------------------------------------------------------------------------------------------------
def _counted(connection: Connection, plan: Plan, start: float, end: float) -> list[Closed]:
    """The ticks from `start` to `end`, counted again out of the stored documents."""
    counter = Counter(plan.detectors.tick, plan.lateness, plan.grace, plan.voices, plan.crossed)
    found = list(documents.told(connection, start, end))
    for at in range(0, len(found), ROUND):
        part = found[at : at + ROUND]
        named = documents.mentions_of(connection, [one.id for one in part])
        for one in part:
            understood = _understood(one, named.get(one.id, ()))
            names = (mention.company for mention in understood.mentions)
            companies = plan.companies.counted(names) if plan.companies else {}
            counter.add(one.tick or 0.0, understood, one.id == one.story, companies)
    return counter.counted()


def _understood(stored: StoredDocument, named: Iterable[StoredMention]) -> Understood:
    item = Item(stored.id, stored.text, stored.time, stored.received, stored.source)
    mentions = [
        Mention(one.company, one.start, one.end, one.surface, one.how, one.score,
                _prediction(one.sentiment) if one.sentiment else None)
        for one in named
    ]  # fmt: skip
    return Understood(item, [_prediction(one) for one in stored.topics or ()], _prediction(stored.sentiment), mentions)


def _prediction(said: Mapping[str, Any]) -> Prediction:
    return Prediction(said["label"], said["score"], bool(said.get("abstain")), said.get("probabilities", {}))


def _counts(connection: Connection, told: Sequence[Closed], start: float, end: float) -> Part:
    """The counts of all series, against the stored ones, in the ticks whose documents are all kept."""
    there = {one.start: one.ticks for one in told}
    stored = closed_ticks(connection, math.nextafter(start, -math.inf), end)
    whole = {one.start for one in stored if _documents(one.ticks) <= _documents(there.get(one.start, {}))}
    kept = {(one.start, series): tick for one in stored if one.start in whole for series, tick in one.ticks.items()}
    own = {(at, series): tick for at in there if at in whole for series, tick in there[at].items()}
    different = [
        f"{_name(series)} at {at:.0f}: {_short(kept.get((at, series)))} kept, {_short(own.get((at, series)))} counted"
        for at, series in sorted({*kept, *own})
        if not _same_tick(kept.get((at, series)), own.get((at, series)))
    ]
    return Part("counts", len(kept), tuple(different))


def _documents(counts: Mapping[SeriesKey, Tick]) -> int:
    return counts[SeriesKey()].heat if SeriesKey() in counts else 0


def _same_tick(kept: Tick | None, own: Tick | None) -> bool:
    if kept is None or own is None:
        return kept is own
    close = math.isclose(kept.sentiment, own.sentiment, rel_tol=SHARE, abs_tol=SHARE * max(own.stories, 1) * 10)
    return close and replace(kept, sentiment=0.0, open=True) == replace(own, sentiment=0.0, open=True)


def _short(tick: Tick | None) -> str:
    return "none" if tick is None else f"{tick.stories} stories ({tick.negatives} negative), {tick.heat} documents"


def _name(series: SeriesKey) -> str:
    return f"{series.topic} / {series.company}"


# -- detection and life ------------------------------------------------------------------------------------------------
def _lived(
    connection: Connection, plan: Plan, alert: Alert, told: Mapping[float, Closed], tick: Callable[[int], None]
) -> Iterator[Raised]:
    """All ticks from the first stored one to the alert's last, through detectors and alerts that begin anew.

    How many sources told negative stories is no part of a stored tick; where it matters, in the ticks that the alert
    was on, it comes from the documents.
    """
    lists = watched(connection)
    alarm = Alarm(Detectors(plan.detectors), plan.rules, plan.routing, plan.labels, lists)
    for closed in closed_ticks(connection, -math.inf, alert.updated_at):
        own = told.get(closed.start)
        yield alarm.close(replace(closed, sources=own.sources) if own is not None else closed)
        tick(1)


def _signals(connection: Connection, alert: Alert, lived: Sequence[Raised]) -> Part:
    """What the detectors say of the alert's series, tick by tick, against what they said."""
    again = {one.closed.start: one.signals.get(alert.series) for one in lived}
    rows = ticks.of_series(connection, alert.series.topic, alert.series.company, -math.inf, alert.updated_at)
    kept = {row.start: signal for row in rows if (signal := keeping.signal_of(row)) is not None}
    different = [
        f"the tick at {start:.0f}"
        for start, signal in sorted(kept.items())
        if not _same_signal(signal, again.get(start))
    ]
    return Part("signals", len(kept), tuple(different))


def _same_signal(kept: Signal, own: Signal | None) -> bool:
    return own is not None and _same(keeping.signal_json(kept), keeping.signal_json(own))


def _life(alert: Alert, lived: Sequence[Raised]) -> Part:
    """The alert as it came to be again, against the one that is kept."""
    found = [one for raised in lived for one in raised.alerts if one.id == alert.id]
    if not found:
        return Part("alert", len(TOLD), ("it does not come about",))
    own, kept = found[-1].to_json(), alert.to_json()
    different = [
        f"{name}: {kept[name]} is kept, {own[name]} found" for name in TOLD if not _same(kept[name], own[name])
    ]
    return Part("alert", len(TOLD), tuple(different))


def _evidence(connection: Connection, plan: Plan, alert: Alert, stored: StoredAlert, left: Sequence[str]) -> Part:
    """What the alert rests on, looked up again, against what was kept; `left` are the names that are left out."""
    kept = stored.evidence or {}
    dossier = Dossier(plan.voices, plan.companies, kept.get("settings", {}))
    own = json.loads(json.dumps(dossier(connection, alert)))
    names = sorted({*kept, *own}.difference(left))
    return Part("evidence", len(names), tuple(name for name in names if not _same(kept.get(name), own.get(name))))


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    plain = json.loads(json.dumps(dict(now)))
    for name in sorted({*then, *plain}):
        if then.get(name) != plain.get(name):
            yield f"{name}: {then.get(name)} then, {plain.get(name)} now"


def _same(kept: Any, own: Any) -> bool:
    """Whether two JSON values are the same, numbers nearly."""
    if isinstance(kept, Mapping) and isinstance(own, Mapping):
        return kept.keys() == own.keys() and all(_same(kept[name], own[name]) for name in kept)
    if isinstance(kept, list | tuple) and isinstance(own, list | tuple):
        return len(kept) == len(own) and all(map(_same, kept, own))
    if isinstance(kept, float) and isinstance(own, int | float):
        return math.isclose(kept, own, rel_tol=SHARE, abs_tol=SHARE)
    return bool(kept == own)
