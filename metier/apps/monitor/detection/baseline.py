"""How many stories are expected: level x hour of day x weekday, learned online, for many series at once.

Each factor is a posterior mean under a gamma prior with discounted sums, `(seen + K) / (due + K)`: the power steady
model (Smith 1979; Harvey & Fernandes 1989), one factor after the other as in iterative proportional fitting (Deming &
Stephan 1940). With little history it is near one: the baseline is flat until there is reason for a shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import cached_property
from typing import NamedTuple

import numpy as np

from metier.apps.monitor.detection.columns import Array, Columns
from metier.apps.zones import zone_of
from metier.errors import RecipeError

DAY = 86_400.0
FAST, SLOW, HOURS, DAYS, SPREAD = 5.0, 56.0, 28.0, 56.0, 28.0
"""Half-lives, in days of open collection, of the level, its long-run mean, the hours, weekdays, dispersion."""
LEVEL_PRIOR = 20.0
"""Stories by which the level is drawn to its long-run mean: a busy series follows the last days, a quiet one months."""
SHAPE_PRIOR = 10.0
"""Expected stories by which the factor of an hour or weekday is drawn to one."""
SPREAD_PRIOR = 30.0
"""Ticks by which the dispersion is drawn to `USUAL`."""
USUAL = 1.5
"""Variance over mean where nothing is known."""
OUTLIER = 4.0
"""Standard deviations above the mean at which a count is cut before it is learned from (winsorised)."""
LEAST = 0.01
"""Variance over mean is at least one and this: a Poisson series is the limit."""

LAYOUT = {
    **dict.fromkeys(("age", "fast_seen", "fast_due", "slow_seen", "slow_due"), 1),
    **dict.fromkeys(("hour_seen", "hour_due"), 48),
    **dict.fromkeys(("day_seen", "day_due"), 8),
    **dict.fromkeys(("w", "wm", "wmm", "wu", "wum", "extra", "growth"), 1),
    "silence": 1,
}


@dataclass(frozen=True)
class Calendar:
    """Which ticks are alike.

    Args:
        zone: name of the time zone in which hours and weekdays are counted.
        trading: the weekdays (0 is Monday) on which there is trading; all others, and holidays, have hours of their
            own. `None`: every day is a day like any other, apart from its weekday.
        holidays: days without trading; they count as an eighth weekday.
    """

    zone: str = "UTC"
    trading: frozenset[int] | None = None
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        _ = self._zone
        wrong = sorted(set(self.trading or ()) - set(range(7)))
        if wrong:
            raise RecipeError(f"Weekday {wrong[0]} does not exist.", expected="0 (Monday) to 6 (Sunday)")

    @cached_property
    def _zone(self) -> tzinfo:
        return zone_of(self.zone)

    def cell(self, start: float) -> tuple[int, int]:
        """The hour (0 to 23, on days without trading 24 to 47) and the weekday (7 a holiday) of a tick."""
        moment = datetime.fromtimestamp(start, self._zone)
        holiday = moment.date() in self.holidays
        closed = self.trading is not None and (holiday or moment.weekday() not in self.trading)
        return moment.hour + 24 * closed, 7 if holiday else moment.weekday()


class Expected(NamedTuple):
    """What a baseline expects of a tick, arrays `(series,)`.

    Args:
        mean: stories.
        error: relative standard error of `mean`, from the history behind it.
        level: stories a unit of exposure, without hour and weekday.
        hour: factor of the hour.
        day: factor of the weekday.
        extra, growth: the variance of a count of mean `m` is `m * (1 + extra + growth * m)`.
    """

    mean: Array
    error: Array
    level: Array
    hour: Array
    day: Array
    extra: Array
    growth: Array

    @property
    def variance(self) -> Array:
        """Of the count."""
        found: Array = self.mean * (1 + self.extra + self.growth * self.mean)
        return found


class Baseline(Columns):
    """Baselines of many series.

    Args:
        count: of series.
        tick: seconds.
        calendar: which ticks are alike.
        prior: exposure in which one story is supposed before anything was seen.
        smooth: whether an hour learns from its neighbours, too: for series whose sharp edges are in the exposure.
    """

    def __init__(self, count: int, tick: float, calendar: Calendar, prior: float, smooth: bool = False) -> None:
        super().__init__(count, LAYOUT)
        self.tick, self.calendar, self.prior, self.smooth = tick, calendar, prior, smooth
        self.refresh()
        self.settled = max(DAY, 5 * tick)
        days = tick / DAY
        self._fast, self._slow, self._spread = (0.5 ** (days / half) for half in (FAST, SLOW, SPREAD))
        # an hour is visited once a day by as many ticks as it has, a weekday once a week
        self._hours = 0.5 ** (1 / (HOURS * max(1.0, 3600 / tick)))
        self._days = 0.5 ** (7 / (DAYS * max(1.0, DAY / tick)))

    def grow(self, by: int = 1) -> None:
        super().grow(by)
        self.refresh(slice(self.count - by, self.count))

    def expect(self, cell: tuple[int, int], exposure: Array | float) -> Expected:
        """What is expected in a tick.

        Args:
            cell: hour and weekday, from `Calendar.cell`.
            exposure: `(series,)` what counts are proportional to: days, or stories of the whole stream.
        """
        hour, day = cell
        slow = (self["slow_seen"] + 1) / (self["slow_due"] + self.prior)
        behind = self["fast_seen"] + LEVEL_PRIOR
        level = behind / (self["fast_due"] + LEVEL_PRIOR / slow)
        hour_due, day_due = self._hour("hour_due", hour) + SHAPE_PRIOR, self["day_due"][day] + SHAPE_PRIOR
        by_hour = (self._hour("hour_seen", hour) + SHAPE_PRIOR) / hour_due
        by_day = (self["day_seen"][day] + SHAPE_PRIOR) / day_due
        extra, growth = self["extra"], self["growth"]
        mean = level * by_hour * by_day * exposure
        behind = 1 / (self["slow_seen"] + self["fast_seen"] + 1) + 1 / hour_due + 1 / day_due
        return Expected(mean, np.sqrt((1 + extra) * behind), level, by_hour, by_day, extra, growth)

    def learn(
        self, cell: tuple[int, int], exposure: Array | float, count: Array, expected: Expected, live: Array
    ) -> None:
        """Takes in the counts `(series,)` of a tick where `live` is true; elsewhere nothing changes.

        A count is cut at four standard deviations above what was expected, so that a burst that nobody noticed does
        not become the rule.
        """
        hour, day = cell
        settled = self["age"] >= self.settled
        cut = np.where(settled, expected.mean + OUTLIER * np.sqrt(expected.variance) + 2, np.inf)
        count = np.minimum(count, cut)
        shape = expected.hour * expected.day * exposure
        base = expected.level * exposure
        self["age"] += self.tick * live
        shaped = live & settled  # before, the level is too wrong for a shape
        for seen, due, keep, share, where in (
            (self["fast_seen"], self["fast_due"], self._fast, shape, live),
            (self["slow_seen"], self["slow_due"], self._slow, shape, live),
            (self["hour_seen"][hour], self["hour_due"][hour], self._hours, base * expected.day, shaped),
            (self["day_seen"][day], self["day_due"][day], self._days, base * expected.hour, shaped),
        ):
            kept = np.where(where, keep, 1.0)
            seen *= kept
            seen += count * where
            due *= kept
            due += share * where
        self._learn_spread(count, expected, live & (self["age"] >= 3 * self.settled))

    def move_level(self, where: Array, factor: Array) -> None:
        """A new level: what was seen so far counts as `factor` times as much, and less than before."""
        for name in ("fast", "slow"):
            keep = np.where(where, 0.2, 1.0)
            self[f"{name}_due"] *= keep
            self[f"{name}_seen"] *= keep * np.where(where, factor, 1.0)

    def sure(self, cell: tuple[int, int], expected: Expected, exposure: Array | float) -> Array:
        """Stories `(series,)` that are certain to come: of an hour or weekday never seen busy, none."""
        hour, day = cell
        by_hour = self["hour_seen"][hour] / (self["hour_due"][hour] + SHAPE_PRIOR)
        by_day = self["day_seen"][day] / (self["day_due"][day] + SHAPE_PRIOR)
        certain = expected.level * np.minimum(by_hour, 1.5) * np.minimum(by_day, 1.5) * exposure
        return np.where(self["age"] >= self.settled, np.minimum(certain, expected.mean), 0.0)

    def _learn_spread(self, count: Array, expected: Expected, live: Array) -> None:
        """Sums of the regression of squared residuals over their mean on (1, mean)."""
        mean = expected.mean
        weight = mean / (1 + mean)
        ratio = (count - mean) ** 2 / np.maximum(mean, 1e-12)
        kept = np.where(live, self._spread, 1.0)
        weight = weight * live
        for name, value in (("w", 1.0), ("wm", mean), ("wmm", mean**2), ("wu", ratio), ("wum", ratio * mean)):
            row = self[name]
            row *= kept
            row += weight * value

    def _hour(self, name: str, hour: int) -> Array:
        """A sum of an hour, and half of each neighbour's where that is asked for."""
        rows = self[name]
        if not self.smooth:
            alone: Array = rows[hour]
            return alone
        half, place = hour - hour % 24, hour % 24
        both: Array = rows[hour] + 0.5 * (rows[half + (place - 1) % 24] + rows[half + (place + 1) % 24])
        return both

    def refresh(self, places: slice = slice(None)) -> None:
        """Fits `extra` and `growth`: variance / mean - 1 at a mean of zero, and its slope. Once a day is enough.

        Weighted least squares with a ridge towards `USUAL` and no slope; where either would be negative it is zero and
        the other is fitted alone.
        """
        w, wm, wmm, wu, wum = (self[name][places] for name in ("w", "wm", "wmm", "wu", "wum"))
        scale = np.maximum(wm / np.maximum(w, 1e-12), 1e-6)  # the mean of the means: what a slope is measured against
        a, b, c = w + SPREAD_PRIOR, wm, wmm + SPREAD_PRIOR * scale**2
        p, q = wu - w + SPREAD_PRIOR * (USUAL - 1), wum - wm
        determinant = a * c - b * b
        extra, growth = (c * p - b * q) / determinant, (a * q - b * p) / determinant
        flat, steep = np.maximum(p / a, LEAST), np.maximum(q / c, 0.0)
        growth = np.where(growth < 0, 0.0, np.where(extra < LEAST, steep, growth))
        self["extra"][places] = np.where(growth == 0, flat, np.maximum(extra, LEAST))
        self["growth"][places] = growth


def quantiles(mean: Array, variance: Array, share: float) -> Array:
    """The least counts `(n,)` that negative binomials of given mean and variance stay at or under with `share`.

    Exact, by adding up probabilities; above a mean of 1,000 by the cube root of a gamma (Wilson & Hilferty 1931).
    """
    mean, variance = np.atleast_1d(np.asarray(mean, float)), np.atleast_1d(np.asarray(variance, float))
    mean = np.maximum(mean, 1e-12)
    over = np.maximum(variance / mean, 1 + LEAST)
    found = _rounded_gamma(mean, over / mean, share)
    small = np.flatnonzero(mean <= 1000)
    size, odds = mean[small] / (over[small] - 1), 1 - 1 / over[small]
    probability = np.exp(-size * np.log(over[small]))
    total, count, answer = probability.copy(), 0, np.zeros(len(small))
    while (open_ := total < share).any() and count < 20_000:
        probability = probability * (count + size) / (count + 1) * odds
        count += 1
        answer = np.where(open_, count, answer)
        total = total + probability
    found[small] = answer
    return found


def _rounded_gamma(mean: Array, relative: Array, share: float) -> Array:
    from statistics import NormalDist

    z = NormalDist().inv_cdf(share)
    found: Array = np.maximum(np.ceil(mean * (1 - relative / 9 + z * np.sqrt(relative) / 3) ** 3), 0.0)
    return found
