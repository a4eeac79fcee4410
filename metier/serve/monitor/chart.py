"""Pictures of series as inline SVG, coloured by the style sheet: counts, band, statistics and alerts on one time axis.

Drawn twice, for a desk and for a phone, so that letters have the same size on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from markupsafe import Markup, escape

from metier.evaluate.charts import Axis
from metier.serve.monitor.phrases import say

Row = Mapping[str, Any]
DAY = 86_400.0
MOST = 6.0
"""Times its threshold that a statistic is drawn, at most."""
BUCKETS = 56
"""Bars of a small picture."""


@dataclass(frozen=True, slots=True)
class Size:
    """Widths and heights of a picture, in units of the SVG."""

    width: float
    counts: float
    ratios: float
    labels: int
    left: float = 38
    right: float = 8
    top: float = 10
    gap: float = 20
    bottom: float = 22

    @property
    def height(self) -> float:
        return self.top + self.counts + self.gap + self.ratios + self.bottom


DESK, PHONE = Size(960, 230, 90, 7), Size(360, 150, 66, 3)


@dataclass(frozen=True, slots=True)
class Mark:
    """An alert on the time axis; `end`: `None` while it is on."""

    start: float
    end: float | None
    level: str


def chart(rows: Sequence[Row], marks: Sequence[Mark], zone: tzinfo, language: str, name: str) -> Markup:
    """The picture of a series in both sizes; rows as `views.series_rows` gives them."""
    if not rows:
        return Markup("")
    return Markup("").join(_Picture(rows, marks, zone, language, size).draw(name) for size in (DESK, PHONE))


class _Picture:
    def __init__(self, rows: Sequence[Row], marks: Sequence[Mark], zone: tzinfo, language: str, size: Size) -> None:
        self.rows, self.marks, self.zone, self.language, self.size = rows, marks, zone, language, size
        starts = [row["start"] for row in rows]
        self.tick = min((b - a for a, b in zip(starts, starts[1:], strict=False)), default=3600.0)
        self.first, self.last = starts[0], starts[-1] + self.tick
        self.low = size.top + size.counts
        high = max([3.0, *(max(row["negatives"], row.get("high", 0.0)) for row in rows)]) * 1.08
        self.axis = Axis("", 0.0, high)
        self.names = detectors(rows)
        shares = [share for row in rows for share in ratios(row).values()]
        self.most = min(MOST, max([1.2, *shares]) * 1.08)

    def draw(self, name: str) -> Markup:
        size = self.size
        label = escape(say("chart_of", self.language, name=name))
        kind = "desk" if size is DESK else "phone"
        parts = (self._marks(), self._grid(), self._gaps(), self._band(), self._bars(), self._expected())
        more = (self._ratios(), self._times(), self._tips())
        return Markup(
            f'<svg class="chart {kind}" viewBox="0 0 {size.width:g} {size.height:g}" role="img" aria-label="{label}">'
            + "".join((*parts, *more))
            + "</svg>"
        )

    def _x(self, time: float) -> float:
        size = self.size
        share: float = (time - self.first) / (self.last - self.first)
        return size.left + min(1.0, max(0.0, share)) * (size.width - size.left - size.right)

    def _y(self, value: float) -> float:
        return self.low - self.size.counts * value / self.axis.high

    def _ratio(self, value: float) -> float:
        bottom = self.low + self.size.gap + self.size.ratios
        return bottom - self.size.ratios * min(self.most, max(0.0, value)) / self.most

    def _marks(self) -> str:
        size, found = self.size, []
        high = size.counts + size.gap + size.ratios
        for mark in self.marks:
            left, right = self._x(mark.start), self._x(self.last if mark.end is None else mark.end)
            wide = max(2.0, right - left)
            found.append(
                f'<rect class="mark {escape(mark.level)}" x="{left:.1f}" y="{size.top}" width="{wide:.1f}" '
                f'height="{high:g}"/><rect class="mark-top {escape(mark.level)}" x="{left:.1f}" y="{size.top - 4}" '
                f'width="{wide:.1f}" height="4"/>'
            )
        return "".join(found)

    def _grid(self) -> str:
        size, found = self.size, []
        for value in self.axis.ticks():
            spot = self._y(value)
            found.append(
                f'<line class="grid" x1="{size.left}" y1="{spot:.1f}" x2="{size.width - size.right}" y2="{spot:.1f}"/>'
                f'<text class="end" x="{size.left - 6}" y="{spot + 4:.1f}">{self.axis.text(value)}</text>'
            )
        return "".join(found)

    def _gaps(self) -> str:
        return "".join(
            f'<rect class="gap" x="{self._x(row["start"]):.1f}" y="{self.size.top}" '
            f'width="{self._x(row["start"] + self.tick) - self._x(row["start"]):.1f}" height="{self.size.counts}"/>'
            for row in self.rows
            if not row["open"]
        )

    def _band(self) -> str:
        return "".join(
            '<polygon class="band" points="'
            + " ".join(
                f"{self._x(time):.1f},{self._y(value):.1f}"
                for time, value in [*self._edges(run, "high"), *reversed(self._edges(run, "low"))]
            )
            + '"/>'
            for run in self._runs("high")
        )

    def _expected(self) -> str:
        return "".join(
            '<polyline class="expected" points="'
            + " ".join(f"{self._x(time):.1f},{self._y(value):.1f}" for time, value in self._edges(run, "expected"))
            + '"/>'
            for run in self._runs("expected")
        )

    def _edges(self, run: Sequence[Row], name: str) -> list[tuple[float, float]]:
        """Steps: what was last known holds until the next row that knows something."""
        ends = [*(row["start"] for row in run[1:]), run[-1]["start"] + self.tick]
        return [(edge, row[name]) for row, end in zip(run, ends, strict=True) for edge in (row["start"], end)]

    def _runs(self, name: str) -> list[list[Row]]:
        """The rows that know something, cut where nothing was collected. A series says nothing of a tick in which it
        had no document: that cuts nothing."""
        found: list[list[Row]] = [[]]
        for row in self.rows:
            if name in row:
                found[-1].append(row)
            elif not row["open"]:
                found.append([])
        return [run for run in found if run]

    def _bars(self) -> str:
        found = []
        for row in self.rows:
            if row["negatives"]:
                left, right = self._x(row["start"] + 0.1 * self.tick), self._x(row["start"] + 0.9 * self.tick)
                top = self._y(row["negatives"])
                look = "bar surge" if row.get("firing") else "bar"
                found.append(
                    f'<rect class="{look}" x="{left:.1f}" y="{top:.1f}" width="{max(0.6, right - left):.1f}" '
                    f'height="{self.low - top:.1f}"/>'
                )
        size = self.size
        axis = f'<line class="axis" x1="{size.left}" y1="{self.low}" x2="{size.width - size.right}" y2="{self.low}"/>'
        return "".join(found) + axis

    def _ratios(self) -> str:
        size = self.size
        bottom, bound = self.low + size.gap + size.ratios, self._ratio(1.0)
        found = [
            f'<line class="bound" x1="{size.left}" y1="{bound:.1f}" x2="{size.width - size.right}" y2="{bound:.1f}"/>'
            f'<text class="end" x="{size.left - 6}" y="{bound + 4:.1f}">1×</text>'
        ]
        for place, name in enumerate(self.names):
            for run in self._known(name):
                points = " ".join(f"{self._x(time):.1f},{self._ratio(share):.1f}" for time, share in run)
                found.append(f'<polyline class="line line{place}" points="{points}"/>')
        found.append(
            f'<line class="axis" x1="{size.left}" y1="{bottom}" x2="{size.width - size.right}" y2="{bottom}"/>'
        )
        return "".join(found)

    def _known(self, name: str) -> list[list[tuple[float, float]]]:
        runs = [
            [(row["start"] + self.tick / 2, ratios(row)[name]) for row in run if name in ratios(row)]
            for run in self._runs("statistic")
        ]
        return [run for run in runs if run]

    def _times(self) -> str:
        size, rows = self.size, self.rows
        form = "%m-%d %H:%M" if self.last - self.first < 4 * DAY else "%m-%d"
        spot = size.height - 6
        found = []
        for at in range(size.labels):
            time = self.first + at / (size.labels - 1) * (rows[-1]["start"] - self.first)
            look = "" if not at else "end" if at == size.labels - 1 else "middle"
            place = self._x(time) if look != "end" else size.width - size.right
            text = datetime.fromtimestamp(time, tz=self.zone).strftime(form)
            found.append(f'<text class="{look}" x="{place:.1f}" y="{spot}">{text}</text>')
        return "".join(found)

    def _tips(self) -> str:
        """What a tick was, told where the mouse rests."""
        size, found = self.size, []
        high = size.counts + size.gap + size.ratios
        for row in self.rows:
            left, right = self._x(row["start"]), self._x(row["start"] + self.tick)
            found.append(
                f'<rect class="tip" x="{left:.1f}" y="{size.top}" width="{right - left:.1f}" height="{high:g}">'
                f"<title>{escape(self._told(row))}</title></rect>"
            )
        return "".join(found) if size is DESK else ""

    def _told(self, row: Row) -> str:
        when = datetime.fromtimestamp(row["start"], tz=self.zone).strftime("%Y-%m-%d %H:%M")
        words = [f"{when}: {say('negatives', self.language)} {row['negatives']} / {row['stories']}"]
        if "expected" in row:
            words.append(f"{say('expected', self.language)} {row['expected']:.1f} ({row['low']:.0f}–{row['high']:.0f})")
        words += [f"{name} {share:.2f}×" for name, share in ratios(row).items()]
        return "\n".join(words)


def ratios(row: Row) -> dict[str, float]:
    """Of each detector, how many times its threshold its statistic was."""
    bounds = row.get("threshold", {})
    return {name: value / bounds[name] for name, value in row.get("statistic", {}).items() if bounds.get(name, 0.0) > 0}


def detectors(rows: Sequence[Row]) -> list[str]:
    """The detectors that are drawn, in the order of their colours."""
    return sorted({name for row in rows for name in ratios(row)})


def spark(rows: Sequence[tuple[float, int, bool]], start: float, end: float) -> Markup:
    """A small picture of negative stories: `(start of the tick, negatives, whether a detector fired)`."""
    bars = [[0, 0] for _ in range(BUCKETS)]
    for time, negatives, fired in rows:
        place = min(BUCKETS - 1, max(0, int((time - start) / max(end - start, 1.0) * BUCKETS)))
        bars[place][0] += negatives
        bars[place][1] |= fired
    high = max(4, *(count for count, _ in bars))
    drawn = "".join(
        f'<rect class="{"surge" if fired else ""}" x="{at * 2}" y="{24 - 24 * count / high:.1f}" width="1.5" '
        f'height="{24 * count / high:.1f}"/>'
        for at, (count, fired) in enumerate(bars)
        if count
    )
    box = f'viewBox="0 0 {2 * BUCKETS} 25" preserveAspectRatio="none"'
    line = f'<line x1="0" y1="24.5" x2="{2 * BUCKETS}" y2="24.5"/>'
    return Markup(f'<svg class="spark" {box} aria-hidden="true">{drawn}{line}</svg>')
