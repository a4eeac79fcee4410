"""Questions by day as inline SVG, coloured by the style sheet; drawn for a desk and for a phone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from markupsafe import Markup, escape

from metier.evaluate.charts import Axis
from metier.serve.support.phrases import say

DAY = 86_400.0
SIZES = {"desk": (960.0, 200.0, 7), "phone": (360.0, 170.0, 3)}
"""Width, height and how many dates are written."""
LEFT, RIGHT, TOP, BOTTOM = 38.0, 8.0, 10.0, 24.0


def volume(days: Mapping[float, int], start: float, end: float, language: str) -> Markup:
    """The picture of counts by day, from the day of `start` to that of `end` (seconds, UTC)."""
    first = int(start // DAY)
    counts = [days.get(day * DAY, 0) for day in range(first, int(end // DAY) + 1)]
    return Markup("").join(_drawn(counts, first, kind, language) for kind in SIZES)


def _drawn(counts: list[int], first: int, kind: str, language: str) -> Markup:
    wide, high, labels = SIZES[kind]
    floor = high - BOTTOM
    axis = Axis("", 0.0, max(4, *counts) * 1.08)
    step = (wide - LEFT - RIGHT) / len(counts)

    def level(value: float) -> float:
        return floor - (floor - TOP) * value / axis.high

    grid = "".join(
        f'<line class="grid" x1="{LEFT}" y1="{level(value):.1f}" x2="{wide - RIGHT}" y2="{level(value):.1f}"/>'
        f'<text class="end" x="{LEFT - 6}" y="{level(value) + 4:.1f}">{axis.text(value)}</text>'
        for value in axis.ticks()
        if value == int(value)
    )
    bars = "".join(
        f'<rect class="bar" x="{LEFT + (at + 0.12) * step:.1f}" y="{level(count):.1f}" width="{0.76 * step:.1f}" '
        f'height="{floor - level(count):.1f}"><title>{_date(first + at)}: {count}</title></rect>'
        for at, count in enumerate(counts)
        if count
    )
    spots = sorted({round(at * (len(counts) - 1) / (labels - 1)) for at in range(labels)})
    dates = "".join(
        f'<text class="middle" x="{LEFT + (at + 0.5) * step:.1f}" y="{high - 6}">{_date(first + at)[5:]}</text>'
        if 0 < at < len(counts) - 1
        else f'<text class="{"end" if at else ""}" x="{wide - RIGHT if at else LEFT}" y="{high - 6}">'
        f"{_date(first + at)[5:]}</text>"
        for at in spots
    )
    label = escape(say("chart_of", language, most=max(counts)))
    line = f'<line class="axis" x1="{LEFT}" y1="{floor}" x2="{wide - RIGHT}" y2="{floor}"/>'
    return Markup(
        f'<svg class="chart {kind}" viewBox="0 0 {wide:g} {high:g}" role="img" aria-label="{label}">'
        f"{grid}{bars}{line}{dates}</svg>"
    )


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, tz=UTC).strftime("%Y-%m-%d")
