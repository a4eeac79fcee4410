"""One step of the monitor as rows of the store: all of it in one transaction, or nothing."""

from __future__ import annotations

from collections import Counter as Bag
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from metier.apps.monitor.alarm import Raised
from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.item import SeriesKey, Signal, Tick, Understood
from metier.apps.monitor.normalise import Quarantined
from metier.apps.monitor.stories.assign import Assigned
from metier.apps.monitor.understand import Reading
from metier.store import alerts, documents, notices, positions, quarantine, stories, ticks
from metier.store.alerts import StoredAlert
from metier.store.documents import StoredDocument, StoredMention
from metier.store.stories import StoredStory
from metier.store.ticks import State, StoredTick
from metier.types import NOTHING, Prediction

CLOCK, ALARM, DETECTORS = "monitor.clock", "monitor.alarm", "monitor.detectors"
"""What stages remember: the counter's clock, alerts and notices, what all detectors share."""
Evidence = Callable[[Connection, Alert], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Placed:
    """A document where it belongs: its story, and the tick that it counts in (`None`: it came too late)."""

    reading: Reading
    assigned: Assigned
    tick: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """All that one step brought.

    Args:
        number: of the step, by which one that was written can be told from one that was lost.
        now: seconds since 1970 on the wall, for what says when it was written.
        version: of the run that understood the documents.
        placed: its documents.
        quarantined: what could not be read.
        raised: the ticks that it closed.
        heard: alerts to which people did something.
        open: the counts of ticks that are still open, those that changed.
        clock, alarm: what the counter and the alarm remember.
        positions: of the sources.
        checkpoint: what the detectors remember, where it is time to write that.
        live: whether people are told; the notices of a replay are kept, and never sent.
        by: what the monitor that writes it is known by; of two in one store each would lose documents.
    """

    number: int
    now: float
    version: str = ""
    placed: Sequence[Placed] = ()
    quarantined: Sequence[Quarantined] = ()
    raised: Sequence[Raised] = ()
    heard: Sequence[Alert] = ()
    open: Sequence[tuple[SeriesKey, Tick]] = ()
    clock: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    alarm: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    positions: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    live: bool = True
    by: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the detectors remember after a tick: what all series share, and the column of each."""

    at: float
    clock: Mapping[str, Any]
    columns: Mapping[SeriesKey, bytes]


def write(connection: Connection, step: Step, evidence: Evidence) -> None:
    """Writes a step. `evidence` is asked once the documents are there."""
    _documents(connection, step)
    quarantine.add(
        connection, (quarantine.Quarantined(one.source, one.content, one.reason, one.at) for one in step.quarantined)
    )
    closed = [row for raised in step.raised for row in _closed(raised)]
    ticks.put(connection, [*closed, *(_tick(series, tick) for series, tick in step.open)])
    for alert in _latest(step):
        _alert(connection, alert, evidence)
    state = notices.WAITING if step.live else notices.REPLAYED
    notices.add(
        connection,
        (
            notices.StoredNotice(one.id, one.receiver, one.body, step.now, tuple(one.alerts), state)
            for raised in step.raised
            for one in raised.notices
        ),
    )
    ticks.set_stage(connection, CLOCK, State({"step": step.number, "by": step.by, **step.clock}, at=step.now))
    ticks.set_stage(connection, ALARM, State(dict(step.alarm), at=step.now))
    if step.checkpoint is not None:
        _checkpoint(connection, step.checkpoint)
    positions.put(connection, step.positions, step.now)


def _latest(step: Step) -> list[Alert]:
    """Each alert that changed, as it is at the end of the step."""
    changed = [alert for raised in step.raised for alert in raised.alerts]
    return list({alert.id: alert for alert in (*step.heard, *changed)}.values())


# -- documents -----------------------------------------------------------------------------------------------------
def _documents(connection: Connection, step: Step) -> None:
    documents.add(connection, (_document(one, step.version) for one in step.placed))
    documents.mention(connection, (row for one in step.placed for row in _mentions(one.reading.understood)))
    names = Bag(mention.surface for one in step.placed for mention in one.reading.unlinked)
    documents.unlink(connection, names, step.now)
    _stories(connection, step.placed)


def _document(placed: Placed, version: str) -> StoredDocument:
    understood = placed.reading.understood
    item = understood.item
    return StoredDocument(
        item.id, item.text, item.time, item.received, item.source, item.url, item.language, dict(item.meta),
        placed.reading.version or version,
        [said(one) for one in understood.topics], said(understood.sentiment), placed.assigned.story,
        tick=placed.tick, vector=placed.assigned.vector,
    )  # fmt: skip


def _mentions(understood: Understood) -> Iterable[StoredMention]:
    for one in understood.mentions:
        tone = None if one.sentiment is None else said(one.sentiment)
        yield StoredMention(understood.item.id, one.company, one.start, one.end, one.surface, one.how, one.score, tone)


def _stories(connection: Connection, placed: Sequence[Placed]) -> None:
    """Stories that began, and those that grew."""
    before = stories.many(connection, {one.assigned.story for one in placed if not one.assigned.new})
    for one in placed:
        understood, name = one.reading.understood, one.assigned.story
        known, time = before.get(name), understood.item.time
        before[name] = StoredStory(
            name,
            known.document if known else understood.item.id,
            min(known.first, time) if known else time,
            max(known.last, time) if known else time,
            (known.heat if known else 0) + 1,
            known.topics if known else [said(topic) for topic in understood.topics],
            known.sentiment if known else said(understood.sentiment),
        )
    stories.put(connection, before.values())


def said(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON values; probabilities to a millionth."""
    return {
        "label": prediction.label,
        "score": round(prediction.score, 6),
        **({"abstain": True} if prediction.abstain else {}),
        **(
            {"probabilities": {name: round(share, 6) for name, share in prediction.probabilities.items()}}
            if prediction.probabilities
            else {}
        ),
    }


# -- counts --------------------------------------------------------------------------------------------------------
def _closed(raised: Raised) -> Iterable[StoredTick]:
    """The rows of a closed tick; that of the whole stream is always there, so that it can be told from one left out."""
    closed = raised.closed
    for series in sorted({SeriesKey(), *closed.ticks, *raised.signals}):
        tick = closed.ticks.get(series, Tick(closed.start, total=closed.total))
        yield _tick(series, tick, raised.signals.get(series))


def _tick(series: SeriesKey, tick: Tick, signal: Signal | None = None) -> StoredTick:
    return StoredTick(
        series.topic, series.company, tick.start, tick.stories, tick.negatives, tick.uncertain, tick.sentiment,
        tick.heat, tick.total, tick.open, None if signal is None else signal_json(signal),
    )  # fmt: skip


def signal_json(signal: Signal) -> dict[str, Any]:
    """A signal as it is stored beside its tick."""
    return {
        "expected": signal.expected,
        "low": signal.low,
        "high": signal.high,
        "statistic": dict(signal.statistic),
        "threshold": dict(signal.threshold),
        **({"firing": list(signal.firing), "since": signal.since} if signal.firing else {}),
    }


def signal_of(tick: StoredTick) -> Signal | None:
    """What `signal_json` gave."""
    kept = tick.signal
    if kept is None:
        return None
    return Signal(
        tick.start, kept["expected"], kept["low"], kept["high"], tick.negatives, kept["statistic"], kept["threshold"],
        tuple(kept.get("firing", ())), kept.get("since"),
    )  # fmt: skip


def _checkpoint(connection: Connection, made: Checkpoint) -> None:
    ticks.set_stage(connection, DETECTORS, State(dict(made.clock), at=made.at))
    columns = {
        (series.topic, series.company): State(packed=column, at=made.at) for series, column in made.columns.items()
    }
    ticks.remember(connection, columns)


# -- alerts --------------------------------------------------------------------------------------------------------
def _alert(connection: Connection, alert: Alert, evidence: Evidence) -> None:
    """An alert with what it rests on. One that never fired leaves no trace."""
    if alert.starts_at is None:
        return
    shown = evidence(connection, alert)
    row = StoredAlert(
        alert.id, alert.series.topic, alert.series.company, alert.status, alert.since or alert.starts_at,
        alert.updated_at, alert.severity.level, alert.starts_at, alert.ends_at, dict(alert.labels), dict(shown),
        alert.to_json(),
    )  # fmt: skip
    alerts.put(connection, row, stories=list(shown.get("stories", {})))
