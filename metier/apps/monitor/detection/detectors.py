"""Surges of negative stories, in many series at once: baseline, three detectors, one threshold from a budget.

A tick of all series costs a fixed number of NumPy operations. A series is one column of numbers (`Detectors.state`):
nothing else is remembered, and a bank that was read back goes on to the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metier.apps.monitor.detection import bursts, cusum, shift
from metier.apps.monitor.detection.baseline import DAY, Baseline, Calendar, Expected
from metier.apps.monitor.detection.budget import Budget, shipped
from metier.apps.monitor.detection.columns import Array, Columns
from metier.apps.monitor.detection.cusum import Evidence
from metier.apps.monitor.detection.shift import Sentiment
from metier.apps.monitor.detection.signals import Signals
from metier.apps.monitor.detection.simulate import Counts
from metier.apps.monitor.item import SeriesKey, Tick
from metier.errors import DataError, RecipeError

HARDER = (0.0, 0.7, 2.5)
"""Nats by which the thresholds of cusum, burst and shift are higher: most of the budget is the CUSUM's, which finds
most; the tone, as the second signal, has the least."""
DOUBT = 3.0
"""The mean is taken higher by so many times its squared relative error: a baseline that is not known accuses nobody."""
MEMORY = 3600.0
"""Seconds over which the volume of the stream is followed."""
VOLUME_DOUBT = 3.0
"""A rare change of the volume of the stream is believed by what is beyond this many variances of noise."""
PATIENCE = DAY / 2
"""A surge for which nothing has spoken for so many seconds is over."""
CLUSTERS = 2.0
"""Variance over mean that is noise of the stream, at most: what varies more than clusters of stories do is volume."""
CERTAIN = math.log(1e-3)
"""Nothing from the whole stream is a gap of the collection where it is less probable than this."""
PRIOR_DAYS, PRIOR_STORIES = 0.5, 20.0
"""Before anything was seen: one story in so many days; one of so many stories of the stream is a series' negative."""


@dataclass(frozen=True)
class Settings:
    """How surges are looked for.

    Args:
        tick: seconds.
        calendar: which ticks are alike.
        false_alarms: the budget, see `budget.Budget`.
        sharing: series that share one budget.
        warm_up: days of open collection before a series may fire.
        share: whether counts are taken relative to the stream. Without, a stream that doubles is a surge.
        longest: days after which a surge is the new level.
        caution: factor on the thresholds, from a replay of one's own history (`rehearsal.caution`).
    """

    tick: float = 900.0
    calendar: Calendar = field(default_factory=Calendar)
    false_alarms: str = "1 per series per 30 days"
    sharing: int = 1
    warm_up: float = 7.0
    share: bool = True
    longest: float = 7.0
    caution: float = 1.0

    def __post_init__(self) -> None:
        Budget.read(self.false_alarms)
        for name, least in (("tick", 1.0), ("sharing", 1), ("warm_up", 1.0), ("longest", 1.0), ("caution", 1.0)):
            if not getattr(self, name) >= least:
                raise RecipeError(f"{name} is {getattr(self, name)!r}.", expected=f"at least {least:g}")


REST = (
    *("volume_seen", "volume_due"),  # other stories seen and due, lately
    "volume_varies",  # the variance of the logarithm of their ratio, beyond noise
    *("ticks", "pace", "spread"),  # discounted sums: of ticks, of expectations, of their variances
    "threshold",  # nats; zero while the series warms up
    *("firing", "began", "surge_seen", "surge_due"),  # the surge that is on: negative stories seen and due
)
"""What is known of a series beside its baseline and its detectors."""


class Detectors:
    """The detectors of many series that share a clock and a stream.

    Args:
        settings: how surges are looked for.
        series: their names; more may be added at any time.
        streams: one; as many as series where each has a stream of its own (simulations).
        thresholds: `(rate, dispersion, series that share a budget) -> nats`, arrays `(series,)`; by default from the
            table that was simulated.
    """

    def __init__(
        self,
        settings: Settings,
        series: Sequence[Hashable] = (),
        streams: int = 1,
        thresholds: Callable[[Array, Array, Array], Array] | None = None,
    ) -> None:
        self.settings = settings
        self.last = -math.inf
        self._decided = -1
        self._budget = Budget.read(settings.false_alarms)
        self._sharers: dict[Hashable, float] = {}
        self._thresholds = thresholds or shipped().finder(settings.tick, self._budget, settings.sharing)
        tick, calendar = settings.tick, settings.calendar
        self.stream = Baseline(streams, tick, calendar, PRIOR_DAYS)
        prior = PRIOR_STORIES if settings.share else PRIOR_DAYS
        self.baseline = Baseline(0, tick, calendar, prior, smooth=settings.share)
        self.evidence = Evidence(0, (cusum.OFF, bursts.OFF, cusum.OFF), PATIENCE)
        self.sentiment = Sentiment(0, tick)
        self._series = Columns(0, dict.fromkeys(REST, 1))
        self.places: dict[Hashable, int] = {}
        self._keep = math.exp(-tick / MEMORY)
        self._pace = 0.5 ** (tick / DAY / 14)
        for name in series:
            self.add(name)

    # -- series ------------------------------------------------------------------------------------------------------
    @property
    def _parts(self) -> tuple[Columns, ...]:
        return (self.baseline, self.evidence, self.sentiment, self._series)

    @property
    def width(self) -> int:
        """Numbers that are remembered of a series, each of eight bytes."""
        return sum(part.width for part in self._parts)

    def warming(self, name: Hashable) -> float:
        """Days of open collection that a series still needs before it may fire; zero when it is warm."""
        age = float(self.baseline["age"][self.places[name]]) / DAY
        return max(self.settings.warm_up - age, 0.0)

    def column(self, name: Hashable) -> bytes:
        """All that is remembered of one series: `width` float64 numbers, little-endian."""
        place = self.places[name]
        return np.concatenate([part.column(place) for part in self._parts]).astype("<f8").tobytes()

    def restore(self, name: Hashable, column: bytes) -> None:
        """Puts back what `column` gave; the series is added where it is new.

        Raises:
            DataError: it is of another length: of another version.
        """
        numbers = np.frombuffer(column, dtype="<f8")
        if len(numbers) != self.width:
            raise DataError(
                f"The state of the series {name} has {len(numbers)} numbers.",
                expected=f"{self.width}",
                hint="replay the stored ticks: states of another version are not read",
            )
        place, at = self.add(name), 0
        for part in self._parts:
            part.restore(place, numbers[at : at + part.width])
            at += part.width

    def clock(self) -> dict[str, Any]:
        """What all series share, as JSON: the last tick, and the baseline of the stream."""
        return {
            "last": self.last if math.isfinite(self.last) else None,
            "decided": self._decided,
            "sharers": dict(self._sharers),
            "stream": [self.stream.column(at).tolist() for at in range(self.stream.count)],
        }

    def restore_clock(self, clock: Mapping[str, Any]) -> None:
        """Puts back what `clock` gave."""
        self.last = -math.inf if clock["last"] is None else float(clock["last"])
        self._decided = int(clock["decided"])
        self._sharers = dict(clock.get("sharers", {}))
        for at, column in enumerate(clock["stream"]):
            self.stream.restore(at, np.array(column, dtype=float))

    def state(self) -> dict[str, Any]:
        """Everything, as JSON that reads back to the same bits: `clock`, and the numbers of each series."""
        names = ([name.topic, name.company] if isinstance(name, SeriesKey) else name for name in self.places)
        columns = (np.frombuffer(self.column(name), dtype="<f8").tolist() for name in self.places)
        return {**self.clock(), "series": list(map(list, zip(names, columns, strict=True)))}

    @classmethod
    def from_state(cls, settings: Settings, state: Mapping[str, Any], **options: Any) -> Detectors:
        """A bank that goes on where the one went on that gave `state`. Names are text or `SeriesKey`."""
        bank = cls(settings, **options)
        bank.restore_clock(state)
        for name, numbers in state["series"]:
            key = SeriesKey(*name) if isinstance(name, list) else name
            bank.restore(key, np.array(numbers, dtype="<f8").tobytes())
        return bank

    def add(self, name: Hashable, silent: bool = False) -> int:
        """The place of a series, new or known.

        Args:
            name: any key.
            silent: whether it was followed ever since the stream began, and nothing came: it is then expected to stay
                quiet, and is as warm as the stream.
        """
        if name in self.places:
            return self.places[name]
        place = self.places[name] = len(self.places)
        for part in self._parts:
            part.grow()
        if silent:
            exposure = "seen" if self.settings.share else "due"
            self.baseline["age"][place] = self.stream["age"][0]
            for pace in ("fast", "slow"):
                self.baseline[f"{pace}_due"][place] = self.stream[f"{pace}_{exposure}"][0]
            self._decide(slice(place, place + 1), (name,))
        return place

    # -- a tick ------------------------------------------------------------------------------------------------------
    def tick(self, start: float, ticks: Mapping[Any, Tick], total: int, open_: bool = True) -> Signals:
        """One tick of all series: those not named had no story; new ones are added.

        Args:
            start: of the tick.
            ticks: counts by series.
            total: stories of the whole stream.
            open_: whether the collection ran, where that is known.
        """
        for name in ticks:
            self.add(name)
        counts = np.zeros((3, len(self.places)))
        for name, tick in ticks.items():
            counts[:, self.places[name]] = tick.stories, tick.negatives, tick.sentiment
        return self.update(start, Counts(*counts), np.array([float(total)]), np.array([open_]))

    def update(self, start: float, counts: Counts, total: Array, open_: Array | None = None) -> Signals:
        """One tick of all series.

        Args:
            start: of the tick, seconds since 1970; later than all before. Ticks that are left out are a gap.
            counts: arrays `(series,)` in the order of `places`.
            total: stories of the whole stream, `(1,)` or `(streams,)`.
            open_: whether the collection ran, like `total`.

        Raises:
            DataError: the tick is not after the last.
        """
        if not start > self.last:
            raise DataError(f"The tick at {start:.0f} comes after that at {self.last:.0f}.", expected="ticks in order")
        cell = self.settings.calendar.cell(start)
        if int(start // DAY) != self._decided:  # once a day, by the clock of the stream
            self._decided = int(start // DAY)
            self.stream.refresh()
            self._sharers = self._budget.sharers(self.places, self._rate(slice(None)))
            self._decide(slice(None), self.places)
        missed, self.last = start - self.last - self.settings.tick, start
        if missed > 0:  # ticks that nobody told us of
            self._forget(missed)
        flow, live = self._follow_stream(cell, total, open_)
        expected, exposure, live = self._expect(cell, flow, counts, total, live)
        own = self._series["threshold"]
        threshold = np.where(own > 0, own, np.inf) + np.array(HARDER)[:, None]
        said = self._evidence(counts, expected)
        step = self.evidence.step(start, said, np.minimum(threshold, 1e6), live & (own > 0))
        firing = np.asarray(step.on.any(axis=0))
        self._learn(cell, exposure, counts, expected, live & ~firing)
        self._follow_surges(start, counts, expected, live, firing)
        since, variance = self.evidence["since"].copy(), expected.variance
        return Signals(
            start, live, counts.negatives, expected.mean, variance, step.statistic, threshold, step.on, since
        )

    def _forget(self, seconds: float) -> None:
        """What a gap does: the volume of the stream, and after a while what spoke for a surge, are forgotten."""
        keep = math.exp(-seconds / MEMORY)
        for name in ("volume_seen", "volume_due"):
            self._series[name] *= keep
        if seconds >= PATIENCE:
            self.evidence.reset(np.ones(len(self.places), dtype=bool))

    def _follow_stream(self, cell: tuple[int, int], total: Array, open_: Array | None) -> tuple[Expected | None, Array]:
        """What the stream was expected to bring, and whether the tick counts, each `(streams,)`.

        Nothing at all, where it is improbable that nothing comes, is a gap of the collection: of the probabilities of
        the silent ticks on end the product is taken.
        """
        days = self.settings.tick / DAY
        live = np.ones(len(total), dtype=bool) if open_ is None else open_
        if not self.settings.share:
            return None, live
        flow = self.stream.expect(cell, days)
        excess = flow.extra + flow.growth * flow.mean
        nothing = -self.stream.sure(cell, flow, days) / excess * np.log1p(excess)
        self.stream["silence"] = np.where(total > 0, 0.0, self.stream["silence"] + nothing)
        live = live & (self.stream["silence"] >= CERTAIN)
        self.stream.learn(cell, days, total, flow, live)
        return flow, live

    def _expect(
        self, cell: tuple[int, int], flow: Expected | None, counts: Counts, total: Array, live: Array
    ) -> tuple[Expected, Array, Array]:
        """What is expected of each series, its exposure, and whether the tick counts for it, each `(series,)`.

        The exposure is what the stream was expected to bring, times its volume now.
        """
        days = self.settings.tick / DAY
        expected = self.baseline.expect(cell, days if flow is None else flow.mean)
        live = np.broadcast_to(live, expected.mean.shape)
        if flow is None:
            return expected, np.full(expected.mean.shape, days), live
        seen, due = self._series["volume_seen"], self._series["volume_due"]
        seen *= self._keep
        seen += np.maximum(total - counts.negatives, 0.0) * live
        due *= self._keep
        due += np.maximum(flow.mean - expected.mean, 0.0) * live
        noise = (1 + flow.extra + flow.growth * flow.mean) / (1 + self._keep) / (due + 1)
        volume = self._volume(np.log((seen + 1) / (due + 1)), noise, CLUSTERS / (1 + self._keep) / (due + 1), live)
        return expected._replace(mean=expected.mean * volume), flow.mean * volume, live

    def _volume(self, ratio: Array, noise: Array, least: Array, live: Array) -> Array:
        """The volume of the stream over its baseline `(series,)`.

        `ratio`, the logarithm of stories seen over stories due lately, is drawn to zero: by the share of its variance
        that is `noise` (what it varies beyond that is followed, as in empirical Bayes); but no more than the
        positive-part estimator of James & Stein (1961) does with the noise of clusters alone, `least`, for a stream
        that never changed may double.
        """
        square = ratio * ratio
        varies = self._series["volume_varies"]
        varies += (1 - self._pace) * live * (square - noise - varies)
        usual = np.maximum(varies, 0.0)
        rare = 1 - VOLUME_DOUBT * np.minimum(noise, least) / np.maximum(square, 1e-12)
        found: Array = np.exp(ratio * np.maximum(rare, usual / (usual + noise)))
        return found

    def _evidence(self, counts: Counts, expected: Expected) -> Array:
        """Nats `(3, series)` for a surge. The mean is taken higher by what is not known of it."""
        mean, extra, growth = expected.mean, expected.extra, expected.growth
        mean = mean * (1 + DOUBT * np.minimum(expected.error, 0.6) ** 2)
        residual = self.sentiment.residual(counts.stories, counts.sentiment)
        surges = cusum.evidence(counts.negatives, mean, extra, growth, (cusum.RATIO, bursts.RATIO))
        return np.concatenate([surges, shift.evidence(residual, counts.stories)[None]])

    def _learn(self, cell: tuple[int, int], exposure: Array, counts: Counts, expected: Expected, calm: Array) -> None:
        """What is normal is learned while no surge is on."""
        self.baseline.learn(cell, exposure, counts.negatives, expected, calm)
        self.sentiment.learn(counts.stories, counts.sentiment, calm)
        own, kept = self._series, np.where(calm, self._pace, 1.0)
        for name, value in (("ticks", 1.0), ("pace", expected.mean), ("spread", expected.variance)):
            row = own[name]
            row *= kept
            row += value * calm

    def _follow_surges(self, start: float, counts: Counts, expected: Expected, live: Array, firing: Array) -> None:
        """Keeps what surges brought; one without end is the new normal."""
        own = self._series
        if not (firing.any() or own["firing"].any()):
            return
        own["began"] = np.where(firing & (own["firing"] == 0), start, own["began"])
        own["firing"] = firing
        for name, value in (("surge_seen", counts.negatives), ("surge_due", expected.mean)):
            own[name] = np.where(firing, own[name] + value * live, 0.0)
        long = firing & (start - own["began"] >= self.settings.longest * DAY)
        if long.any():
            self._accept(long)

    def _accept(self, where: Array) -> None:
        """Makes what the surge brought the new level."""
        own = self._series
        self.baseline.move_level(where, (own["surge_seen"] + 1) / (own["surge_due"] + 1))
        for name in ("stories", "sum", "ticks", "square"):
            self.sentiment[name] *= np.where(where, 0.05, 1.0)
        self.evidence.reset(where)
        own["firing"] *= ~where

    def _rate(self, places: slice) -> Array:
        """Negative stories a tick that were expected of late."""
        rate: Array = (self._series["pace"][places] + 1e-9) / (self._series["ticks"][places] + 1e-6)
        return rate

    def _decide(self, places: slice, names: Iterable[Hashable]) -> None:
        """Thresholds from rate, dispersion and the series that share a budget, for series that are warm."""
        self.baseline.refresh(places)
        own = self._series
        sharing = np.array([self._sharers.get(self._budget.group(name), 1.0) for name in names])
        spread = (own["spread"][places] + 1e-9) / (own["pace"][places] + 1e-9)
        found = self._thresholds(self._rate(places), spread, sharing) * self.settings.caution
        warm = self.baseline["age"][places] >= self.settings.warm_up * DAY
        own["threshold"][places] = np.where(warm, found, 0.0)
