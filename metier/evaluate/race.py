"""What a race showed: its table, its two pictures, and what more labels would buy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from metier.evaluate import charts, figures, phrases
from metier.evaluate.charts import Axis, Band, Mark, Series
from metier.evaluate.search_page import Powers

WON, BASELINE, UNDER, BEATEN = "won", "baseline", "under the margin", "beaten on a part of the texts"
NO_TIME, IMPOSSIBLE = "no time", "not possible"
"""What became of a rung. These are phrases of the report."""

POINTS, EXPECTED = "{gain} points", "{gain} points expected"
ROOM = "only {room} points are left to gain"
NEEDS = "about {needed} s needed, {left} s left"
LATE = "its fit took longer than what was left"
COLUMNS = ("rung", "texts", "score", "interval", "seconds", "texts/s", "size", "fate")


class Ratios(Powers):
    """A scale of ratios whose numbers are written out."""

    def text(self, value: float) -> str:
        """The number itself."""
        number = 10**value
        return f"{number:.3g}" if number < 1 else f"{number:,.0f}"


def reason(line: Mapping[str, Any]) -> str:
    """Why a rung had its fate, in English; empty where there is no more to say."""
    said = line.get("reason") or {}
    values = {key: value for key, value in said.items() if key != "says"}
    return str(said["says"]).format(**values) if values else str(said.get("says", ""))


def table(race: Mapping[str, Any]) -> list[list[str]]:
    """The table of a race for a terminal: a row of column names, then one row a rung."""
    return [list(COLUMNS), *([*_cells(race, line), _fate(line)] for line in race["rungs"])]


def outlook(race: Mapping[str, Any]) -> list[str]:
    """What more labels would buy, a line each."""
    return [
        f"{one['times']:g} x the labels ({one['rows']:,.0f} texts): about {_score(race, one['score'])} "
        f"({_score(race, one['low'])} - {_score(race, one['high'])})"
        for one in race["more_labels"]
    ]


def section(race: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of a race."""
    return {
        "rows": [
            {
                "cells": _cells(race, line),
                "fate": phrases.html(line["fate"]),
                "won": line["fate"] == WON,
                "why": phrases.note(line["reason"]) if (line.get("reason") or {}).get("says") else "",
            }
            for line in race["rungs"]
        ],
        "costs": costs(race),
        "curves": curves(race),
        "names": _drawn(race),
        "outlook": [
            {
                "times": f"{one['times']:g}",
                "texts": f"{one['rows']:,.0f}",
                "score": _score(race, one["score"]),
                "low": _score(race, one["low"]),
                "high": _score(race, one["high"]),
            }
            for one in race["more_labels"]
        ],
        "winner": race["winner"],
        "budget": figures.duration(race["budget"]),
        "margin": f"{race['margin']:g}",
    }


def costs(race: Mapping[str, Any]) -> Markup | None:
    """Score against seconds to fit, on a scale of ratios; `None` where nothing was measured."""
    lines = [line for line in race["rungs"] if line.get("score") is not None]
    if not lines:
        return None
    marks = [
        Mark(
            math.log10(max(line["seconds"], 0.01)),
            line["score"],
            escape(line["name"]),
            line["interval"][0],
            line["interval"][1],
            _look(line),
        )
        for line in lines
    ]
    across = [mark.x for mark in marks]
    axis = Ratios("seconds to fit", min(across) - 0.3, max(across) + 0.5)
    return charts.marks(
        marks, axis, _scores(race["metric"], [line["score"] for line in lines], lines), title="Score and cost"
    )


def curves(race: Mapping[str, Any]) -> Markup | None:
    """The learning curves on a scale of ratios, and where the winner's goes; `None` where nothing was fitted twice."""
    drawn = {name: race["curves"][name] for name in _drawn(race)}
    if not drawn:
        return None
    series = [
        Series([(math.log10(point["rows"]), point["score"]) for point in points], f"head{at % 6}", dots=True)
        for at, points in enumerate(drawn.values())
    ]
    ahead = [(math.log10(one["rows"]), one["score"], one["low"], one["high"]) for one in race["outlook"]]
    series.append(Series([(x, score) for x, score, _, _ in ahead], "forecast"))
    values = [value for one in series for _, value in one.points] + [value for one in ahead for value in one[2:]]
    across = [value for one in series for value, _ in one.points]
    axis = Ratios("training texts", min(across) - 0.05, max(across) + 0.05)
    bands = [Band([(x, low, high) for x, _, low, high in ahead])] if ahead else []
    return charts.lines(series, axis, _scores(race["metric"], values), title="Learning curves", bands=bands)


def _drawn(race: Mapping[str, Any]) -> list[str]:
    """The rungs with a curve to draw, the winner first."""
    found = [name for name, points in race["curves"].items() if len(points) > 1]
    return sorted(found, key=lambda name: name != race["winner"])


def _look(line: Mapping[str, Any]) -> str:
    if line["fate"] == BASELINE:
        return "other"
    return "own" if line["share"] == 1.0 else "part"


def _scores(metric: str, values: Sequence[float], lines: Sequence[Mapping[str, Any]] = ()) -> Axis:
    ends = [*values, *(end for line in lines for end in line["interval"] if end is not None)]
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 0.02
    share = figures.figure(metric, 1.0).endswith("%")
    return Axis("value", low - room, min(1.0, high + room) if high <= 1 else high + room, percent=share)


def _cells(race: Mapping[str, Any], line: Mapping[str, Any]) -> list[str]:
    """Everything of a rung but its fate; a dash for what was not measured."""
    if line.get("score") is None:
        return [line["name"], *["–"] * 6]
    low, high = line["interval"]
    rows = f"{line['rows']:,}" if line["share"] < 1 or not line["short"] else f"{line['rows']:,} (cut short)"
    return [
        line["name"],
        rows,
        _score(race, line["score"]),
        f"{_score(race, low)} – {_score(race, high)}",
        f"{line['seconds']:.1f}" if line["seconds"] < 100 else f"{line['seconds']:.0f}",
        f"{line['rate']:,.0f}" if line.get("rate") else "–",
        figures.memory(line["size"]) if line.get("size") else "–",
    ]


def _fate(line: Mapping[str, Any]) -> str:
    why = reason(line)
    return f"{line['fate']} ({why})" if why else str(line["fate"])


def _score(race: Mapping[str, Any], value: float | None) -> str:
    return figures.figure(race["metric"], value)
