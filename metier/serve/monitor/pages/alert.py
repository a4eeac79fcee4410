"""One alert: what was counted, why it was raised, what people did about it, and what can be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.monitor.alerts.matchers import Matcher, from_json, matching
from metier.serve.doors.hand import Hand
from metier.serve.monitor import acts, lists, views
from metier.serve.monitor.chart import Mark, chart, detectors
from metier.serve.monitor.drawing import zone_of
from metier.serve.monitor.pages.alerts import VERDICTS, silence_line
from metier.serve.monitor.pages.frame import Absent, Screen
from metier.store import alerts, people

SNOOZES = {"3600": "1", "14400": "4", "86400": "24", "604800": "168"}
DAY = 86_400.0


class AlertPage(Screen):
    """`/alerts/{id}`"""

    title = "alerts"

    def check(self, connection: Connection) -> None:
        self.id = self.params["id"]
        if alerts.get(connection, self.id) is None:
            raise Absent

    def build(self) -> None:
        self.part("alert_head.html.j2", self._head)
        if self.may("analyst"):
            with ui.element("div").classes("m-card c-acts"):
                self.comment = self.entry(self.say("comment"))
                self.area(self._acts, self._build_acts)
        self.part("alert.html.j2", self._why, tag="div", classes="c-why")
        self.part("told.html.j2", self._told, classes="m-card")
        self.part("history.html.j2", self._history, classes="m-card")

    def _head(self, connection: Connection) -> dict[str, Any]:
        return {"one": views.alert_row(acts.found(connection, self.id), self.console.names)}

    def _why(self, connection: Connection) -> dict[str, Any]:
        stored = acts.found(connection, self.id)
        alert, found = acts.current(stored), dict(stored.evidence or {})
        rows = found.get("counts", [])
        mark = Mark(stored.since, stored.resolved if stored.state == "resolved" else None, stored.severity)
        order = dict.fromkeys([*found.get("stories_by_heat", ()), *found.get("stories_by_negativity", ())])
        blank: dict[str, Any] = {"stories_in_all": 0, "words": [], "entities": [], "sources": [], "detectors": [],
                                 "run": "", "settings": {}}  # fmt: skip
        return {
            "found": blank | found, "rows": rows, "drawn": detectors(rows),
            "chart": chart(rows, [mark], zone_of(self.zone), self.language, self.id),
            "stories": [{"id": name, **found["stories"][name]} for name in order],
            "reason": alert.severity.zh if self.language == "zh" else alert.severity.en,
        }  # fmt: skip

    def _history(self, connection: Connection) -> dict[str, Any]:
        return {"history": views.history(connection, self.id)}

    def _told(self, connection: Connection) -> dict[str, Any]:
        return {"notices": views.told(connection, acts.found(connection, self.id))}

    # -- acts ----------------------------------------------------------------------------------------------------------
    def _acts(self, connection: Connection) -> dict[str, Any]:
        row = views.alert_row(acts.found(connection, self.id), self.console.names)
        now = self.console.clock()
        kept = ("status", "acknowledged", "verdict", "owner", "topic", "company")
        silences = [one for one in alerts.silenced(connection, now) if self._holds(one.matchers, row["labels"])]
        return {
            **{name: row[name] for name in kept},
            "quiet": bool(row["snoozed_until"] and row["snoozed_until"] > now),
            "people": [one.name for one in people.listing(connection) if one.active],
            "silences": silences,
        }

    @staticmethod
    def _holds(matchers: Any, labels: Mapping[str, str]) -> bool:
        return matching(from_json(matchers), labels)

    def _build_acts(self, state: Mapping[str, Any]) -> None:
        with ui.element("div").classes("c-actions"):
            if state["status"] == "firing" and not state["acknowledged"]:
                self.button(self.say("acknowledge"), self._acknowledge, main=True)
            for verdict, words in VERDICTS.items():
                made = self.button(self.say(words), partial(self._judge, verdict))
                made.props["aria-pressed"] = str(state["verdict"] == verdict).lower()
                made.classes("chosen" if state["verdict"] == verdict else "")
            self.button(self.say("add_comment"), self._remark)
        with ui.element("div").classes("c-actions"):
            if state["quiet"]:
                self.button(self.say("wake"), self._wake)
            else:
                hours = {key: self.say("n_hours", n=value) for key, value in SNOOZES.items()}
                length = self.choice(self.say("snooze_for"), hours, "14400")
                self.button(self.say("snooze"), lambda: self._snooze(float(length.value)))
                self.button(self.say("silence"), lambda: self._silence(float(length.value), state))
            known = dict.fromkeys([self.caller.name, *([state["owner"]] if state["owner"] else ()), *state["people"]])
            options = {"": self.say("nobody"), **{name: name for name in known}}
            owner = self.choice(self.say("assign_to"), options, state["owner"] or self.caller.name)
            self.button(self.say("assign"), lambda: self._own(owner.value or None))
        for one in state["silences"]:
            with ui.element("div").classes("c-actions"):
                silence_line(self, one)

    async def _acknowledge(self) -> None:
        await self._said(lambda hand, words: acts.acknowledge(hand, self.id, words))

    async def _judge(self, verdict: str) -> None:
        await self._said(lambda hand, words: acts.judge(hand, self.id, verdict, words))

    async def _remark(self) -> None:
        await self._said(lambda hand, words: acts.remark(hand, self.id, words))

    async def _snooze(self, seconds: float) -> None:
        await self._said(lambda hand, words: acts.snooze(hand, self.id, hand.now + seconds, words))

    async def _said(self, work: Callable[[Hand, str], Any]) -> None:
        """An act with what was typed beside it; the field is empty then."""
        words = self.comment.value or ""
        if await self.do("analyst", lambda hand: work(hand, words)):
            self.comment.set_value("")

    async def _wake(self) -> None:
        await self.do("analyst", lambda hand: acts.snooze(hand, self.id, None))

    async def _own(self, owner: str | None) -> None:
        await self.do("analyst", lambda hand: acts.own(hand, self.id, owner))

    async def _silence(self, seconds: float, state: Mapping[str, Any]) -> None:
        wanted = [Matcher(name, state[name]) for name in ("topic", "company") if state[name] != "*"]
        wanted = wanted or [Matcher("alertname", "NegativeSurge")]
        text = ", ".join(map(str, wanted))
        await self._said(lambda hand, words: lists.silence(hand, text, None, hand.now + seconds, words))
