"""Alarms have a budget: "1 per topic per 30 days" becomes a threshold, by simulation from the fitted baseline.

A cell of the table is a world: ticks a day, negative stories a tick, their dispersion. Many replicas of it are
simulated; in each the baseline is fitted from nothing (so that its error counts), then false episodes are counted, each
replica under another threshold: a parametric bootstrap (Efron & Tibshirani 1993). Far out the rate of false episodes of
a CUSUM falls exponentially with the threshold (Siegmund 1985), so that two numbers say all of a cell: the rate a tick
is `exp(a - b threshold)`. Between cells both are interpolated, in logarithms of what the cells differ by.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metier.apps.monitor.detection.columns import Array
from metier.apps.monitor.item import EVERYTHING, SeriesKey
from metier.errors import RecipeError

TABLE = Path(__file__).parent / "thresholds.json"
UNITS = {"hour": 3600.0, "day": 86_400.0, "week": 604_800.0}
WHOSE = ("series", "topic", "company")
QUIET = 0.003
"""Negative stories a tick: the lowest rate of the table of thresholds."""
HELD = 0.8
"""Of the budget so much is aimed at: what the table does not know must fit into the rest."""


@dataclass(frozen=True)
class Budget:
    """How many false episodes are borne.

    Args:
        number: of false episodes,
        whose: of each `series`; or of each `topic` or `company`, whose series share it (see `group`),
        seconds: in so much time.
    """

    number: float
    whose: str
    seconds: float

    @classmethod
    def read(cls, text: str) -> Budget:
        """Reads `"1 per topic per 30 days"`.

        Raises:
            RecipeError: it says something else.
        """
        form = re.fullmatch(r"\s*(\S+)\s+per\s+(\S+)\s+per\s+(?:(\S+)\s+)?(\S+?)s?\s*", text)
        expected = "for example '1 per topic per 30 days'"
        if form is None:
            raise RecipeError(f"The budget of false alarms is {text!r}.", expected=expected)
        number, whose, span, unit = form.groups()
        found = cls(_positive(number, text), whose.lower(), _positive(span or "1", text) * UNITS.get(unit.lower(), 0.0))
        if found.whose not in WHOSE:
            raise RecipeError(f"The budget {text!r} is per {whose!r}.", expected="per series, per topic or per company")
        if not found.seconds:
            raise RecipeError(f"The budget {text!r} ends with {unit!r}.", expected="hours, days or weeks")
        return found

    def group(self, name: Hashable) -> Hashable | None:
        """What a series shares the budget of, its topic or its company; `None` for one that has a budget of its own:
        all of them where it is per series, and those of no topic (or no company) where it is per topic (or company).

        Of a pair `(copy, series)`, as a rehearsal has them, each copy shares with its like.
        """
        if isinstance(name, tuple):
            own = self.group(name[1])
            return None if own is None else (name[0], own)
        if self.whose == "series" or not isinstance(name, SeriesKey):
            return None
        of = name.topic if self.whose == "topic" else name.company
        return None if of == EVERYTHING else of

    def sharers(self, names: Iterable[Hashable], rates: Array) -> dict[Hashable, float]:
        """How many series share each budget.

        A series counts as one; one that brings fewer than `QUIET` negative stories a tick counts by its part of that,
        for so often fewer are its false episodes. The order of the series changes no bit of the sums.
        """
        each: dict[Hashable, list[float]] = {}
        for name, part in zip(names, np.minimum(rates / QUIET, 1.0).tolist(), strict=True):
            if (group := self.group(name)) is not None:
                each.setdefault(group, []).append(part)
        return {group: max(1.0, math.fsum(parts)) for group, parts in each.items()}

    def ticks(self, tick: float, sharing: int = 1) -> float:
        """Ticks of one series for one false episode, where `sharing` series share the budget."""
        return self.seconds / tick * sharing / self.number

    @property
    def a_month(self) -> float:
        """False episodes in 30 days."""
        return self.number * 30 * UNITS["day"] / self.seconds


def _positive(word: str, text: str) -> float:
    try:
        value = float(word) if re.fullmatch(r"\d+(\.\d+)?", word) else math.nan
    except ValueError:  # pragma: no cover - the pattern lets nothing else through
        value = math.nan
    if not 0 < value < 1e6:
        raise RecipeError(f"{word!r} in the budget {text!r} is not a number above zero.", expected="such as 1 or 0.5")
    return value


@dataclass(frozen=True)
class Finder:
    """Thresholds for one length of tick and one budget.

    Args:
        rates: grid `(rates,)` of negative stories a tick, logarithms.
        dispersions: grid `(dispersions,)` of variance over mean, logarithms.
        nats: `(rates, dispersions)`.
        folds: `(rates, dispersions)`: nats that make false episodes rarer by a factor of e.
    """

    rates: Array
    dispersions: Array
    nats: Array
    folds: Array

    def __call__(self, rate: Array, dispersion: Array, sharing: Array | float = 1.0) -> Array:
        """Thresholds `(series,)` in nats: bilinear, at the border of the grid beyond it.

        Where `sharing` series share one budget each has that part of it: `log(sharing) / b` more.
        """
        row, down = _between(self.rates, np.log(np.maximum(rate, 1e-9)))
        column, across = _between(self.dispersions, np.log(np.maximum(dispersion, 1.0)))

        def at(grid: Array) -> Array:
            upper = grid[row, column] * (1 - across) + grid[row, column + 1] * across
            lower = grid[row + 1, column] * (1 - across) + grid[row + 1, column + 1] * across
            found: Array = upper * (1 - down) + lower * down
            return found

        parted: Array = at(self.nats) + np.log(sharing) * at(self.folds)
        return parted


def _between(grid: Array, values: Array) -> tuple[Array, Array]:
    """The place of the grid point under each value, and how far it is to the next, 0 to 1."""
    place = np.clip(np.searchsorted(grid, values, side="right") - 1, 0, len(grid) - 2)
    return place, np.clip((values - grid[place]) / (grid[place + 1] - grid[place]), 0.0, 1.0)


@dataclass(frozen=True)
class Thresholds:
    """The table.

    Args:
        ticks: grid of ticks a day.
        rates: grid of negative stories a tick.
        dispersions: grid of variance over mean.
        least: `(ticks,)` the lowest thresholds that were tried: none is lower.
        level, slope: `(ticks, rates, dispersions)`: `a` and `b` of each cell.
    """

    ticks: Array
    rates: Array
    dispersions: Array
    least: Array
    level: Array
    slope: Array

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Thresholds:
        """From what `content` wrote."""
        return cls(**{name: np.array(content[name], dtype=float) for name in cls.__dataclass_fields__})

    def content(self) -> dict[str, Any]:
        """As JSON, four digits."""
        return {name: np.round(getattr(self, name), 4).tolist() for name in self.__dataclass_fields__}

    def finder(self, tick: float, budget: Budget, sharing: int = 1) -> Finder:
        """Thresholds that let one false episode through in the budget's time."""
        at = np.log(np.clip(UNITS["day"] / tick, self.ticks[0], self.ticks[-1]))
        place, far = _between(np.log(self.ticks), np.array([at]))
        level, slope, least = (
            grid[place[0]] * (1 - far) + grid[place[0] + 1] * far for grid in (self.level, self.slope, self.least)
        )
        nats = (level + math.log(budget.ticks(tick, sharing) / HELD)) / slope
        return Finder(np.log(self.rates), np.log(self.dispersions), np.maximum(nats, least), 1 / slope)


@cache
def shipped() -> Thresholds:
    """The table in the package; `python -m benchmarks monitor_thresholds` makes it."""
    return Thresholds.of(json.loads(TABLE.read_text(encoding="utf-8")))


def log_line(nats: Array, episodes: Array, ticks: float) -> tuple[float, float]:
    """`(a, b)` of `episodes ~ Poisson(ticks exp(a - b nats))`: what replicas under different thresholds say of a cell.

    Maximum likelihood by Newton's method, with priors: `b` is near one, which theory says of likelihood ratios, give or
    take a fifth; and half an episode more than was seen: where nothing fired the rate is not zero.

    Args:
        nats: `(replicas,)` thresholds.
        episodes: `(replicas,)` false episodes of each.
        ticks: that each was watched for.
    """
    middle = float(nats.mean())
    x = np.stack([np.ones_like(nats), -(nats - middle)])
    beta = np.array([math.log((episodes.sum() + 0.5) / (ticks * len(nats))), 1.0])
    prior = np.array([0.0, 25.0])
    for _ in range(100):
        mean = ticks * np.exp(np.clip(beta @ x, -50, 20))
        gradient = x @ (episodes - mean) + np.array([0.5, 0.0]) - prior * (beta - np.array([0.0, 1.0]))
        step = np.linalg.solve((x * mean) @ x.T + np.diag(prior + 1e-6), gradient)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    slope = float(np.clip(beta[1], 0.3, 2.0))
    return float(beta[0] + slope * middle), slope
