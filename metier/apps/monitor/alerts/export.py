"""Alerts as tables and as JSON, for other programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.alerts.webhook import stamp
from metier.apps.monitor.item import EVERYTHING

COLUMNS = (
    "id", "status", "severity", "points", "topic", "company", "since", "starts_at", "ends_at", "observed", "expected",
    "detector", "share", "sources", "reopened", "acknowledged", "verdict", "verdict_by", "verdict_at", "comment",
    "labels", "reason", "reason_zh",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%")
"""With one of these at its begin, also after spaces, a cell may be a formula to a spreadsheet (OWASP)."""


def csv_rows(alerts: Iterable[Alert]) -> Iterator[str]:
    """The lines of a CSV file, its head first. No cell is a formula to a spreadsheet: such a one begins with `'`."""
    yield _line(COLUMNS)
    for alert in alerts:
        row = row_of(alert)
        yield _line([guarded(row[name]) for name in COLUMNS])


def json_rows(alerts: Iterable[Alert]) -> Iterator[str]:
    """The pieces of a JSON array of whole alerts, one a line."""
    first = True
    for alert in alerts:
        yield ("[\n" if first else ",\n") + json.dumps(_finite(alert.to_json()), ensure_ascii=False, allow_nan=False)
        first = False
    yield "[]\n" if first else "\n]\n"


def row_of(alert: Alert) -> dict[str, Any]:
    """One alert as the values of the columns."""
    last = next((deed for deed in reversed(alert.deeds) if deed.kind == "verdict"), None)
    comment = next((deed.comment for deed in reversed(alert.deeds) if deed.comment), "")
    topic, company = ("" if name == EVERYTHING else name for name in (alert.series.topic, alert.series.company))
    times = {name: getattr(alert, name) for name in ("since", "starts_at", "ends_at")}
    return {
        "id": alert.id, "status": alert.status, "severity": alert.severity.level, "points": alert.severity.points,
        "topic": topic, "company": company, "observed": alert.observed, "expected": round(alert.expected, 4),
        "detector": alert.detector, "share": round(alert.share, 4), "sources": alert.sources,
        "reopened": alert.reopened, "acknowledged": alert.acknowledged, "verdict": alert.verdict,
        "verdict_by": last.who if last else "", "verdict_at": stamp(last.at) if last else "", "comment": comment,
        "labels": json.dumps(dict(sorted(alert.labels.items())), ensure_ascii=False), "reason": alert.severity.en,
        "reason_zh": alert.severity.zh,
        **{name: "" if time is None else stamp(time) for name, time in times.items()},
    }  # fmt: skip


def guarded(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula. Numbers stay numbers."""
    if not isinstance(value, str):
        return value
    clean = value.replace("\x00", "")
    return f"'{clean}" if clean.startswith(FORMULA) or clean.lstrip().startswith(FORMULA) else clean


def _line(cells: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def _finite(value: Any) -> Any:
    """A value without what JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
