"""What all pages of the monitor have beside what those of every console do: its menu, its words, alerts as news."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Request
from sqlalchemy import Connection

from metier.serve.doors import screen
from metier.serve.doors.screen import Absent, register
from metier.serve.monitor.drawing import draw
from metier.serve.monitor.phrases import say
from metier.store import alerts, ticks
from metier.store.alerts import StoredAlert

if TYPE_CHECKING:
    from markupsafe import Markup

    from metier.serve.doors.door import Caller
    from metier.serve.monitor.console import Console

__all__ = ["Absent", "Screen", "register"]


class Screen(screen.Screen):
    """One visitor's page of the monitor."""

    title = "overview"
    menu = (
        ("/", "overview", "viewer"), ("/alerts", "alerts", "viewer"), ("/companies", "companies", "viewer"),
        ("/review", "review", "analyst"), ("/missed", "missed", "viewer"), ("/people", "people", "admin"),
    )  # fmt: skip

    def __init__(self, console: Console, caller: Caller, request: Request) -> None:
        super().__init__(console, caller, request)
        self.console: Console = console
        self._told_of: set[str] | None = None
        self._on: dict[str, StoredAlert] = {}

    def say(self, name: str, /, **values: object) -> str:
        return say(name, self.language, **values)

    def draw(self, template: str, **values: Any) -> Markup:
        return draw(template, self.language, **values)

    def mark(self) -> Any:
        return self.console.mark()

    def shared(self) -> Mapping[str, Any]:
        return {"names": self.console.names}

    def counts(self, connection: Connection) -> Mapping[str, int]:
        firing = alerts.listing(connection, alerts.Wanted(states=("firing",)), 100)
        self._on = {one.id: one for one in firing}
        return {"alerts": len(firing)}

    def foot(self, connection: Connection) -> Mapping[str, Any]:
        span = ticks.span(connection)
        return {"zone": self.zone, "last": span and self.at(span[1])}

    def announce(self) -> None:
        """Says which alerts are new since the page was opened."""
        now = set(self._on)
        new = sorted(now - self._told_of) if self._told_of is not None else []
        self._told_of = now
        if new:
            one = self._on[new[0]]
            name = draw("name.html.j2", self.language, topic=one.topic, company=one.company, names=self.console.names)
            link = f'<a href="/alerts/{quote(one.id, safe="")}">{name}</a>'
            self.notice.set_content(self.say("new_alert", name=link))
