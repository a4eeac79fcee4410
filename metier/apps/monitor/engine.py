"""The monitor at work: a little from each source, all the way through, into the store in one transaction; again.

What a step needs to know of the past is in memory; the store has it, too, or what it is made of. A process that is
killed goes on behind its last transaction, to the same counts and alerts as one that was not.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from metier.apps.monitor import keeping
from metier.apps.monitor.alarm import Alarm, Raised, Spoken, told
from metier.apps.monitor.alerts.dispatch import Routing, Silence
from metier.apps.monitor.alerts.life import Alert, Rules
from metier.apps.monitor.alerts.matchers import from_json
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.counting import Closed, Counter, Voices
from metier.apps.monitor.detection.detectors import Detectors, Settings
from metier.apps.monitor.dossier import Dossier, tick_of
from metier.apps.monitor.item import Item, Received, SeriesKey, Tick, Understood
from metier.apps.monitor.keeping import Checkpoint, Placed, Step
from metier.apps.monitor.normalise import Quarantined
from metier.apps.monitor.sources import Source
from metier.apps.monitor.stories.assign import Kept, Stories, StorySettings
from metier.apps.monitor.understand import Reading
from metier.errors import StoreError, StoreGone
from metier.store import alerts, documents, positions, ticks
from metier.store.store import Store
from metier.store.ticks import StoredTick
from metier.types import NOTHING

logger = logging.getLogger(__name__)

BATCH = 256
"""Documents of a step, at most."""
CHECKPOINT = 96
"""Closed ticks after which the detectors are written down; those behind the last one are told again after a restart."""
PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds before the store is tried again when it is away, doubled from try to try up to the longest."""
Read = Callable[[Sequence[Item]], list[Reading]]
Check = Callable[[Received], Item | Reading | Quarantined]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stream is watched.

    Args:
        read: documents to what they say.
        version: of the run behind `read`.
        detectors: how surges are looked for; its tick is the tick of everything.
        lateness: seconds by which documents may come out of order.
        grace: seconds by which they may come later than that and still count.
        voices: which answers are bad news.
        stories: what makes a story.
        companies: that are linked and rolled up.
        crossed: whether topic and company together are a series, too.
        rules: by which alerts live.
        routing: who is told of them.
        labels: further labels of a series.
        shown: settings that evidence shows.
        topics, sentiments: the labels that there are, for people who correct.
    """

    read: Read
    version: str
    detectors: Settings
    routing: Routing
    lateness: float = 600.0
    grace: float = 21_600.0
    voices: Voices = field(default_factory=Voices)
    stories: StorySettings = field(default_factory=StorySettings)
    companies: Companies | None = None
    crossed: bool = True
    rules: Rules = field(default_factory=Rules)
    labels: Callable[[SeriesKey], Mapping[str, str]] = lambda series: NOTHING
    shown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    topics: Sequence[str] = ()
    sentiments: Sequence[str] = ()


@dataclass
class Intake:
    """A source and how its documents are checked; where another process understood them, what that found."""

    source: Source
    normalise: Check
    ended: bool = False
    fault: str = ""
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What a step did: documents that came, were new, were set aside; what it raised."""

    received: int = 0
    new: int = 0
    aside: int = 0
    late: int = 0
    raised: Sequence[Raised] = ()


class Monitor:
    """Watches a stream.

    Args:
        plan: how.
        store: an open store; what it knows of this stream is gone on with.
        intakes: the sources; documents of one source keep their order.
        patience: seconds by the clock after which the ticks of a stream that fell silent are closed.
        clock: seconds since 1970, of the wall.
        live: whether people look on while it happens: what they snooze and silence ends by that clock. In a replay
            nothing is snoozed, so that alerts and notices are those of the documents alone; its notices are never sent.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        intakes: Sequence[Intake],
        patience: float = math.inf,
        clock: Callable[[], float] = time.time,
        *,
        live: bool = True,
    ) -> None:
        self.plan, self.store, self.intakes, self.clock = plan, store, list(intakes), clock
        self.patience, self.live = patience, live
        self.stopped, self.name = threading.Event(), secrets.token_hex(8)
        self.counter = Counter(plan.detectors.tick, plan.lateness, plan.grace, plan.voices, plan.crossed)
        self.dossier = Dossier(plan.voices, plan.companies, plan.shown)
        with store.read() as connection:
            self._restore(connection)

    # -- going on ------------------------------------------------------------------------------------------------------
    def _restore(self, connection: Connection) -> None:
        plan = self.plan
        clock = ticks.stage(connection, keeping.CLOCK)
        alarm = ticks.stage(connection, keeping.ALARM)
        self.positions = positions.get(connection)
        self.number = int(clock.state["step"]) if clock else 0
        if clock:
            begin = clock.state["begin"]
            rows = ticks.between(connection, begin, float("inf")) if begin is not None else ()
            self.counter.restore(clock.state, [(SeriesKey(row.topic, row.company), tick_of(row)) for row in rows])
        self.alarm = Alarm(
            self._detectors(connection), plan.rules, plan.routing, plan.labels, (), alarm.state if alarm else None
        )
        self.stories = Stories.rebuild(self._window(connection), plan.stories)

    def _window(self, connection: Connection) -> list[Kept]:
        """The documents that later ones may be copies of, in the order in which they came."""
        latest = documents.latest(connection)
        if latest is None:
            return []
        rows = documents.since(connection, latest - self.plan.stories.window)
        return [Kept(row.id, row.text, row.time, row.story or row.id, row.vector) for row in rows]

    def _detectors(self, connection: Connection) -> Detectors:
        """The detectors from their last checkpoint and the ticks that were closed behind it."""
        detectors, kept = Detectors(self.plan.detectors), ticks.stage(connection, keeping.DETECTORS)
        self.saved, begin = -float("inf"), self.counter.begin
        if kept is not None:
            detectors.restore_clock(kept.state)
            for (topic, company), state in ticks.remembered(connection):
                detectors.restore(SeriesKey(topic, company), state.packed or b"")
            self.saved = kept.at
        for closed in closed_ticks(connection, self.saved, begin):
            told(detectors, closed)
        return detectors

    # -- at work -------------------------------------------------------------------------------------------------------
    def run(self, wait: float = 0.25, hear: Callable[[Done], None] = lambda done: None) -> None:
        """Steps until every source has ended, or `stop` is called. `hear` is told of each step.

        Args:
            wait: seconds to wait for documents where no source has any.
            hear: of what every step did.
        """
        while not self.stopped.is_set() and not all(intake.ended for intake in self.intakes):
            done = [self.step(intake) for intake in self.intakes if not intake.ended]
            for one in done:
                hear(one)
            if not any(one.received for one in done):
                if not any(intake.behind for intake in self.intakes):
                    hear(self.pass_(min(self.clock() - self.patience, self.counter.gap)))
                self.stopped.wait(wait)

    def pass_(self, time: float) -> Done:
        """Closes the ticks that end before a time, where a stream that fell silent does not close them."""
        if not time - self.counter.tick >= self.counter.begin:
            return Done()
        raised = self._close(self.counter.pass_(time + self.counter.lateness))
        if raised:
            self._write(self._step((), (), raised, (), NOTHING))
        return Done(raised=raised)

    def end(self) -> Done:
        """Closes the ticks that have documents: nothing follows, as at the end of an archive."""
        return self.pass_(self.counter.last + self.counter.tick)

    def stop(self) -> None:
        """Ends `run` after the step that is under way."""
        self.stopped.set()

    def step(self, intake: Intake, wait: float = 0.0) -> Done:
        """One batch of one source, all the way into the store."""
        source = intake.source
        batch = source.read(self.positions.get(source.name, ""), BATCH, wait)
        if batch.fault and batch.fault != intake.fault:
            logger.warning("%s: %s", source.name, batch.fault)
        intake.fault, intake.ended, intake.behind = batch.fault, batch.ended, batch.behind
        moved = {source.name: batch.position} if batch.position != self.positions.get(source.name, "") else {}
        return self.take(batch.received, intake.normalise, moved, lambda: source.acknowledge(batch.position))

    def take(
        self,
        received: Sequence[Received],
        normalise: Check,
        moved: Mapping[str, str] = NOTHING,
        written: Callable[[], None] = lambda: None,
    ) -> Done:
        """Documents, all the way into the store; `written` is called when they are there."""
        checked = [normalise(one) for one in received]
        aside = [one for one in checked if isinstance(one, Quarantined)]
        told = {one.understood.item.id: one for one in reversed(checked) if isinstance(one, Reading)}
        items = [
            one.understood.item if isinstance(one, Reading) else one
            for one in checked
            if not isinstance(one, Quarantined)
        ]
        fresh = self._fresh(items)
        heard = self._hear()
        if not (moved or fresh or aside or heard):
            return Done(len(received))
        placed, raised = self._place(self._read(fresh, told))
        step = self._step(placed, aside, raised, heard, moved)
        self._write(step)
        self.positions.update(moved)
        written()
        late = sum(one.tick is None for one in placed)
        return Done(len(received), len(fresh), len(aside), late, raised)

    def _read(self, items: Sequence[Item], told: Mapping[str, Reading]) -> list[Reading]:
        """What the items say: what another process found, else what the run says here."""
        read = iter(self.plan.read([item for item in items if item.id not in told]))
        return [told[item.id] if item.id in told else next(read) for item in items]

    def _fresh(self, items: Sequence[Item]) -> list[Item]:
        """Those that are not in the store yet, each id once."""
        each = {item.id: item for item in reversed(items)}
        with self.store.read() as connection:
            known = documents.known(connection, each)
        return [item for item in reversed(each.values()) if item.id not in known]

    def _place(self, readings: Sequence[Reading]) -> tuple[list[Placed], list[Raised]]:
        """Each document to its story and its tick, in their order; the ticks that they close on the way."""
        items = [reading.understood.item for reading in readings]
        vectors = [reading.understood.vector for reading in readings]
        placed, raised = [], []
        for reading, assigned in zip(readings, self.stories.assign(items, vectors), strict=True):
            understood = reading.understood
            raised += self._close(self.counter.pass_(understood.item.time))
            companies = self._companies(understood)
            placed.append(Placed(reading, assigned, self.counter.count(understood, assigned.new, companies)))
        return placed, raised

    def _close(self, passed: Iterable[Closed]) -> list[Raised]:
        wall = self.clock() if self.live else None
        return [self.alarm.close(closed, wall) for closed in passed]

    def _companies(self, understood: Understood) -> dict[str, list[str]]:
        """The companies that a document counts for; of each, those that it names."""
        companies = self.plan.companies
        return companies.counted(mention.company for mention in understood.mentions) if companies else {}

    def _hear(self) -> Sequence[Alert]:
        """Takes what people wished since: silences, watchlists, and what they said of alerts; the alerts it changed."""
        with self.store.read() as connection:
            self.alarm.dispatcher.silences = tuple(
                Silence(one.id, from_json(one.matchers), one.starts, one.ends, one.by, one.comment)
                for one in alerts.silenced(connection)
            )
            self.alarm.watched = watched(connection)
            stored = [alerts.get(connection, alert.id) for alert in self.alarm.book.alerts.values()]
        said = {
            one.id: Spoken(one.acknowledged_at, one.snoozed_until, one.verdict) for one in stored if one is not None
        }
        return self.alarm.hear(said)

    def _step(
        self,
        placed: Sequence[Placed],
        aside: Sequence[Quarantined],
        raised: Sequence[Raised],
        heard: Sequence[Alert],
        moved: Mapping[str, str],
    ) -> Step:
        self.number += 1
        step = Step(
            self.number, self.clock(), self.plan.version, placed, aside, raised, heard,
            self.counter.changed(), self.counter.state(), self.alarm.state(), moved, live=self.live, by=self.name,
        )  # fmt: skip
        detectors = self.alarm.detectors
        if not raised or detectors.last - self.saved < CHECKPOINT * self.counter.tick:
            return step
        self.saved = detectors.last
        columns = {one: detectors.column(one) for one in detectors.places if isinstance(one, SeriesKey)}
        return replace(step, checkpoint=Checkpoint(detectors.last, detectors.clock(), columns))

    def _write(self, step: Step) -> None:
        """Writes a step, however long the store is away: nothing else is read meanwhile, and the sources keep it."""
        pause = PAUSE
        while True:
            try:
                self.store.run(lambda connection: self._once(connection, step))
                return
            except StoreGone as error:
                if self.stopped.is_set():
                    raise
                logger.warning("%s Trying again in %.0f s.", error, pause)
                self.stopped.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _once(self, connection: Connection, step: Step) -> None:
        """Writes a step, unless that was done by a try whose answer was lost."""
        clock = ticks.stage(connection, keeping.CLOCK)
        if clock is None or int(clock.state["step"]) < step.number:
            keeping.write(connection, step, self.dossier)
        elif clock.state.get("by") != step.by:  # its documents would be taken for written, and be lost
            raise StoreError(
                f"Another process counts in the store {self.store.shown}.",
                expected="one metier monitor run or replay at a time in a store",
                hint="end the other one, or give this one a store of its own",
            )


def watched(connection: Connection) -> frozenset[SeriesKey]:
    """The series on watchlists."""
    return frozenset(
        series
        for one in alerts.watched(connection)
        for series in (*map(SeriesKey, one.topics), *(SeriesKey(company=name) for name in one.companies))
    )


def closed_ticks(connection: Connection, after: float, end: float) -> list[Closed]:
    """The stored ticks that start after `after` and before `end`, in order, as they were closed."""
    found: dict[float, dict[SeriesKey, Tick]] = {}
    totals: dict[float, int] = {}
    for row in ticks.between(connection, after, end):
        if row.start > after:
            _gather(row, found, totals)
    return [Closed(start, found[start], totals[start]) for start in sorted(totals)]


def _gather(row: StoredTick, found: dict[float, dict[SeriesKey, Tick]], totals: dict[float, int]) -> None:
    series = SeriesKey(row.topic, row.company)
    if series == SeriesKey():
        totals[row.start] = row.total
    own = found.setdefault(row.start, {})
    if row.heat:  # one without a document has a row for its signal alone
        own[series] = tick_of(row)
