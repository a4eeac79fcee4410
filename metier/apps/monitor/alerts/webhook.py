"""The body of a notice: version 4 of Prometheus Alertmanager's webhook, which many tools read.

Described under `<webhook_config>` in https://prometheus.io/docs/alerting/latest/configuration/; times are RFC 3339, and
the end of an alert that has none is the year 1, as Alertmanager writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.item import EVERYTHING

NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Group:
    """A group that a receiver is told of: its key, its labels, and how many alerts at most (0: all)."""

    receiver: str
    key: str
    labels: Mapping[str, str]
    most: int = 0


def body(group: Group, alerts: Sequence[Alert], external_url: str = "") -> dict[str, Any]:
    """What is sent. `status` is `firing` as long as one of the alerts is."""
    kept = alerts[: group.most] if group.most else alerts
    shown = [one(alert, external_url) for alert in kept]
    return {
        "receiver": group.receiver,
        "status": "firing" if any(alert["status"] == "firing" for alert in shown) else "resolved",
        "alerts": shown,
        "groupLabels": dict(group.labels),
        "commonLabels": _common([alert["labels"] for alert in shown]),
        "commonAnnotations": _common([alert["annotations"] for alert in shown]),
        "externalURL": external_url,
        "version": "4",
        "groupKey": group.key,
        "truncatedAlerts": len(alerts) - len(kept),
    }


def one(alert: Alert, external_url: str = "") -> dict[str, Any]:
    """One alert of a body."""
    ended = alert.status == "resolved" and alert.ends_at is not None
    return {
        "status": "resolved" if ended else "firing",
        "labels": dict(sorted(alert.labels.items())),
        "annotations": notes(alert),
        "startsAt": stamp(alert.starts_at),
        "endsAt": stamp(alert.ends_at) if ended else NEVER,
        "generatorURL": address(alert, external_url),
        "fingerprint": alert.fingerprint,
    }


def notes(alert: Alert) -> dict[str, str]:
    """What people read, in both languages."""
    topic, company = alert.series.topic, alert.series.company
    named = [name for name in (topic, company) if name != EVERYTHING]
    what, what_zh = " / ".join(named) or "all stories", " / ".join(named) or "全部报道"
    began = stamp(alert.since) if alert.since is not None else ""
    return {
        "alert_id": alert.id,
        "severity_reason": alert.severity.en,
        "severity_reason_zh": alert.severity.zh,
        "since": began,
        "summary": f"Negative surge on {what}: {alert.observed} stories where {alert.expected:.1f} were expected",
        "summary_zh": f"负面激增：{what_zh}，{alert.observed} 篇，预期 {alert.expected:.1f} 篇",
    }


def address(alert: Alert, external_url: str) -> str:
    """Where an alert is shown; empty where nobody said where the console is."""
    return f"{external_url.rstrip('/')}/alerts/{quote(alert.id, safe='')}" if external_url else ""


def stamp(time: float | None) -> str:
    """Seconds since 1970 as RFC 3339, in UTC, with as many digits as are needed."""
    if time is None:
        return NEVER
    text = datetime.fromtimestamp(round(time, 3), tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


def _common(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all have in common."""
    first = mappings[0] if mappings else {}
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in mappings)}
