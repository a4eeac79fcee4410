"""Events that no alert told of: a form to report one, and those that were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.monitor.item import EVERYTHING
from metier.errors import DataError
from metier.serve.monitor import lists
from metier.serve.monitor.drawing import draw, zone_of
from metier.serve.monitor.pages.frame import Screen
from metier.store import alerts
from metier.store.alerts import Missed


class MissedEvents(Screen):
    """`/missed`"""

    title = "missed"

    def build(self) -> None:
        self.heading(self.say("missed"), self.say("missed_lead"))
        if self.may("analyst"):
            with ui.element("div").classes("m-card c-acts"):
                self._build_form()
        self.area(self._events, self._build_events)

    def _build_form(self) -> None:
        topic = self.entry(self.say("topic"), self.asked.get("topic", ""))
        company = self.entry(self.say("company"), self.asked.get("company", ""))
        starts = self.entry(self.say("starts"), kind="datetime-local")
        ends = self.entry(self.say("ends"), kind="datetime-local")
        comment = self.entry(self.say("comment"))

        async def report() -> None:
            def work(hand: Any) -> None:
                found = self.console.names.like(company.value or "", (), 1)
                id = found[0]["id"] if found else (company.value or "").strip()
                event = Missed(
                    (topic.value or "").strip() or EVERYTHING, id or EVERYTHING, self._moment(starts.value),
                    self._moment(ends.value), hand.who, hand.now, comment.value or "",
                )  # fmt: skip
                lists.miss(hand, event)

            if await self.do("analyst", work, "reported"):
                for field in (topic, company, starts, ends, comment):
                    field.set_value("")

        with ui.element("div").classes("c-actions"):
            self.button(self.say("report"), report, main=True)

    def _moment(self, text: str | None) -> float:
        """A time of the viewer's clock. Raises `DataError`."""
        try:
            return datetime.fromisoformat(text or "").replace(tzinfo=zone_of(self.zone)).timestamp()
        except ValueError:
            raise DataError(self.say("bad_time")) from None

    def _events(self, connection: Connection) -> dict[str, Any]:
        return {"events": alerts.missed_events(connection)[::-1][:100]}

    def _build_events(self, found: Mapping[str, Any]) -> None:
        ui.html(f"<h2>{self.say('reported_events')}</h2>", sanitize=False)
        if not found["events"]:
            ui.label(self.say("none")).classes("m-quiet")
        with ui.element("ul").classes("c-rows"):
            for one in found["events"]:
                with ui.element("li"):
                    values = {"topic": one.topic, "company": one.company, "names": self.console.names}
                    ui.html(draw("name.html.j2", self.language, **values), sanitize=False)
                    span = self.say("from_to", first=self.at(one.starts), last=self.at(one.ends))
                    ui.label(f"{span} · {one.who} · {one.comment}").classes("m-quiet c-grow")
                    if self.may("analyst"):
                        self.button(self.say("withdraw"), partial(self._withdraw, one.id))

    async def _withdraw(self, id: str) -> None:
        await self.do("analyst", lambda hand: lists.withdraw(hand, id))
