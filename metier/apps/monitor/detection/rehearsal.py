"""The detectors on one's own history: episodes, surges put in and found, and the caution that a budget asks for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from metier.apps.monitor.detection.baseline import DAY
from metier.apps.monitor.detection.budget import Budget, shipped
from metier.apps.monitor.detection.columns import Array
from metier.apps.monitor.detection.detectors import Detectors, Settings
from metier.apps.monitor.detection.signals import NAMES, Signals
from metier.apps.monitor.detection.simulate import TONES, Counts
from metier.apps.monitor.item import Tick
from metier.errors import DataError

FACTORS = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
"""Factors on the thresholds that a replay tries."""
APART = 10.0
"""Days between surges that are put into one copy of a series: the detectors must not live on surges."""


@dataclass(frozen=True)
class History:
    """Ticks of many series on one clock: `starts` `(ticks,)`, `counts` `(ticks, 3, series)`, totals and `open_`."""

    series: Sequence[Hashable]
    starts: Array
    counts: Array
    totals: Array
    open_: Array

    @classmethod
    def of(cls, ticks: Mapping[Hashable, Iterable[Tick]]) -> History:
        """From ticks by series; where a series has no tick and another has, it had no story."""
        found = {name: {tick.start: tick for tick in each} for name, each in ticks.items()}
        starts = sorted({start for each in found.values() for start in each})
        if not starts:
            raise DataError("There is no history to rehearse on.", expected="ticks of at least one series")
        counts = np.zeros((len(starts), 3, len(found)))
        totals, open_ = np.zeros(len(starts)), np.ones(len(starts), dtype=bool)
        places = {start: at for at, start in enumerate(starts)}
        for column, each in enumerate(found.values()):
            for start, tick in each.items():
                at = places[start]
                counts[at, :, column] = tick.stories, tick.negatives, tick.sentiment
                totals[at] = max(totals[at], tick.total, tick.negatives)
                open_[at] &= tick.open
        return cls(list(found), np.array(starts, dtype=float), counts, totals, open_)

    def __iter__(self) -> Iterator[tuple[float, Counts, Array, Array]]:
        for start, counts, total, open_ in zip(self.starts, self.counts, self.totals, self.open_, strict=True):
            yield float(start), Counts(*counts), np.array([total]), np.array([open_])


@dataclass(frozen=True)
class Episode:
    """One alarm from its begin to its end: of which series, when, and which detectors spoke first."""

    series: Hashable
    start: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class Caught:
    """How surges of one size were found. Delays are minutes from the begin of the surge to the end of the tick
    in which an alarm fires, infinite where most were not caught."""

    ratio: float
    surges: int
    caught: float
    in_time: float
    median_delay: float


@dataclass(frozen=True)
class Rehearsal:
    """What `evaluate` found.

    Args:
        series_months: of 30 days, warm and open, that were watched.
        episodes: all that fired on the history as it was. Which of them are false, people must say.
        a_month: episodes per series-month; `budget`: what was asked for.
        caught: of surges put in.
    """

    series_months: float
    episodes: Sequence[Episode]
    a_month: float
    budget: float
    caught: Sequence[Caught]


def evaluate(
    settings: Settings,
    history: History,
    ratios: Sequence[float] = (3.0, 6.0),
    hours: float = 12.0,
    copies: int = 10,
    seed: int = 0,
) -> Rehearsal:
    """Episodes on a history as it was, and how surges put into it are found.

    Args:
        settings: how surges are looked for.
        history: the ticks.
        ratios: surges bring so many times the stories that were expected.
        hours: that they last; found within the first half of it is `in_time`.
        copies: of each series, with surges at other times.
        seed: of times and stories.
    """
    expected, extra, episodes, months = _as_it_was(settings, history)
    caught = [
        _inject(settings, history, (expected, extra), _Plan(ratio, hours, copies, seed + at))
        for at, ratio in enumerate(ratios)
    ]
    borne = _borne(settings, history)
    return Rehearsal(months, episodes, len(episodes) / months if months else 0.0, borne, caught)


def caution(settings: Settings, history: History) -> tuple[float, dict[float, float]]:
    """The factor on the thresholds with which a history keeps the budget, and episodes per series-month by factor.

    All series and factors are run side by side. What really was a surge counts as false here: give a history without
    known crises, or bear that the thresholds are higher. Where no factor keeps the budget it is the largest.
    """
    count = len(history.series)
    finder = shipped().finder(settings.tick, Budget.read(settings.false_alarms), settings.sharing)
    factors = np.repeat(FACTORS, count)
    bank = Detectors(
        replace(settings, caution=1.0),
        [(copy, series) for copy in range(len(FACTORS)) for series in history.series],
        thresholds=lambda rate, spread, sharing: (
            finder(rate, spread, sharing) * (factors if len(rate) == len(factors) else 1.0)
        ),
    )
    episodes, warm, before = np.zeros(len(factors)), 0.0, np.zeros(len(factors), dtype=bool)
    for start, counts, total, open_ in history:
        signals = bank.update(start, Counts(*(np.tile(each, len(FACTORS)) for each in counts)), total, open_)
        episodes += signals.firing & ~before
        before = signals.firing
        warm += _watched(signals)[:count].sum()
    months = warm * settings.tick / DAY / 30
    rates = {
        factor: float(each.sum() / months) if months else 0.0
        for factor, each in zip(FACTORS, episodes.reshape(len(FACTORS), count), strict=True)
    }
    borne = _borne(settings, history)
    return next((factor for factor, rate in rates.items() if rate <= borne), FACTORS[-1]), rates


def _borne(settings: Settings, history: History) -> float:
    """False episodes per series-month that the budget bears, where some series share one."""
    budget = Budget.read(settings.false_alarms)
    groups = [budget.group(series) for series in history.series]
    budgets = len(set(groups) - {None}) + groups.count(None)
    return budget.a_month * budgets / len(groups) / settings.sharing


def _watched(signals: Signals) -> Array:
    watched: Array = signals.live & np.isfinite(signals.threshold[0])
    return watched


def _as_it_was(settings: Settings, history: History) -> tuple[Array, Array, list[Episode], float]:
    """What was expected `(ticks, series)` (nothing while a series warms up), the dispersion, episodes, months."""
    bank = Detectors(settings, history.series)
    count = len(history.series)
    expected, extra = np.zeros((len(history.starts), count)), np.ones((len(history.starts), count))
    episodes, before, watched = [], np.zeros(count, dtype=bool), 0.0
    for at, (start, counts, total, open_) in enumerate(history):
        signals = bank.update(start, counts, total, open_)
        warm = _watched(signals)
        watched += warm.sum()
        expected[at] = np.where(warm, signals.expected, 0.0)
        extra[at] = signals.variance / np.maximum(signals.expected, 1e-12) - 1
        for place in np.flatnonzero(signals.firing & ~before).tolist():
            names = tuple(name for name, on in zip(NAMES, signals.on[:, place], strict=True) if on)
            episodes.append(Episode(history.series[place], start, names))
        before = signals.firing
    return expected, extra, episodes, float(watched) * settings.tick / DAY / 30


@dataclass(frozen=True)
class _Plan:
    ratio: float
    hours: float
    copies: int
    seed: int


def _inject(settings: Settings, history: History, outlook: tuple[Array, Array], plan: _Plan) -> Caught:
    """One bank of copies of all series, each with surges at times of its own."""
    expected, extra = (np.tile(each, plan.copies) for each in outlook)
    draw = np.random.default_rng(plan.seed)
    columns = expected.shape[1]
    last = max(1, round(plan.hours * 3600 / settings.tick))
    every = max(2 * last, round(APART * DAY / settings.tick))
    begin = draw.integers(0, every, columns)
    names = [(copy, series) for copy in range(plan.copies) for series in history.series]
    bank = Detectors(settings, names, streams=columns)
    watch = _Watch(np.full(columns, -1), np.zeros(columns, dtype=bool), [])
    for at, (start, counts, total, open_) in enumerate(history):
        since = (at - begin) % every
        on = (at >= begin) & (since < last) & (expected[at] > 0)
        mean = np.where(on, (plan.ratio - 1) * expected[at], 0.0)
        excess = np.maximum(extra[at], 1e-6)
        more = draw.poisson(draw.gamma(np.maximum(mean, 1e-12) / excess) * excess) * on
        stories, negatives, sentiment = (np.tile(each, plan.copies) for each in counts)
        raised = Counts(stories + more, negatives + more, sentiment + TONES[0] * more)
        signals = bank.update(start, raised, total + more, np.tile(open_, columns))
        watch.see(signals.firing, np.where(on, since, -1), last)
    return watch.caught(plan.ratio, settings.tick / 60, last)


@dataclass
class _Watch:
    """Which surges were found: `open_` is the tick of the surge that is looked for, or -1."""

    open_: Array
    before: Array
    delays: list[float]

    def see(self, firing: Array, since: Array, last: int) -> None:
        """One tick. A surge that begins while an alarm is on is left out."""
        self.open_ = np.where(since == 0, np.where(self.before, -1, 0), np.where(since > 0, self.open_, -1))
        hit = (self.open_ >= 0) & firing
        self.delays += (since[hit] + 1.0).tolist()
        missed = (self.open_ >= 0) & ~firing & (since == last - 1)
        self.delays += [np.inf] * int(missed.sum())
        self.open_ = np.where(hit | missed, -1, self.open_)
        self.before = firing

    def caught(self, ratio: float, minutes: float, last: int) -> Caught:
        """What the delays say; without surges nothing was caught."""
        delays = np.array(self.delays)
        if not len(delays):
            return Caught(ratio, 0, 0.0, 0.0, float("inf"))
        in_time = float((delays <= max(last / 2, 1)).mean())
        return Caught(ratio, len(delays), float(np.isfinite(delays).mean()), in_time, float(median(delays)) * minutes)
