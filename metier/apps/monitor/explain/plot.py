"""The picture of an alert as inline SVG: counts with the band of what was expected, and the statistics beneath.

Drawn at the width of a phone, like the charts of the report, and coloured by the page's style sheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from markupsafe import Markup, escape

from metier.evaluate.charts import Axis

WIDTH, LEFT, RIGHT = 360, 34, 8
TOP, COUNTS, GAP, RATIOS, BOTTOM = 8, 130, 18, 62, 20
"""Heights: above, of the counts, between, of the statistics, of the times below."""
TICKS = 240
"""Ticks that are drawn at most, the latest ones."""
DETECTORS = 3
DAY = 86_400.0


def picture(counts: Sequence[Mapping[str, Any]], zone: tzinfo, title: str) -> Markup:
    """The counts of the evidence; empty where there are none.

    Args:
        counts: of `why.evidence`, in the order of time.
        zone: whose times are shown.
        title: what the picture shows, for those who do not see it.
    """
    rows = list(counts)[-TICKS:]
    if not rows:
        return Markup("")
    most = max(max(float(row["negatives"]), float(row.get("high", 0.0))) for row in rows)
    y = Axis("", 0.0, max(most * 1.05, 1.0))
    parts = [
        _grid(y),
        _gaps(rows),
        _band(rows, y),
        _bars(rows, y),
        _expected(rows, y),
        _ratios(rows),
        _times(rows, zone),
    ]
    height = TOP + COUNTS + GAP + RATIOS + BOTTOM
    head = f'<svg class="chart brief" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")  # numbers, our own words and what was escaped above


def detectors(counts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the detectors whose statistics are drawn, those that came furthest first."""
    highest: dict[str, float] = {}
    for row in counts:
        for name, ratio in _shares(row).items():
            highest[name] = max(highest.get(name, 0.0), ratio)
    return sorted(highest, key=lambda name: (-highest[name], name))[:DETECTORS]


def _shares(row: Mapping[str, Any]) -> dict[str, float]:
    """Of each detector, how many times its threshold its statistic was."""
    bounds = row.get("threshold", {})
    return {name: value / bounds[name] for name, value in row.get("statistic", {}).items() if bounds.get(name, 0.0) > 0}


def _x(at: float, of: int) -> float:
    """The left edge of a tick, or of the one after the last."""
    return LEFT + at / of * (WIDTH - LEFT - RIGHT)


def _y(y: Axis, value: float) -> float:
    return TOP + COUNTS * (1 - value / y.high)


def _grid(y: Axis) -> str:
    parts = []
    for value in y.ticks():
        spot = _y(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{spot:.1f}" x2="{WIDTH - RIGHT}" y2="{spot:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 5}" y="{spot + 4:.1f}">{y.text(value)}</text>')
    return "".join(parts)


def _gaps(rows: Sequence[Mapping[str, Any]]) -> str:
    """Ticks in which nothing was collected."""
    wide = _x(1, len(rows)) - LEFT
    return "".join(
        f'<rect class="gap" x="{_x(at, len(rows)):.1f}" y="{TOP}" width="{wide:.1f}" height="{COUNTS}"/>'
        for at, row in enumerate(rows)
        if not row["open"]
    )


def _runs(rows: Sequence[Mapping[str, Any]], key: str) -> list[list[int]]:
    """The stretches of ticks that know a key: what lies between two of them is not drawn."""
    found: list[list[int]] = []
    for at, row in enumerate(rows):
        if key not in row:
            continue
        if found and found[-1][-1] == at - 1:
            found[-1].append(at)
        else:
            found.append([at])
    return found


def _band(rows: Sequence[Mapping[str, Any]], y: Axis) -> str:
    parts = []
    for run in _runs(rows, "high"):
        above = [(edge, rows[at]["high"]) for at in run for edge in (at, at + 1)]
        below = [(edge, rows[at]["low"]) for at in run for edge in (at, at + 1)]
        path = " ".join(f"{_x(a, len(rows)):.1f},{_y(y, b):.1f}" for a, b in [*above, *reversed(below)])
        parts.append(f'<polygon class="band" points="{path}"/>')
    return "".join(parts)


def _bars(rows: Sequence[Mapping[str, Any]], y: Axis) -> str:
    wide = (_x(1, len(rows)) - LEFT) * 0.8
    parts = []
    for at, row in enumerate(rows):
        top = _y(y, row["negatives"])
        look = "surge" if row.get("firing") else "own"
        place = f'x="{_x(at + 0.1, len(rows)):.1f}" y="{top:.1f}" width="{wide:.1f}" height="{TOP + COUNTS - top:.1f}"'
        parts.append(f'<rect class="bar {look}" {place}/>')
    axis = TOP + COUNTS
    return "".join(parts) + f'<line class="axis" x1="{LEFT}" y1="{axis}" x2="{WIDTH - RIGHT}" y2="{axis}"/>'


def _expected(rows: Sequence[Mapping[str, Any]], y: Axis) -> str:
    parts = []
    for run in _runs(rows, "expected"):
        spots = [(edge, rows[at]["expected"]) for at in run for edge in (at, at + 1)]
        path = " ".join(f"{_x(a, len(rows)):.1f},{_y(y, b):.1f}" for a, b in spots)
        parts.append(f'<polyline class="line expected" points="{path}"/>')
    return "".join(parts)


def _ratios(rows: Sequence[Mapping[str, Any]]) -> str:
    """The statistics, each as a share of its threshold; the dashed line is the threshold."""
    names = detectors(rows)
    if not names:
        return ""
    top = TOP + COUNTS + GAP
    high = max([1.2, *(value for row in rows for value in _shares(row).values())]) * 1.05
    bound = top + RATIOS * (1 - 1 / high)
    parts = [f'<line class="diagonal" x1="{LEFT}" y1="{bound:.1f}" x2="{WIDTH - RIGHT}" y2="{bound:.1f}"/>']
    parts.append(f'<text class="tick end" x="{LEFT - 5}" y="{bound + 4:.1f}">1×</text>')
    for look, name in enumerate(names):
        known = [(at, _shares(row)[name]) for at, row in enumerate(rows) if name in _shares(row)]
        path = " ".join(
            f"{_x(at + 0.5, len(rows)):.1f},{top + RATIOS * (1 - max(share, 0.0) / high):.1f}" for at, share in known
        )
        parts.append(f'<polyline class="line head{look}" points="{path}"/>')
    axis = top + RATIOS
    return "".join(parts) + f'<line class="axis" x1="{LEFT}" y1="{axis}" x2="{WIDTH - RIGHT}" y2="{axis}"/>'


def _times(rows: Sequence[Mapping[str, Any]], zone: tzinfo) -> str:
    """A few times below, days alone where the picture covers many."""
    line = TOP + COUNTS + GAP + RATIOS + 15
    form = "%m-%d %H:%M" if rows[-1]["start"] - rows[0]["start"] < 4 * DAY else "%Y-%m-%d"
    places = sorted({round(share * (len(rows) - 1)) for share in (0.0, 0.5, 1.0)})
    parts = []
    for at in places:
        text = datetime.fromtimestamp(rows[at]["start"], tz=zone).strftime(form)
        look = " end" if at == len(rows) - 1 and at else " middle" if at else ""
        spot = WIDTH - RIGHT if look == " end" else LEFT if not look else _x(at + 0.5, len(rows))
        parts.append(f'<text class="tick{look}" x="{spot:.1f}" y="{line}">{text}</text>')
    return "".join(parts)
