"""The life of an alert: pending, firing, resolved, and what people say of it.

Pure steps over the documents' own time: the same ticks give the same alerts, however they were cut into batches. The
words and their meaning are those of Prometheus and Alertmanager (https://prometheus.io/docs/alerting/latest/alertmanager/,
"Alerting rules" in https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/), with two additions: an
alert stays on for `keep` quiet ticks, and one that comes back within `reopen` is the same alert again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from metier.apps.monitor.alerts.matchers import fingerprint
from metier.apps.monitor.alerts.severity import LEVELS, Measured, Scale, Severity, severity, strongest
from metier.apps.monitor.item import EVERYTHING, SeriesKey, Signal
from metier.errors import MetierError
from metier.types import NOTHING

Status = Literal["pending", "firing", "resolved", "inactive"]
"""`inactive`: was pending and went away before it fired; nobody was told."""
VERDICTS = ("true", "false", "unclear")
NAME = "NegativeSurge"


@dataclass(frozen=True, slots=True)
class Rules:
    """How an alert lives. Times in seconds.

    Args:
        hold: for how long a series must be over its threshold before it fires (`for` in Prometheus).
        least: negative stories in the ticks in which it was on, before which it does not fire: one story is no surge,
            however quiet the series was.
        keep: after how many quiet ticks a firing alert is resolved.
        reopen: for how long after its end the same series opens the same alert again, instead of a new one.
        scale: of the severity.
    """

    hold: float = 0.0
    least: int = 3
    keep: int = 4
    reopen: float = 21_600.0
    scale: Scale = Scale()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a closed tick says of one series, and what else is known of it.

    Args:
        series: the series.
        signal: what the detectors say.
        end: of the tick, seconds since 1970, UTC.
        open: whether the collection ran; a gap is neither a surge nor quiet.
        sources: how many sources told the negative stories of the tick.
        watched: whether its topic or company is on a watchlist.
        labels: further labels, such as `owner` and `sector`.
    """

    series: SeriesKey
    signal: Signal
    end: float
    open: bool = True
    sources: int = 1
    watched: bool = False
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did: `acknowledge`, `snooze`, `verdict` or `comment`; `value` is the time or the verdict."""

    kind: str
    who: str
    at: float
    value: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it is now. Times in seconds since 1970, UTC; `None`: not yet.

    Args:
        id: stays the same for its whole life.
        labels: what it is matched, grouped and routed by; `severity` is one of them.
        since: the start of the tick in which the surge is thought to have begun.
        pending_at: the end of the first tick in which a detector fired.
        starts_at: when it fired, the first time.
        ends_at: when it was resolved.
        quiet: quiet ticks in a row.
        again_at: of a resolved one, the end of the first tick in which a detector fired again.
        observed: negative stories in the ticks in which it was on, and `expected`, those expected there.
        share: how many times its threshold the statistic of `detector` was, at its highest.
        sources: the most sources of a tick.
        reopened: how often it came back.
        statistic: of each detector, the latest, and `threshold` of each.
        acknowledged_at: on the clock of whoever did it, like `snoozed_until`; all other times are the documents'.
    """

    id: str
    series: SeriesKey
    labels: Mapping[str, str]
    status: Status
    pending_at: float
    severity: Severity
    since: float | None = None
    starts_at: float | None = None
    ends_at: float | None = None
    updated_at: float = 0.0
    quiet: int = 0
    again_at: float | None = None
    observed: int = 0
    expected: float = 0.0
    share: float = 1.0
    detector: str = ""
    sources: int = 1
    watched: bool = False
    reopened: int = 0
    statistic: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    threshold: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    deeds: tuple[Deed, ...] = ()
    acknowledged: bool = False
    acknowledged_at: float | None = None
    snoozed_until: float | None = None
    verdict: str = ""

    @property
    def fingerprint(self) -> str:
        """Of its labels, as Alertmanager knows it."""
        return fingerprint(self.labels)

    def snoozed(self, wall: float | None) -> bool:
        """Whether it is quiet at a time on the clock that people live by; `None`: nobody is there, as in a replay."""
        return wall is not None and self.snoozed_until is not None and wall < self.snoozed_until

    def muted(self, wall: float | None) -> bool:
        """Whether a person has asked for silence about it; its end is told all the same, unless it is snoozed."""
        if self.snoozed(wall):
            return True
        return self.status == "firing" and (self.acknowledged or self.verdict == "false")

    def to_json(self) -> dict[str, Any]:
        """Plain values; see `from_json`."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {name: dict(plain[name]) for name in ("labels", "statistic", "threshold")}
        plain |= {"series": [self.series.topic, self.series.company], "severity": asdict(self.severity)}
        return plain | {"deeds": [asdict(deed) for deed in self.deeds]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Alert:
        """The alert that `to_json` wrote."""
        level = dict(plain["severity"])
        level["parts"] = tuple((name, value) for name, value in level["parts"])
        deeds = tuple(Deed(**deed) for deed in plain["deeds"])
        return cls(**{**plain, "series": SeriesKey(*plain["series"]), "severity": Severity(**level), "deeds": deeds})


def step(alert: Alert | None, seen: Seen, rules: Rules) -> Alert | None:
    """The alert of a series after one more closed tick; ticks come in the order of their time.

    Args:
        alert: as it was; `None` where the series has none.
        seen: the tick.
        rules: how alerts live.

    Returns:
        The alert as it is now: the same object where nothing changed, another `id` where a new one began.
    """
    hit = bool(seen.signal.firing)
    if not seen.open:
        return alert
    if alert is None or alert.status == "inactive":
        return _begun(seen, rules) if hit else None
    if alert.status == "pending":
        return _held(_added(alert, seen, rules), seen, rules) if hit else _gone(alert, seen)
    if alert.status == "firing":
        return _added(alert, seen, rules) if hit else _quieter(alert, seen, rules)
    return _back(alert, seen, rules) if hit else replace(alert, again_at=None) if alert.again_at else alert


def _begun(seen: Seen, rules: Rules) -> Alert:
    """A new alert: pending, or firing where nothing has to be waited for."""
    labels = labels_of(seen)
    name = f"{fingerprint(labels)}-{int(seen.signal.start * 1000):x}"
    level = severity(Measured(0, 0.0), rules.scale)
    fresh = Alert(name, seen.series, labels | {"severity": level.level}, "pending", seen.end, level, seen.signal.since)
    return _held(_added(fresh, seen, rules), seen, rules)


def labels_of(seen: Seen) -> dict[str, str]:
    """What identifies the alerts of a series: its name, its topic and company where it has them, further labels.

    A sign that no name of a label may have becomes `_`, as in Prometheus.
    """
    own = {"alertname": NAME, "topic": seen.series.topic, "company": seen.series.company}
    kept = {name: value for name, value in own.items() if value != EVERYTHING}
    further = {re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII): value for name, value in seen.labels.items() if value}
    return {**{name: value for name, value in further.items() if name != "severity"}, **kept}


def _added(alert: Alert, seen: Seen, rules: Rules) -> Alert:
    """The alert with one more tick in which it was on. Its severity rises and never falls."""
    name, share = strongest(seen.signal.statistic, seen.signal.threshold, seen.signal.firing)
    if share < alert.share or not name:
        name, share = alert.detector, alert.share
    found = Measured(
        alert.observed + seen.signal.observed,
        alert.expected + seen.signal.expected,
        share,
        name,
        max(alert.sources, seen.sources),
        alert.watched or seen.watched,
    )
    now = severity(found, rules.scale)
    first = alert.observed == 0 and alert.expected == 0.0
    level = now if first or now.points >= alert.severity.points else alert.severity
    risen = LEVELS.index(level.level) > LEVELS.index(alert.severity.level)
    return replace(
        alert,
        severity=level,
        labels={**alert.labels, "severity": level.level},
        acknowledged=alert.acknowledged and not risen,
        observed=found.observed,
        expected=found.expected,
        share=found.share,
        detector=found.detector,
        sources=found.sources,
        watched=found.watched,
        statistic=finite(seen.signal.statistic),
        threshold=finite(seen.signal.threshold),
        quiet=0,
        updated_at=seen.end,
    )


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that are numbers: JSON knows no other, and a detector that never fires has an infinite threshold."""
    return {name: float(value) for name, value in sorted(values.items()) if math.isfinite(value)}


def _held(alert: Alert, seen: Seen, rules: Rules) -> Alert:
    """A pending alert fires once it has been pending for long enough and rests on enough."""
    if seen.end - alert.pending_at < rules.hold or alert.observed < rules.least:
        return alert
    return replace(alert, status="firing", starts_at=seen.end)


def _gone(alert: Alert, seen: Seen) -> Alert:
    return replace(alert, status="inactive", ends_at=seen.end, updated_at=seen.end)


def _quieter(alert: Alert, seen: Seen, rules: Rules) -> Alert:
    """A firing alert after a quiet tick: resolved after `keep` of them."""
    quiet = alert.quiet + 1
    if quiet < rules.keep:
        return replace(alert, quiet=quiet, updated_at=seen.end)
    return replace(alert, status="resolved", quiet=quiet, ends_at=seen.end, updated_at=seen.end)


def _back(alert: Alert, seen: Seen, rules: Rules) -> Alert:
    """A resolved alert whose series is on again: opened again, or followed by a new one where it is long over.

    What counts is when it came back, not when it has held for long enough.
    """
    first = seen.end if alert.again_at is None else alert.again_at
    if first - (alert.ends_at or 0.0) > rules.reopen:
        return _begun(seen, rules)
    if seen.end - first < rules.hold:
        return replace(alert, again_at=first, updated_at=seen.end)
    opened = replace(
        alert, status="firing", ends_at=None, again_at=None, acknowledged=False, reopened=alert.reopened + 1
    )
    return _added(opened, seen, rules)


def acknowledge(alert: Alert, who: str, at: float, comment: str = "") -> Alert:
    """Somebody takes care of it: no more notices until it gets worse, comes back or ends. Raises `MetierError`."""
    if alert.status != "firing":
        raise MetierError(f"The alert {alert.id} is {alert.status}.", expected="one that is firing, to acknowledge it")
    return _done(replace(alert, acknowledged=True, acknowledged_at=at), Deed("acknowledge", who, at, "", comment))


def snooze(alert: Alert, until: float, who: str, at: float, comment: str = "") -> Alert:
    """No notices at all until a time on the wall: two hours are those of whoever asks, however fast documents come.

    Raises `MetierError` for one that has passed.
    """
    if until <= at:
        raise MetierError("The time until which the alert shall be quiet has passed.", expected="a time to come")
    return _done(replace(alert, snoozed_until=until), Deed("snooze", who, at, repr(until), comment))


def judge(alert: Alert, verdict: str, who: str, at: float, comment: str = "") -> Alert:
    """A person says whether it was right: `true`, `false` or `unclear`; the last word counts. Raises `MetierError`."""
    if verdict not in VERDICTS:
        raise MetierError(f"{verdict!r} is no verdict.", expected=f"one of {', '.join(VERDICTS)}")
    return _done(replace(alert, verdict=verdict), Deed("verdict", who, at, verdict, comment))


def remark(alert: Alert, comment: str, who: str, at: float) -> Alert:
    """A comment that changes nothing else."""
    return _done(alert, Deed("comment", who, at, "", comment))


def heard(alert: Alert, acknowledged_at: float | None, snoozed_until: float | None, verdict: str | None) -> Alert:
    """The alert with what people said of it elsewhere, as the store keeps it. The same object where that is known.

    An acknowledgement counts once: one that was given before the alert got worse does not come back.
    """
    new = acknowledged_at is not None and acknowledged_at != alert.acknowledged_at
    known = (alert.acknowledged_at, alert.snoozed_until, alert.verdict)
    if (acknowledged_at, snoozed_until, verdict or "") == known:
        return alert
    return replace(
        alert,
        acknowledged=new or (alert.acknowledged and acknowledged_at is not None),
        acknowledged_at=acknowledged_at,
        snoozed_until=snoozed_until,
        verdict=verdict or "",
    )


def _done(alert: Alert, deed: Deed) -> Alert:
    if not deed.who.strip():
        raise MetierError("Nobody is named who did it.", expected="the name of a person")
    return replace(alert, deeds=(*alert.deeds, deed), updated_at=max(alert.updated_at, deed.at))


class Book:
    """The alerts that may still change, one a series at most.

    Its state is small: a series without an alert is not in it, and one that has been over for longer than `reopen` is
    forgotten (the store keeps it).
    """

    def __init__(self, rules: Rules | None = None, state: Mapping[str, Any] | None = None) -> None:
        self.rules = rules or Rules()
        self.alerts: dict[SeriesKey, Alert] = {}
        for plain in (state or {}).get("alerts", ()):
            alert = Alert.from_json(plain)
            self.alerts[alert.series] = alert

    def observe(self, seen: Seen) -> Alert | None:
        """Takes one closed tick of one series. The alert where it began or changed, else `None`."""
        before = self.alerts.get(seen.series)
        after = step(before, seen, self.rules)
        if after is None or after.status == "inactive" or self._over(after, seen.end):
            self.alerts.pop(seen.series, None)
        else:
            self.alerts[seen.series] = after
        return after if after is not before else None

    def _over(self, alert: Alert, now: float) -> bool:
        ended = alert.ends_at if alert.status == "resolved" and alert.again_at is None else None
        return ended is not None and now - ended > self.rules.reopen

    def act(self, name: str, deed: Callable[[Alert], Alert]) -> Alert | None:
        """Does to an alert what a person wants. `None` where it is not in the book: do it to the stored one then."""
        for series, alert in self.alerts.items():
            if alert.id == name:
                self.alerts[series] = deed(alert)
                return self.alerts[series]
        return None

    def state(self) -> dict[str, Any]:
        """Plain values, in a fixed order, from which a new book goes on."""
        return {"alerts": [self.alerts[series].to_json() for series in sorted(self.alerts)]}
