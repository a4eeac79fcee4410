"""`[alerts]` of the settings: how alerts live, who is told of them, who is not. Strict, every mistake told at once."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from metier.apps.monitor.alerts import windows
from metier.apps.monitor.alerts.dispatch import Inhibition, Route, Routing, Silence, Told
from metier.apps.monitor.alerts.life import Rules
from metier.apps.monitor.alerts.matchers import NAME, Matcher, parse
from metier.apps.monitor.alerts.severity import Scale
from metier.apps.tables import Length, Part, Words, length
from metier.apps.zones import zone_of
from metier.errors import RecipeError, nearest
from metier.recipe.mistakes import fill

ALL_LABELS = "..."
"""In `group_by`: every label, so that each alert is a group of its own."""


def _matchers(texts: Any) -> Any:
    """Matchers out of their texts; what is wrong with one is said as pydantic wants it said."""
    if not isinstance(texts, list | tuple):
        return texts
    try:
        return tuple(one for text in texts for one in ([text] if isinstance(text, Matcher) else parse(str(text))))
    except RecipeError as error:
        raise ValueError(str(error)) from None


def _label(name: str) -> str:
    if name != ALL_LABELS and not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a label")
    return name


Matchers = Annotated[tuple[Matcher, ...], BeforeValidator(_matchers), Field(strict=False)]
Names = Annotated[tuple[Annotated[str, AfterValidator(_label)], ...], Field(strict=False)]


class SeverityPart(Part):
    """The points of the severity; see `metier.apps.monitor.alerts.severity`."""

    excess: Annotated[float, Field(ge=0)] = 4.0
    statistic: Annotated[float, Field(ge=0)] = 2.0
    sources: Annotated[float, Field(ge=0)] = 2.0
    watched: Annotated[float, Field(ge=0)] = 1.0
    warning: Annotated[float, Field(ge=0)] = 2.0
    critical: Annotated[float, Field(ge=0)] = 4.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.critical < self.warning:
            raise ValueError("alerts.severity.critical is under alerts.severity.warning")
        return self


class WindowPart(Part):
    """A named part of time in which routes are silent, or alone speak."""

    name: str
    times: Words = ()
    weekdays: Words = ()
    days: Words = ()
    months: Words = ()
    years: Words = ()
    zone: str = "UTC"

    def window(self) -> windows.Window:
        """As the dispatcher reads it. Raises `ValueError`."""
        try:
            zone_of(self.zone)
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return windows.Window(
            self.name,
            tuple(windows.times(text) for text in self.times),
            tuple(windows.named(text, windows.DAYS, 0) for text in self.weekdays),
            tuple(windows.numbers(text, -31, 31) for text in self.days),
            tuple(windows.named(text, windows.MONTHS, 1) for text in self.months),
            tuple(windows.numbers(text, 1, 9_999) for text in self.years),
            self.zone,
        )

    @model_validator(mode="after")
    def _understood(self) -> Self:
        self.window()
        return self


class ReceiverPart(Part):
    """Somebody who is told: a webhook, or anything that apprise knows. Secrets stay in the environment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    url: str = ""
    """Of a webhook (Alertmanager's, version 4)."""
    url_env: str = ""
    """The environment variable with the address, where the address itself is a secret."""
    token_env: str = ""
    """The environment variable with a token for `Authorization: Bearer`."""
    secret_env: str = ""
    """The environment variable with the key that signs the body (HMAC with SHA-256)."""
    apprise_env: str = ""
    """The environment variable with addresses of apprise, separated by spaces."""
    language: typing.Literal["en", "zh"] = "en"
    """Of the texts that apprise sends."""
    send_resolved: bool = True
    max_alerts: Annotated[int, Field(ge=0)] = 0
    timeout: Annotated[float, BeforeValidator(length), Field(gt=0, le=300)] = 10.0
    per_minute: Annotated[int, Field(ge=1, le=6_000)] = 60
    allow_private: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("url", "url_env", "apprise_env") if getattr(self, name)]
        if len(ways) != 1:
            given = " and ".join(ways) or "none of them"
            raise ValueError(f"the receiver {self.name!r} has {given}; it takes one of url, url_env and apprise_env")
        if self.url and not re.match(r"https?://[^/@\s]+(/|$)", self.url):
            raise ValueError(f"the url of the receiver {self.name!r} is none of the web, or holds a password")
        return self


class RoutePart(Part):
    """A node of the routing tree. What is left out comes from its parent."""

    matchers: Annotated[Matchers, Field(min_length=1)]
    receiver: str | None = None
    group_by: Names | None = None
    group_wait: Length | None = None
    group_interval: Annotated[float, BeforeValidator(length), Field(gt=0)] | None = None
    repeat_interval: Annotated[float, BeforeValidator(length), Field(gt=0)] | None = None
    going_on: Annotated[bool, Field(alias="continue")] = False
    mute: Words = ()
    active: Words = ()
    routes: Annotated[tuple[RoutePart, ...], Field(strict=False)] = ()

    def below(self, parent: Route) -> Route:
        """The node with what it has from its parent; mute and active windows are not inherited, as in Alertmanager."""
        own = Route(
            self.receiver or parent.receiver,
            self.matchers,
            parent.group_by if self.group_by is None else _grouped(self.group_by),
            parent.wait if self.group_wait is None else self.group_wait,
            self.group_interval or parent.interval,
            self.repeat_interval or parent.repeat,
            self.going_on,
            self.mute,
            self.active,
        )
        return _with(own, self.routes)


class InhibitPart(Part):
    """`target` alerts are not told of while a `source` alert with the same labels `equal` is on."""

    source: Annotated[Matchers, Field(min_length=1)]
    target: Annotated[Matchers, Field(min_length=1)]
    equal: Names = ()


STANDARD = (
    InhibitPart(source=parse('topic!="",company=""'), target=parse('company!=""'), equal=("topic",)),
    InhibitPart(source=parse('sector!="",company=""'), target=parse('sector!="",company!=""'), equal=("sector",)),
)
"""What holds without `[[alerts.inhibit]]`: a topic or a sector as a whole over its companies."""


class SilencePart(Part):
    """No notices for alerts that match, between two times with a time zone (without one: UTC)."""

    matchers: Annotated[Matchers, Field(min_length=1)]
    start: Annotated[datetime, Field(alias="from")]
    end: Annotated[datetime, Field(alias="until")]
    who: str = ""
    comment: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if _seconds(self.start) >= _seconds(self.end):
            raise ValueError("a silence ends before it begins")
        return self


class AlertsPart(Part):
    """The table `[alerts]`."""

    hold: Annotated[Length, Field(alias="for")] = 0.0
    least: Annotated[int, Field(ge=1)] = 3
    keep: Annotated[int, Field(ge=1, le=10_000)] = 4
    reopen: Length = 21_600.0
    external_url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    severity: SeverityPart = SeverityPart()
    receivers: Annotated[tuple[ReceiverPart, ...], Field(strict=False)] = ()
    windows: Annotated[tuple[WindowPart, ...], Field(strict=False)] = ()
    receiver: str = ""
    """Who is told of what no route below takes; empty: nobody."""
    group_by: Names = ("topic",)
    group_wait: Length = 0.0
    """Unlike in Alertmanager nothing: all series of a tick are judged together, so that there is nobody to wait for."""
    group_interval: Annotated[float, BeforeValidator(length), Field(gt=0)] = 300.0
    repeat_interval: Annotated[float, BeforeValidator(length), Field(gt=0)] = 14_400.0
    routes: Annotated[tuple[RoutePart, ...], Field(strict=False)] = ()
    inhibit: Annotated[tuple[InhibitPart, ...], Field(strict=False)] = STANDARD
    silences: Annotated[tuple[SilencePart, ...], Field(strict=False)] = ()

    # Checks of one field that see the fields before it, so that a mistake there hides none here.
    @field_validator("receivers", "windows")
    @classmethod
    def _once(cls, parts: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        names = [part.name for part in parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"alerts.{info.field_name} has {', '.join(twice)} more than once")
        return parts

    @field_validator("receiver")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        problems = list(_unknown("receiver", [name], info.data.get("receivers")))
        if problems:
            raise ValueError("; ".join(problems))
        return name

    @field_validator("routes")
    @classmethod
    def _led(cls, routes: tuple[RoutePart, ...], info: ValidationInfo) -> tuple[RoutePart, ...]:
        nodes = list(_nodes(routes))
        problems = list(_unknown("receiver", [node.receiver or "" for node in nodes], info.data.get("receivers")))
        named = [name for node in nodes for name in (*node.mute, *node.active)]
        problems += _unknown("window", named, info.data.get("windows"))
        if problems:
            raise ValueError("; ".join(problems))
        return routes

    @classmethod
    def read(cls, values: dict[str, Any], source: str = "settings") -> AlertsPart:
        """The part out of the table `[alerts]`. Raises one `RecipeError` that names every mistake in it."""
        return fill(cls, values, source, "alerts")

    def rules(self) -> Rules:
        """How alerts live."""
        return Rules(self.hold, self.least, self.keep, self.reopen, Scale(**self.severity.model_dump()))

    def routing(self) -> Routing:
        """Who is told."""
        times = (self.group_wait, self.group_interval, self.repeat_interval)
        root = _with(Route(self.receiver, (), _grouped(self.group_by), *times), self.routes)
        silences = tuple(
            Silence(f"settings-{at}", one.matchers, _seconds(one.start), _seconds(one.end), one.who, one.comment)
            for at, one in enumerate(self.silences, 1)
        )
        return Routing(
            root,
            tuple(Inhibition(rule.source, rule.target, rule.equal) for rule in self.inhibit),
            {part.name: part.window() for part in self.windows},
            {part.name: Told(part.send_resolved, part.max_alerts) for part in self.receivers},
            silences,
            self.external_url,
        )


def _unknown(kind: str, names: list[str], parts: tuple[Any, ...] | None) -> Iterator[str]:
    """What is named and is not there; nothing where the parts themselves were wrong."""
    known = None if parts is None else [part.name for part in parts]
    for name in dict.fromkeys(names):
        if name and known is not None and name not in known:
            yield f"there is no {kind} {name!r}.{nearest(name, known)}"


def _nodes(routes: tuple[RoutePart, ...]) -> Iterator[RoutePart]:
    for route in routes:
        yield route
        yield from _nodes(route.routes)


def _grouped(names: tuple[str, ...]) -> tuple[str, ...] | None:
    return None if ALL_LABELS in names else tuple(sorted(set(names)))


def _with(route: Route, children: tuple[RoutePart, ...]) -> Route:
    return replace(route, routes=tuple(child.below(route) for child in children))


def _seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
