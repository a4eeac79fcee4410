"""The inbox: alerts that match, the latest first, with what is done to them most."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.monitor.alerts.matchers import from_json
from metier.serve.monitor import acts, lists, views
from metier.serve.monitor.drawing import draw
from metier.serve.monitor.pages.frame import Screen
from metier.store import alerts
from metier.store.alerts import Silence, Wanted

PAGE = 25
VERDICTS = {"true": "is_true", "false": "is_false", "unclear": "is_unclear"}
KEYS = ("state", "severity", "verdict", "topic", "company", "owner")


class Inbox(Screen):
    """`/alerts`"""

    title = "alerts"

    def build(self) -> None:
        self.heading(self.say("alerts"))
        self.shown = PAGE
        self.part("filters.html.j2", self._filters, tag="div")
        self.area(self._found, self._build_found)
        self.area(self._silences, self._build_silences)

    def _filters(self, connection: Connection) -> dict[str, Any]:
        choices = {
            "status": ("state", ("pending", "firing", "resolved")[1:]),
            "severity": ("severity", ("critical", "warning", "info")),
            "verdict": ("verdict", ("none", "true", "false", "unclear")),
        }
        selects = []
        for name, (key, values) in choices.items():
            prefix = "verdict_" if name == "verdict" else ""
            options = [("", self.say("any")), *((value, self.say(prefix + value)) for value in values)]
            selects.append({"name": name, "key": key, "options": options, "value": self.asked.get(key, "")})
        kept = {key: value for key, value in self.asked.items() if key in KEYS and value}
        query = {key: "" if (key, value) == ("verdict", "none") else value for key, value in kept.items()}
        return {"selects": selects, "asked": self.asked, "query": urlencode(query)}

    def _wanted(self) -> Wanted:
        asked = {key: self.asked.get(key, "").strip() or None for key in KEYS}
        verdict = "" if asked["verdict"] == "none" else asked["verdict"]
        return Wanted(
            [asked["state"]] if asked["state"] else None, asked["topic"], self._company(asked["company"]),
            severities=[asked["severity"]] if asked["severity"] else None, owner=asked["owner"], verdict=verdict,
        )  # fmt: skip

    def _company(self, typed: str | None) -> str | None:
        """The id of a company that was typed by its name."""
        found = self.console.names.like(typed, (), 1) if typed else []
        known = self.console.names.companies
        return typed if not found or (known and typed in known.companies) else found[0]["id"]

    def _found(self, connection: Connection) -> dict[str, Any]:
        found = alerts.listing(connection, self._wanted(), self.shown + 1)
        rows = [views.alert_row(one, self.console.names) for one in found]
        return {"rows": rows[: self.shown], "more": len(rows) > self.shown}

    def _build_found(self, found: Mapping[str, Any]) -> None:
        if not found["rows"]:
            ui.label(self.say("no_alerts")).classes("m-quiet")
        with ui.element("ul").classes("c-cards"):
            for row in found["rows"]:
                self._build_row(row)
        if found["more"]:
            self.button(self.say("more"), self._more)

    def _build_row(self, row: Mapping[str, Any]) -> None:
        with ui.element("li").classes(f"m-card c-alert {row['severity']}"):
            values = {"one": row, "names": self.console.names, "zone": self.zone}
            ui.html(draw("alert_line.html.j2", self.language, **values), sanitize=False)
            if self.may("analyst"):
                with ui.element("div").classes("c-actions"):
                    if row["status"] == "firing" and not row["acknowledged"]:
                        self.button(self.say("acknowledge"), partial(self._acknowledge, row["id"]), main=True)
                    for verdict, words in VERDICTS.items():
                        if row["verdict"] != verdict:
                            self.button(self.say(words), partial(self._judge, row["id"], verdict))

    def _silences(self, connection: Connection) -> dict[str, Any]:
        return {"silences": alerts.silenced(connection, self.console.clock())}

    def _build_silences(self, found: Mapping[str, Any]) -> None:
        """The silences that are on."""
        if found["silences"]:
            ui.html(f"<h2>{self.say('silences')}</h2>", sanitize=False)
            with ui.element("ul").classes("c-rows"):
                for one in found["silences"]:
                    with ui.element("li"):
                        silence_line(self, one)

    async def _acknowledge(self, id: str) -> None:
        await self.do("analyst", lambda hand: acts.acknowledge(hand, id))

    async def _judge(self, id: str, verdict: str) -> None:
        await self.do("analyst", lambda hand: acts.judge(hand, id, verdict))

    async def _more(self) -> None:
        self.shown += PAGE
        await self.refresh()


def silence_line(screen: Screen, one: Silence) -> None:
    """What a silence keeps quiet, until when, by whom, and a button that ends it."""
    shown = ", ".join(map(str, from_json(one.matchers)))
    words = screen.say("silenced", matchers=shown, time=screen.at(one.ends), name=one.by)
    ui.label(f"{words} {one.comment}".strip()).classes("m-quiet c-grow")
    if screen.may("analyst"):
        end = partial(screen.do, "analyst", partial(lists.unsilence, id=one.id))
        screen.button(screen.say("end_silence"), end)
