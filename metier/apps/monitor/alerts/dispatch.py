"""Who is told what, and when: routes, groups, inhibition, silences; as in Prometheus Alertmanager.

The words and their meaning are those of its documentation (https://prometheus.io/docs/alerting/latest/configuration/);
the bodies of the notices are its webhook's, version 4. What differs: the clock is the documents' own, so that a replay
tells the same people the same things, and people can acknowledge and snooze a single alert. Who asks for two quiet
hours means hours on the wall: what people snooze and silence goes by that clock, where there is one. In a replay there
is none, and nothing is snoozed or silenced but what the settings silence, by the documents' time.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.alerts.matchers import Labels, Matcher, fingerprint, group_name, label_text, matching
from metier.apps.monitor.alerts.webhook import Group, body
from metier.apps.monitor.alerts.windows import Window

Key = tuple[str, str]
"""A group: the id of its route and its labels as text."""


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the routing tree; what a child leaves out it has from its parent.

    Args:
        receiver: who is told; empty: nobody.
        matchers: all must match; the root has none.
        group_by: the labels that make a group; `None`: all of them, each alert is its own.
        wait: seconds before the first notice of a group, `interval` between two of them, `repeat` before the same
            again.
        going_on: whether later siblings are asked too (`continue`).
        mute: names of the windows in which it is silent, and `active` those in which alone it speaks.
        routes: its children.
        name: the route in a group key, and `place`, which tells it from siblings with the same matchers.
    """

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] | None = ()
    wait: float = 0.0
    interval: float = 300.0
    repeat: float = 14_400.0
    going_on: bool = False
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    name: str = "{}"
    place: str = ""

    def match(self, labels: Labels) -> list[Route]:
        """The nodes that handle an alert: depth first, from left to right, the deepest that match."""
        if not matching(self.matchers, labels):
            return []
        found: list[Route] = []
        for child in self.routes:
            hits = child.match(labels)
            found += hits
            if hits and not child.going_on:
                break
        return found or [self]

    def numbered(self, above: Route | None = None, twin: int = 0) -> Route:
        """The tree with the names of its nodes; `twin` counts earlier siblings with the same matchers and receiver.

        A place stays the same where routes come or go elsewhere in the tree, so that new settings tell nobody again.
        """
        own = group_name(self.matchers)
        name = f"{above.name}/{own}" if above else own
        place = f"{above.place if above else ''}/{own}>{self.receiver}#{twin}"
        named = replace(self, name=name, place=place)
        kinds = [(child.matchers, child.receiver) for child in self.routes]
        children = (child.numbered(named, kinds[:at].count(kinds[at])) for at, child in enumerate(self.routes))
        return replace(named, routes=tuple(children))


@dataclass(frozen=True, slots=True)
class Inhibition:
    """Alerts that match `target` are not told of while one that matches `source` has the same labels `equal`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def holds(self, source: Labels, target: Labels) -> bool:
        """Whether one alert inhibits the other. One that matches both sides is not inhibited by another such one."""
        if self.key(source) != self.key(target):
            return False
        if not (matching(self.target, target) and matching(self.source, source)):
            return False
        return not (matching(self.source, target) and matching(self.target, source))

    def key(self, labels: Labels) -> tuple[str, ...]:
        """The values that must be equal; a label that is missing is one that is empty."""
        return tuple(labels.get(name, "") for name in self.equal)


@dataclass(frozen=True, slots=True)
class Silence:
    """No notices for alerts that match, from `starts_at` (inclusive) to `ends_at` (exclusive)."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    who: str = ""
    comment: str = ""

    def holds(self, labels: Labels, now: float) -> bool:
        """Whether it silences an alert now. One without matchers silences nothing."""
        return self.starts_at <= now < self.ends_at and bool(self.matchers) and matching(self.matchers, labels)


@dataclass(frozen=True, slots=True)
class Told:
    """How a receiver wants it: whether it hears of ends, and how many alerts at most in one notice (0: all)."""

    resolved: bool = True
    most: int = 0


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything that decides who is told."""

    root: Route
    inhibitions: tuple[Inhibition, ...] = ()
    windows: Mapping[str, Window] = field(default_factory=dict)
    receivers: Mapping[str, Told] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    external_url: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one receiver. `id` is made of what it says: the same notice made again has the same one."""

    id: str
    receiver: str
    at: float
    group_key: str
    status: str
    alerts: tuple[str, ...]
    body: Mapping[str, Any]


class _Sources:
    """The alerts that are on and inhibit others, by the labels that must be equal: found without looking at all."""

    def __init__(self, rules: tuple[Inhibition, ...]) -> None:
        self.rules = rules
        self.labels: dict[str, dict[str, str]] = {}
        self._found: list[dict[tuple[str, ...], set[str]]] = [{} for _ in rules]

    def put(self, name: str, labels: Labels) -> None:
        """This alert is on, with these labels."""
        self.drop(name)
        self.labels[name] = dict(labels)
        for rule, found in zip(self.rules, self._found, strict=True):
            if matching(rule.source, labels):
                found.setdefault(rule.key(labels), set()).add(name)

    def drop(self, name: str) -> None:
        """It is over."""
        labels = self.labels.pop(name, None)
        for rule, found in zip(self.rules, self._found, strict=True) if labels is not None else ():
            names = found.get(rule.key(labels or {}), set())
            names.discard(name)
            if not names:
                found.pop(rule.key(labels or {}), None)

    def over(self, name: str, labels: Labels) -> list[str]:
        """Those that inhibit an alert."""
        hits: set[str] = set()
        for rule, found in zip(self.rules, self._found, strict=True):
            if matching(rule.target, labels):
                sources = found.get(rule.key(labels), set())
                hits |= {one for one in sources if one != name and rule.holds(self.labels[one], labels)}
        return sorted(hits)


@dataclass(slots=True)
class _Group:
    labels: dict[str, str]
    due: float
    alerts: dict[str, Alert] = field(default_factory=dict)
    still: bool = False
    """Whether nothing has come since it was looked at, and all that is in it was told: nothing can be new."""


@dataclass(slots=True)
class _Entry:
    """What a receiver was last told of a group (Alertmanager's notification log)."""

    at: float
    firing: list[str]
    resolved: list[str]


class Dispatcher:
    """Gathers alerts in groups and says what is to be told. Small, and all of it goes into `state()`."""

    def __init__(self, routing: Routing, state: Mapping[str, Any] | None = None) -> None:
        self.routing = replace(routing, root=routing.root.numbered())
        self.silences: tuple[Silence, ...] = ()
        """What people silence, by the clock on the wall; those of the settings go by the documents' time."""
        self._wall: float | None = None
        self._routes: dict[str, Route] = {}
        self._groups: dict[Key, _Group] = {}
        self._log: dict[Key, _Entry] = {}
        self._on = _Sources(routing.inhibitions)
        self._due: list[tuple[float, Key]] = []
        self._walk(self.routing.root)
        self._load(state or {})

    def tick(self, now: float, alerts: Iterable[Alert] = (), wall: float | None = None) -> list[Notice]:
        """Takes the alerts that changed at a time and says what is to be told by then.

        Args:
            now: event time; never earlier than before. Call it once for the end of each tick with the changes of all
                series in it, and as often as wanted in between without any: the notices are the same.
            alerts: those that began or changed, or that a person did something to, in any order.
            wall: the time for people, by which snoozes and their silences end; `None`: there is none, as in a replay.
        """
        self._wall = wall
        found = self._flush(now, including=False)
        for alert in sorted(alerts, key=lambda alert: alert.id):
            self._insert(alert, now)
        return found + self._flush(now, including=True)

    def why_silent(self, alert: Alert, now: float) -> list[str]:
        """Why nobody is told of an alert now: muted by a person, silenced or inhibited by which; empty: they are."""
        reasons = ["muted by a person"] if alert.muted(self._wall) else []
        on = [one for one in self.routing.silences if one.holds(alert.labels, now)]
        if self._wall is not None:
            on += [one for one in self.silences if one.holds(alert.labels, self._wall)]
        reasons += [f"silenced by {one.id}" for one in on]
        return reasons + [f"inhibited by {name}" for name in self._on.over(alert.id, alert.labels)]

    def state(self) -> dict[str, Any]:
        """Plain values, in a fixed order, from which a new dispatcher goes on."""
        groups = [
            [*key, group.labels, group.due, [group.alerts[name].to_json() for name in sorted(group.alerts)]]
            for key, group in sorted(self._groups.items(), key=lambda item: item[0])
        ]
        log = [[*key, entry.at, entry.firing, entry.resolved] for key, entry in sorted(self._log.items())]
        return {"groups": groups, "log": log, "on": dict(sorted(self._on.labels.items()))}

    def _load(self, state: Mapping[str, Any]) -> None:
        """What an earlier dispatcher left. Groups of routes that are no more are let go; their alerts come again."""
        for place, labels_text, labels, due, alerts in state.get("groups", ()):
            if place in self._routes:
                kept = {alert.fingerprint: alert for alert in map(Alert.from_json, alerts)}
                self._groups[place, labels_text] = _Group(dict(labels), due, kept)
                heapq.heappush(self._due, (due, (place, labels_text)))
        for place, labels_text, at, firing, resolved in state.get("log", ()):
            self._log[place, labels_text] = _Entry(at, list(firing), list(resolved))
        for name, on in state.get("on", {}).items():
            self._on.put(name, on)

    def _walk(self, route: Route) -> None:
        self._routes[route.place] = route
        for child in route.routes:
            self._walk(child)

    def _insert(self, alert: Alert, now: float) -> None:
        if alert.status not in ("firing", "resolved"):
            return
        before = self._on.labels.get(alert.id)
        if before is not None and fingerprint(before) != alert.fingerprint:
            # Other labels are another alert to whoever is told: the one with the old ones ends.
            self._put(replace(alert, labels=before, status="resolved", ends_at=now), now)
        if alert.status == "firing":
            self._on.put(alert.id, alert.labels)
        else:
            self._on.drop(alert.id)
        self._put(alert, now)

    def _put(self, alert: Alert, now: float) -> None:
        for route in self.routing.root.match(alert.labels):
            names = alert.labels if route.group_by is None else route.group_by
            labels = {name: alert.labels[name] for name in sorted(names) if name in alert.labels}
            key = (route.place, label_text(labels))
            if key not in self._groups:
                due = max(now, (alert.starts_at if alert.starts_at is not None else now) + route.wait)
                self._groups[key] = _Group(labels, due)
                heapq.heappush(self._due, (due, key))
            self._groups[key].alerts[alert.fingerprint] = alert
            self._groups[key].still = False

    def _flush(self, now: float, *, including: bool) -> list[Notice]:
        found = []
        while self._due and (self._due[0][0] <= now if including else self._due[0][0] < now):
            due, key = heapq.heappop(self._due)
            group = self._groups[key]
            if not group.still:
                notice = self._notice(key, group, due)
                found += [notice] if notice else []
                group.alerts = {name: alert for name, alert in group.alerts.items() if alert.status == "firing"}
                group.still = key in self._log and group.alerts.keys() <= set(self._log[key].firing)
            if group.alerts:
                group.due = due + self._routes[key[0]].interval
                heapq.heappush(self._due, (group.due, key))
            else:
                del self._groups[key]
                self._forget(now)
        return found

    def _forget(self, now: float) -> None:
        """Lets go what was last told of groups that are no more: nothing of theirs is on, or it was told long ago."""
        for key in [key for key in self._log if key not in self._groups]:
            route, entry = self._routes.get(key[0]), self._log[key]
            if route is None or not entry.firing or now - entry.at > 2 * route.repeat:
                del self._log[key]

    def _notice(self, key: Key, group: _Group, now: float) -> Notice | None:
        """What the receiver of a group is told now, if anything."""
        route = self._routes[key[0]]
        told = self.routing.receivers.get(route.receiver, Told())
        if not route.receiver or not self._speaks(route, now):
            return None
        self._wake(key, group)
        ordered = sorted(group.alerts.values(), key=lambda alert: (len(alert.labels), sorted(alert.labels.items())))
        alerts = [alert for alert in ordered if not self.why_silent(alert, now)]
        firing = sorted(alert.fingerprint for alert in alerts if alert.status == "firing")
        resolved = sorted(alert.fingerprint for alert in alerts if alert.status == "resolved")
        entry = self._log.get(key)
        if not alerts or not (self._news(entry, firing, resolved, told.resolved) or _again(entry, alerts, route, now)):
            return None
        self._log[key] = _Entry(now, firing, resolved)
        said = alerts if told.resolved else [alert for alert in alerts if alert.status == "firing"]
        if not said:
            return None
        group_key = f"{route.name}:{key[1]}"
        sent = body(Group(route.receiver, group_key, group.labels, told.most), said, self.routing.external_url)
        ids = tuple(f"{alert.id} {alert.status}" for alert in said)
        said_all = "\n".join([route.receiver, key[0], group_key, repr(now), *ids])
        made = hashlib.sha256(said_all.encode("utf-8", errors="replace")).hexdigest()
        return Notice(made[:32], route.receiver, now, group_key, str(sent["status"]), tuple(a.id for a in said), sent)

    def _wake(self, key: Key, group: _Group) -> None:
        """An alert that is snoozed counts as not yet told, so that it is when the time is over."""
        entry = self._log.get(key)
        asleep = {name for name, alert in group.alerts.items() if alert.snoozed(self._wall)}
        if entry is not None and asleep:
            entry.firing = [name for name in entry.firing if name not in asleep]

    @staticmethod
    def _news(entry: _Entry | None, firing: Sequence[str], resolved: Sequence[str], ends: bool) -> bool:
        """Whether there is anything new to tell (Alertmanager's `needsUpdate`)."""
        if entry is None:
            return bool(firing)
        if not set(firing) <= set(entry.firing):
            return True
        if not firing:
            return bool(entry.firing)
        return ends and not set(resolved) <= set(entry.resolved)

    def _speaks(self, route: Route, now: float) -> bool:
        """Whether no window keeps a route silent."""
        windows = self.routing.windows
        if any(windows[name].holds(now) for name in route.mute):
            return False
        return not route.active or any(windows[name].holds(now) for name in route.active)


def _again(entry: _Entry | None, alerts: Sequence[Alert], route: Route, now: float) -> bool:
    """Whether the same has to be told again. What no tick has said anything of since, in a gap, is not."""
    known = entry is not None and any(alert.status == "firing" and alert.updated_at > entry.at for alert in alerts)
    return entry is not None and known and now - entry.at >= route.repeat
