"""`search.html`: the trials of a search on one page in the style of the report, without a script."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from metier.evaluate import charts, pages, phrases
from metier.evaluate.charts import Axis, Bar, Series
from metier.evaluate.figures import duration

SHOWN, DRAWN = 10, 6
"""Trials in the table before the reader asks for the rest, and parameters that are drawn."""


@dataclass(frozen=True)
class Tried:
    """One trial. `state` is `whole`, `cut short` or `failed`; `score` that of the validation split, if any."""

    number: int
    state: str
    score: float | None
    seconds: float
    values: Mapping[str, Any]
    heads: Mapping[str, float]


@dataclass(frozen=True)
class Searched:
    """What a search has found; at least one trial is whole."""

    name: str
    recipe: Path
    """The best recipe."""
    metric: str
    """`headline`, or the head that alone was judged by."""
    folds: int
    tried: Sequence[Tried]
    importance: Mapping[str, float]
    """The share of each parameter in the differences; empty where there are too few trials to say."""
    log: Mapping[str, bool]
    """Whether the values of a parameter are spaced by ratios."""

    @property
    def whole(self) -> list[Tried]:
        """The trials that came to their end, the best one first; of equals the earlier one."""
        done = [one for one in self.tried if one.state == "whole" and one.score is not None]
        return sorted(done, key=lambda one: (-(one.score or 0.0), one.number))

    @property
    def best(self) -> Tried:
        """The trial with the highest score."""
        return self.whole[0]

    def count(self, state: str) -> int:
        """How many trials ended so."""
        return sum(one.state == state for one in self.tried)

    @property
    def parameters(self) -> list[str]:
        """Their keys, the most important one first."""
        return sorted(self.log, key=lambda key: -self.importance.get(key, 0.0))


def render(found: Searched, out: Path, *, lang: str = "en") -> Path:
    """Writes the page; `lang` (`en` or `zh`) is shown first. Returns `out`."""
    return pages.write(page(found, lang=lang), out)


def page(found: Searched, *, lang: str = "en") -> str:
    """The search as one HTML document."""
    return pages.page(
        "search.html.j2",
        lang,
        found=found,
        score=score,
        short=short,
        text=value_text,
        history=history(found),
        importance=importance(found),
        drawn=[(key, scatter(found, key)) for key in found.parameters[:DRAWN]],
        duration=duration,
        top=found.whole[:SHOWN],
        rest=[one for one in found.tried if one not in found.whole[:SHOWN]],
    )


def short(key: str) -> str:
    """`train.epochs` as `epochs`."""
    return key.rpartition(".")[2].replace("_", " ")


def value_text(value: Any) -> str:
    """A value of a parameter as it is read."""
    return f"{value:.3g}" if isinstance(value, float) else "–" if value is None else str(value)


def score(value: float | None) -> str:
    """A score as it is read: four digits, because trials differ by little."""
    return "–" if value is None else f"{value:.4f}"


def history(found: Searched) -> Markup:
    """The score of every trial, and the best one so far as a line of steps."""
    dots, line = [], []
    best: float | None = None
    for one in found.tried:
        if one.score is None:
            continue
        dots.append(Series([(one.number, one.score)], "own" if one.state == "whole" else "other"))
        if one.state == "whole" and (best is None or one.score > best):
            line += [] if best is None else [(float(one.number), best)]
            best = one.score
            line.append((float(one.number), best))
    last = found.tried[-1].number
    if best is not None:
        line.append((float(last), best))
    return charts.lines(
        [Series(line, "own"), *dots], Axis("trial", 0.0, max(1.0, last)), _scores(found), title="trials"
    )


def importance(found: Searched) -> Markup | None:
    """A bar for each parameter; `None` where nothing is known."""
    if not found.importance:
        return None
    rows = [
        Bar(
            phrases.svg(short(key)), found.importance.get(key, 0.0), f"{found.importance.get(key, 0.0):.0%}", look="own"
        )
        for key in found.parameters
    ]
    return charts.bars(rows, title="importance")


def scatter(found: Searched, key: str) -> Markup:
    """The scores over the values of one parameter."""
    points = [one for one in found.tried if one.score is not None and key in one.values]
    values = [one.values[key] for one in points]
    named = any(isinstance(value, str | bool) for value in values)
    place: Callable[[Any], float]
    axis: Axis
    if named:
        names = sorted({str(value) for value in values})
        axis = Named(short(key), -0.5, len(names) - 0.5, names=tuple(names))
        place = lambda value: float(names.index(str(value)))  # noqa: E731
    elif found.log.get(key) and values:
        axis = Powers(short(key), *_room(math.log10(min(values)), math.log10(max(values))))
        place = lambda value: math.log10(value)  # noqa: E731
    else:
        axis = Axis(short(key), *_room(min(values, default=0.0), max(values, default=1.0)))
        place = float
    looks = {"whole": "own", "cut short": "other"}
    series = [Series([(place(one.values[key]), one.score or 0.0)], looks.get(one.state, "other")) for one in points]
    return charts.lines(series, axis, _scores(found), title=short(key))


def _room(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis: no point lies on its edge."""
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _scores(found: Searched) -> Axis:
    values = [one.score for one in found.tried if one.score is not None]
    low, high = min(values), max(values)
    room = max((high - low) * 0.1, 0.005)
    return Axis("score", low - room, high + room)


@dataclass(frozen=True, slots=True)
class Powers(Axis):
    """A scale of ratios: its ends are logarithms to base 10."""

    def ticks(self) -> list[float]:
        """Powers of ten between the ends, with 2 and 5 times these where there are few."""
        first, last = math.floor(self.low), math.ceil(self.high)
        for digits in ((1,), (1, 3), (1, 2, 5)):
            found = [power + math.log10(digit) for power in range(first, last + 1) for digit in digits]
            inside = [value for value in found if self.low - 1e-9 <= value <= self.high + 1e-9]
            if len(inside) >= 3:
                return inside
        return inside

    def text(self, value: float) -> str:
        """The number itself, with a power only where it is tiny or huge."""
        number = 10**value
        return f"{number:,.0f}" if 1e3 <= number < 1e6 else f"{number:.3g}"


@dataclass(frozen=True, slots=True)
class Named(Axis):
    """A scale of names, one at each whole number."""

    names: tuple[str, ...] = ()

    def ticks(self) -> list[float]:
        """A place for each name."""
        return [float(place) for place in range(len(self.names))]

    def text(self, value: float) -> str:
        """The name at a place."""
        return self.names[round(value)]
