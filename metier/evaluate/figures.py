"""How a number is written, and the charts of one run's findings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from metier.evaluate import charts, phrases
from metier.evaluate.baselines import TITLES
from metier.evaluate.charts import Axis, Bar, Series
from metier.evaluate.findings import HeadFindings

PROBE = "Probe: logistic regression on frozen embeddings"
_PLAIN = ("pearson", "spearman", "rmse", "mae", "matthews", "correlation")
"""Figures that are no share of anything."""
_POINTS = 150


def figure(name: str, value: float | None) -> str:
    """A metric as it is read: shares as a percentage, correlations and errors as they are, `–` where undefined."""
    if value is None:
        return "–"
    if any(word in name.lower() for word in _PLAIN):
        return f"{value:.3f}"
    return f"{100 * value:.1f}%"


def title_of(baseline: str, task: str) -> str:
    """What a baseline is called for a kind of task; its own name where it is not one of ours."""
    if baseline == "probe":
        return PROBE
    return TITLES.get(baseline, {}).get(task, baseline)


def comparison(head: HeadFindings) -> Markup:
    """The model's headline as a bar among those of the baselines."""
    own = head.judged["headline"]
    rows = [_bar("This model", own, "own")]
    rows += [
        _bar(title_of(name, head.task), baseline["headline"], "other") for name, baseline in head.baselines.items()
    ]
    return charts.bars([row for row in rows if row], title="Beside the baselines")


def _bar(name: str, headline: Mapping[str, Any], look: str) -> Bar:
    low, high = headline.get("interval") or (None, None)
    value = headline["value"]
    return Bar(phrases.svg(name), value or 0.0, figure(headline["name"], value), low, high, look)


def reliability(calibration: Mapping[str, Any]) -> Markup:
    """Score against accuracy, before (where it is known) and after calibration."""
    drawn = [(calibration.get("reliability_before"), "other"), (calibration.get("reliability"), "own")]
    series = [
        Series([(point["confidence"], point["accuracy"]) for point in points], look, dots=True)
        for points, look in drawn
        if points
    ]
    # Scores of a fitted model crowd at the top: the axis begins where there is something to see.
    least = min((value for one in series for point in one.points for value in point), default=0.0)
    low = max(0.0, np.floor(least * 10) / 10)
    low = float(low) if low < 0.9 else 0.8
    axis = Axis("score", low, 1.0, percent=True)
    return charts.lines(series, axis, axis, title="Reliability", diagonal=True)


def risk(calibration: Mapping[str, Any]) -> Markup:
    """The error among the surest answers for every share that is answered."""
    curve = calibration["risk_coverage"]
    points = list(zip(curve["coverage"], curve["risk"], strict=True))
    top = max([value for _, value in points] + [0.01])
    axes = Axis("share answered", 0.0, 1.0, percent=True), Axis("error", 0.0, top * 1.08, percent=True)
    return charts.lines([Series(points, "own")], *axes, title="Risk and coverage")


def confusion(found: Mapping[str, Any]) -> Markup:
    """The whole matrix."""
    return charts.matrix(found["labels"], found["matrix"], title="Confusion matrix")


def curve(records: Sequence[Mapping[str, Any]], key: str) -> Markup | None:
    """A value of the training records over the steps, means of at most 150 stretches; `None` below two records."""
    points = [
        (float(r["step"]), float(r[key])) for r in records if r.get(key) is not None and r.get("step") is not None
    ]
    if len(points) < 2:
        return None
    parts = np.array_split(np.array(points), min(_POINTS, len(points)))
    means = [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]
    top = max(value for _, value in means)
    share = key == "rate"
    axes = (
        Axis("step", 0.0, points[-1][0]),
        Axis(key, min(0.0, *(v for _, v in means)), top * 1.08 or 1.0, percent=share),
    )
    return charts.lines([Series(means, "own" if key == "loss" else "other")], *axes, title=key)


def validation(records: Sequence[Mapping[str, Any]], heads: Collection[str]) -> tuple[Markup, list[str]] | None:
    """The validation headline of every head over the steps, and the heads in the order of their colours."""
    by_head: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for name, value in (record.get("valid") or {}).items():
            if name not in heads:
                continue  # what the fit is steered by, e.g. the mean of the heads
            value = value.get("headline", {}).get("value") if isinstance(value, Mapping) else value
            if isinstance(value, int | float) and record.get("step") is not None:
                by_head.setdefault(name, []).append((float(record["step"]), float(value)))
    if not by_head:
        return None
    values = [value for points in by_head.values() for _, value in points]
    last = max(step for points in by_head.values() for step, _ in points)
    low, high = min(values), max(values)
    room = max((high - low) * 0.15, 0.01)
    axis = Axis("value", low - room, min(1.0, high + room) if high <= 1 else high + room)
    series = [Series(points, f"head{at % 6}", dots=True) for at, points in enumerate(by_head.values())]
    return charts.lines(series, Axis("step", 0.0, last), axis, title="Validation"), list(by_head)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def memory(count: float) -> str:
    """Bytes in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
