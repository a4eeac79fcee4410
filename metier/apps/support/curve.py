"""The curves that a build measures, as pictures: the share of messages answered against the share of answers right, and
what refusing messages from outside costs against what it catches."""

from __future__ import annotations

from collections.abc import Sequence

from metier.apps.support.answer.sure import Point, Sure
from metier.apps.support.scope import Scope
from metier.evaluate import charts
from metier.evaluate.charts import Axis, Series

STYLE = """
svg { background: #fff; font: 11px system-ui, sans-serif }
text { fill: #52514e } .middle { text-anchor: middle } .end { text-anchor: end }
.grid { stroke: #e4e3df } .axis { stroke: #8a8984 } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.own { stroke: #2a66b8 } .dot { fill: #2a66b8; stroke: #fff } .dot.chosen { fill: #c2410c }
[lang=zh] { display: none }
@media (prefers-color-scheme: dark) {
  svg { background: #1b1b1a } text { fill: #c9c8c2 } .grid { stroke: #363633 } .dot { stroke: #1b1b1a }
  .own { stroke: #6fa3e8 } .dot.own { fill: #6fa3e8 } .dot.chosen { fill: #fb8f5c }
}
"""
"""A file of its own has no page that gives it colours."""
VIEW = "-4 -20 380 250"
"""With room for a line of text above the chart and for the last tick."""


def picture(sure: Sure, wanted: float) -> str:
    """The curve as an SVG file, with the point of the threshold; empty where nothing was measured.

    Args:
        sure: with its curve.
        wanted: the share of answers that shall be right.
    """
    if not sure.curve:
        return ""
    points = [(one.answered, one.right) for one in sure.curve]
    low = min(0.8, wanted, *(right for _, right in points))
    x, y = Axis("share answered", 0.0, 1.0, percent=True), Axis("", int(low * 10) / 10, 1.0, percent=True)
    chosen = _chosen(sure.curve, sure.threshold)
    series = [Series(points)]
    told = f"threshold {sure.threshold:.2f}: nothing is answered"
    if chosen is not None:
        series.append(Series([(chosen.answered, chosen.right)], "chosen"))
        told = f"threshold {sure.threshold:.2f}: {chosen.answered:.0%} answered, {chosen.right:.1%} of it right"
    return _file(str(charts.lines(series, x, y, title=told)), "right", told)


def outside_picture(scope: Scope) -> str:
    """What thresholds on lying outside cost and catch, as an SVG file; empty where nothing outside was known."""
    if scope.curve is None or scope.point is None or not len(scope.curve.outside):
        return ""
    x, y = Axis("in-scope accuracy", 0.0, 1.0, percent=True), Axis("", 0.0, 1.0, percent=True)
    points = [(one.in_scope_accuracy, one.out_of_scope_recall) for one in scope.curve.table(200)]
    chosen = scope.point
    told = f"{chosen.in_scope_accuracy:.1%} right in scope, {chosen.out_of_scope_recall:.0%} of what is outside refused"
    dot = Series([(chosen.in_scope_accuracy, chosen.out_of_scope_recall)], "chosen")
    return _file(str(charts.lines([Series(points), dot], x, y, title=told)), "refused", told)


def _file(drawn: str, above: str, told: str) -> str:
    """A chart as a file of its own, with the name of its upright axis and what its dot says above it."""
    head, rest = drawn.split(">", 1)
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="500" ', 1)
    head = head.replace(f'viewBox="0 0 {charts.WIDTH} {charts.HEIGHT}"', f'viewBox="{VIEW}"', 1)
    label = f'<text class="end" x="{charts.WIDTH - charts.RIGHT}" y="{-charts.TOP / 2:.0f}">{told}</text>'
    name = f'<text x="{charts.LEFT - 36}" y="{-charts.TOP / 2:.0f}">{above}</text>'
    return f"{head}><style>{STYLE}</style>{rest.removesuffix('</svg>')}{name}{label}</svg>\n"


def _chosen(curve: Sequence[Point], threshold: float) -> Point | None:
    """The last point at which nothing below the threshold is answered yet."""
    return next((one for one in reversed(curve) if one.threshold >= threshold), None)
