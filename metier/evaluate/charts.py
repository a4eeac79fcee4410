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
            return f"{100 * value:.4g}%"  # steps of 2.5 have a digit more than others
        if abs(value) >= 10_000:
            return f"{value / 1000:.4g}k"
        return f"{value:.4g}"


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


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two lines: `(x, low, high)` in the order of drawing."""

    points: Sequence[tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A named point with its interval; `name` is markup."""

    x: float
    y: float
    name: Markup
    low: float | None = None
    high: float | None = None
    look: str = "own"


def lines(
    series: Sequence[Series], x: Axis, y: Axis, *, title: str, diagonal: bool = False, bands: Sequence[Band] = ()
) -> Markup:
    """A line chart; `diagonal` draws the dashed line on which both axes are equal, `bands` lie under the lines."""
    parts = [_grid(x, y)]
    for band in bands:
        edge = [(a, low) for a, low, _ in band.points] + [(a, high) for a, _, high in reversed(band.points)]
        path = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in edge)
        parts.append(f'<polygon class="band" points="{path}"/>')
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


def marks(points: Sequence[Mark], x: Axis, y: Axis, *, title: str) -> Markup:
    """Named points with their intervals. A name goes where it covers neither a point nor another name, if it can."""
    parts = [_grid(x, y)]
    taken = [(_x(x, point.x) - 5, _y(y, point.y) - 5, 10.0, 10.0) for point in points]
    for point in sorted(points, key=lambda point: -point.y):
        across, up = _x(x, point.x), _y(y, point.y)
        if point.low is not None and point.high is not None:
            a, b = _y(y, point.low), _y(y, point.high)
            parts.append(
                f'<path class="whisker {point.look}" d="M{across - 3:.1f} {a:.1f}h6M{across:.1f} {a:.1f}V{b:.1f}'
                f'M{across - 3:.1f} {b:.1f}h6"/>'
            )
        parts.append(f'<circle class="dot {point.look}" cx="{across:.1f}" cy="{up:.1f}" r="4"/>')
        left, line, anchor = _free(across, up, 6.2 * _width(point.name.striptags()), taken)
        parts.append(f'<text class="name{anchor}" x="{left:.1f}" y="{line:.1f}">{point.name}</text>')
    return _drawing(WIDTH, HEIGHT, title, "".join(parts))


def _free(
    across: float, up: float, width: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, str]:
    """Where a name of this width goes beside a point: to its right, to its left, or a line higher or lower."""
    places = [(side, shift) for shift in (0.0, 13.0, -13.0, 26.0, -26.0) for side in (1, -1)]
    for side, shift in places:
        start = across + 8 if side > 0 else across - 8 - width
        box = (start, up + shift - 6, width, 12.0)
        inside = start >= 0 and start + width <= WIDTH and box[1] >= TOP and box[1] + 12 <= HEIGHT - BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            return across + 8 * side, up + shift + 4, "" if side > 0 else " end"
    return across + 8, up + 4, ""


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


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
