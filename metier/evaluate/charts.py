"""Charts as inline SVG: no script, no font file, no style attribute, colours from the page's style sheet.

Drawn at the width of a phone, so that their letters are readable there; on a wider screen they grow a little.
Text is text, so that the reader's own fonts show every script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from metier.evaluate.phrases import svg

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 40


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale: its phrase, its ends, and whether its values are shares of one."""

    phrase: str
    low: float
    high: float
    percent: bool = False

    def ticks(self) -> list[float]:
        """About five round values between the ends."""
        span = self.high - self.low
        rough = span / 4 if span > 0 else 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        unit = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
        first = math.ceil(self.low / unit - 1e-9)
        return [unit * at for at in range(first, math.floor(self.high / unit + 1e-9) + 1)]

    def text(self, value: float) -> str:
        """A tick's label."""
        if self.percent:
            return f"{100 * value:.3g}%"
        if abs(value) >= 10_000:
            return f"{value / 1000:.4g}k"
        return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Series:
    """Points `(x, y)` in the order of drawing. `look` is a class of the style sheet; `dots` marks each point."""

    points: Sequence[tuple[float, float]]
    look: str = "own"
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A named value with its interval; `name` is markup."""

    name: Markup
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    look: str = "other"


def lines(series: Sequence[Series], x: Axis, y: Axis, *, title: str, diagonal: bool = False) -> Markup:
    """A line chart; `diagonal` draws the dashed line on which both axes are equal."""
    parts = [_grid(x, y)]
    if diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        ends = _x(x, low), _y(y, low), _x(x, high), _y(y, high)
        parts.append('<line class="diagonal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends))
    for one in series:
        spots = [(_x(x, a), _y(y, b)) for a, b in one.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in spots)
        if len(spots) > 1:
            parts.append(f'<polyline class="line {one.look}" points="{path}"/>')
        if one.dots or len(spots) == 1:
            parts += [f'<circle class="dot {one.look}" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>' for a, b in spots]
    return _drawing(WIDTH, HEIGHT, title, "".join(parts))


def bars(rows: Sequence[Bar], *, title: str) -> Markup:
    """Horizontal bars from nought, the name above each, with a line for the interval."""
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    low, high = min(0.0, *ends), max([*ends, 1e-9])
    high = 1.0 if 0.3 < high <= 1.0 else high
    width, room = WIDTH - 66, high - low

    def at(value: float) -> float:
        return (value - low) / room * width

    parts = []
    for place, row in enumerate(rows):
        top = place * 40
        start, end = sorted((at(0.0), at(row.value)))
        extent = f'x="{start:.1f}" y="{top + 18}" width="{end - start:.1f}" height="12" rx="3"'
        parts.append(f'<text class="name" x="0" y="{top + 12}">{row.name}</text>')
        parts.append(f'<rect class="track" x="0" y="{top + 18}" width="{width}" height="12" rx="3"/>')
        parts.append(f'<rect class="bar {row.look}" {extent}/>')
        if row.low is not None and row.high is not None:
            a, b, middle = at(row.low), at(row.high), top + 24
            parts.append(
                f'<path class="whisker" d="M{a:.1f} {middle - 4}v8M{a:.1f} {middle}H{b:.1f}M{b:.1f} {middle - 4}v8"/>'
            )
        parts.append(f'<text class="value {row.look}" x="{WIDTH}" y="{top + 28}">{escape(row.text)}</text>')
    return _drawing(WIDTH, 40 * len(rows), title, "".join(parts))


def matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], *, title: str) -> Markup:
    """A confusion matrix, shaded by the share of its row. Wider than a phone beyond about nine classes."""
    n = len(labels)
    cell = 84 if n <= 3 else 62 if n <= 5 else 44 if n <= 8 else 30
    names = [_short(str(label), 16) for label in labels]
    longest = max(_width(name) for name in names)
    left = 14 + min(6.4 * longest, 120)
    slanted = n > 5 or longest * 6.4 > cell
    top = 14 + (min(6.4 * longest, 120) * 0.72 if slanted else 8)
    parts = []
    for place, name in enumerate(names):
        middle = cell * (place + 0.5)
        parts.append(f'<text class="tick end" x="{left - 6:.0f}" y="{top + middle + 4:.0f}">{escape(name)}</text>')
        spot = f"{left + middle:.0f} {top - 6:.0f}"
        turn = f' transform="rotate(-45 {spot})"' if slanted else ""
        look = "tick" if slanted else "tick middle"
        x, y = spot.split()
        parts.append(f'<text class="{look}" x="{x}" y="{y}"{turn}>{escape(name)}</text>')
    for i, row in enumerate(counts):
        total = max(sum(row), 1)
        for j, count in enumerate(row):
            parts.append(_cell(left + cell * j, top + cell * i, cell, count, count / total, hit=i == j))
    spill = min(6.4 * _width(names[-1]), 120) * 0.72 if slanted else 4
    return _drawing(
        math.ceil(left + cell * n + spill), math.ceil(top + cell * n + 2), title, "".join(parts), fixed=True
    )


def _cell(x: float, y: float, size: float, count: int, share: float, *, hit: bool) -> str:
    look = "hit" if hit else "miss"
    tone = 0.08 + 0.92 * share if count else 0.0
    rect = f'<rect x="{x + 1:.0f}" y="{y + 1:.0f}" width="{size - 2:.0f}" height="{size - 2:.0f}" rx="3"'
    spot = f'x="{x + size / 2:.0f}" y="{y + size / 2 + 4:.0f}"'
    ink = "cell dark" if tone > 0.55 else "cell"
    text = f'<text class="{ink}" {spot}>{count}</text>' if count else ""
    return f'{rect} class="track"/>{rect} class="{look}" fill-opacity="{tone:.2f}"/>{text}'


def _grid(x: Axis, y: Axis) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in y.ticks():
        spot = _y(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{spot:.1f}" x2="{right}" y2="{spot:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{spot + 4:.1f}">{y.text(value)}</text>')
    for value in x.ticks():
        parts.append(f'<text class="tick middle" x="{_x(x, value):.1f}" y="{bottom + 16}">{x.text(value)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    parts.append(f'<text class="label middle" x="{(LEFT + right) / 2}" y="{HEIGHT - 6}">{svg(x.phrase)}</text>')
    return "".join(parts)


def _drawing(width: int, height: int, title: str, inside: str, *, fixed: bool = False) -> Markup:
    size = f' width="{width}" height="{height}"' if fixed else ""
    look = "fixed" if fixed else "chart"
    head = f'<svg class="{look}" viewBox="0 0 {width} {height}"{size} role="img" aria-label="{escape(title)}">'
    return Markup(head + inside + "</svg>")  # every text in `inside` was escaped where it was put there


def _x(axis: Axis, value: float) -> float:
    return LEFT + (value - axis.low) / ((axis.high - axis.low) or 1.0) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (value - axis.low) / ((axis.high - axis.low) or 1.0) * (HEIGHT - TOP - BOTTOM)


def _width(text: str) -> int:
    """Columns of a text: a Chinese character is about as wide as two Latin ones."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)


def _short(text: str, columns: int) -> str:
    if _width(text) <= columns:
        return text
    while _width(text) >= columns:
        text = text[:-1]
    return text + "…"
