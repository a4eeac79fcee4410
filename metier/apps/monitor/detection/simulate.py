"""Streams that were never read: seasonal, overdispersed counts with surges put in, many replicas at once.

What thresholds are found on and what the detectors are measured on. The daily cycle is a cosine, the weekly one a
lower level at the weekend; all else is in `World`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from metier.apps.monitor.detection.baseline import DAY
from metier.apps.monitor.detection.columns import Array

MONDAY = 345_600.0
"""A Monday at midnight, UTC: the fifth of January 1970."""
TONES = (-0.7, 0.2)
"""Mean sentiment of a negative story and of any other."""


@dataclass(frozen=True)
class World:
    """What is simulated; arrays are `(replicas,)`, numbers hold for all.

    Args:
        rate: negative stories a tick, the mean over a week.
        tick: seconds.
        dispersion: variance over mean of negative stories in a tick, at all hours and in surges: stories come in
            clusters.
        growth: rises that variance with the mean: `m (dispersion + growth m)`; a rate that flickers.
        daily: the rate of an hour is `1 + daily cos(...)` times that of the day, largest at 14:00.
        weekend: the rate of Saturday and Sunday, of that of other days.
        others: other stories of the series, and `stream` those of the rest of the stream, per negative one.
        drift: growth of the rate of negative stories a day, as a share.
        copies: how often each story is copied, and `missed`: the share of copies that are counted as new stories.
        volume: standard deviation of the logarithm of a factor that all counts share, over an hour's memory.
    """

    rate: Array | float
    tick: float = 900.0
    dispersion: Array | float = 1.5
    growth: Array | float = 0.0
    daily: Array | float = 0.5
    weekend: Array | float = 0.6
    others: Array | float = 1.0
    stream: Array | float = 3.0
    drift: Array | float = 0.0
    copies: Array | int = 0
    missed: Array | float = 0.0
    volume: Array | float = 0.0


@dataclass(frozen=True)
class Surges:
    """Surges to put in: from tick `begin` `(replicas,)`, every `every` ticks, for `last` ticks, `ratio` as many."""

    begin: Array
    every: int
    last: int
    ratio: Array | float

    def on(self, tick: int) -> Array:
        """Whether a surge is on `(replicas,)` in a tick."""
        since = tick - self.begin
        return (since >= 0) & (since % self.every < self.last)


class Counts(NamedTuple):
    """What came in one tick, arrays `(series,)`: stories, negative ones, the sum of the sentiments of the stories."""

    stories: Array
    negatives: Array
    sentiment: Array


@dataclass
class Simulation:
    """Replicas of a world, tick by tick: an iterator of `(start, counts, totals)`.

    Args:
        world: what is simulated.
        replicas: how many.
        ticks: how long.
        seed: of all that is drawn.
        surges: what is put in.
    """

    world: World
    replicas: int
    ticks: int
    seed: int
    surges: Surges | None = None
    _state: Array = field(init=False)

    def __iter__(self) -> Iterator[tuple[float, Counts, Array]]:
        world, draw = self.world, np.random.default_rng(self.seed)
        self._state = np.zeros(self.replicas)
        for tick in range(self.ticks):
            start = MONDAY + tick * world.tick
            rate = np.broadcast_to(world.rate * season(world, start), (self.replicas,)) * self._volume(draw)
            raised = rate * (1 + world.drift) ** (tick * world.tick / DAY)
            if self.surges is not None:
                raised = np.where(self.surges.on(tick), self.surges.ratio, 1.0) * raised
            negatives = self._copied(counts(draw, raised, world), draw)
            rest = self._copied(counts(draw, rate * world.others, world), draw)
            total = negatives + rest + self._copied(counts(draw, rate * world.stream, world), draw)
            noise = 0.4 * np.sqrt(negatives + rest) * draw.standard_normal(self.replicas)
            seen = Counts(negatives + rest, negatives, TONES[0] * negatives + TONES[1] * rest + noise)
            yield start, seen, total

    def _volume(self, draw: np.random.Generator) -> Array | float:
        """The factor that all counts share: a log-normal autoregression with an hour's memory."""
        if not np.any(self.world.volume):
            return 1.0
        keep = np.exp(-self.world.tick / 3600)
        self._state = keep * self._state + np.sqrt(1 - keep**2) * draw.standard_normal(self.replicas)
        factor: Array = np.exp(self.world.volume * self._state - self.world.volume**2 / 2)
        return factor

    def _copied(self, stories: Array, draw: np.random.Generator) -> Array:
        if not np.any(self.world.missed):
            return stories
        return stories + draw.binomial((stories * self.world.copies).astype(np.int64), self.world.missed)


def season(world: World, start: float) -> Array | float:
    """The factor of a tick, one on average over a week."""
    hour, weekday = (start % DAY) / 3600, int((start - MONDAY) // DAY) % 7
    week = (5 + 2 * world.weekend) / 7
    factor: Array | float = (1 + world.daily * np.cos((hour - 14) * np.pi / 12)) / week
    return factor * world.weekend if weekday >= 5 else factor


def counts(draw: np.random.Generator, mean: Array, world: World) -> Array:
    """Negative binomial counts `(replicas,)`: Poisson of a gamma mean. Variance: `mean (dispersion + growth mean)`."""
    excess = np.maximum(world.dispersion - 1 + world.growth * mean, 1e-6)
    found: Array = draw.poisson(draw.gamma(np.maximum(mean, 1e-12) / excess) * excess).astype(float)
    return found
