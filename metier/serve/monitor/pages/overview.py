"""The overview: what fires, what one follows, the busiest topics and companies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.monitor.item import EVERYTHING
from metier.serve.monitor import lists, views
from metier.serve.monitor.chart import spark
from metier.serve.monitor.pages.frame import Screen
from metier.store import alerts, ticks
from metier.store.alerts import Watchlist

DAYS = 7
TILES = 18
FIRING = 12


def names_in(text: str) -> list[str]:
    """Names with commas between them, each once."""
    parts = (part.strip() for part in text.replace("，", ",").replace("、", ",").split(","))
    return list(dict.fromkeys(part for part in parts if part))


class Overview(Screen):
    """`/`"""

    title = "overview"

    def build(self) -> None:
        self.heading(self.say("overview"))
        self.part("overview.html.j2", self._firing)
        self.part("tiles.html.j2", self._watched)
        self.area(self._lists, self._build_lists)
        self.part("tiles.html.j2", self._busiest)

    def _firing(self, connection: Connection) -> dict[str, Any]:
        start, end = _span(connection)
        found = alerts.listing(connection, alerts.Wanted(states=("firing",)), 200)
        rows = [views.alert_row(one, self.console.names) for one in found]
        order = {"critical": 0, "warning": 1, "info": 2}
        rows.sort(key=lambda row: (order.get(row["severity"], 3), -row["points"], row["id"]))
        shown = rows[:FIRING]
        return {"firing": [row | {"spark": _spark(connection, row["topic"], row["company"], start, end)}
                           for row in shown]}  # fmt: skip

    def _watched(self, connection: Connection) -> dict[str, Any]:
        start, end = _span(connection)
        groups = []
        for one in alerts.watched(connection, self.caller.name):
            keys = [(topic, EVERYTHING) for topic in one.topics] + [(EVERYTHING, id) for id in one.companies]
            groups.append({"title": one.name, "note": "", "tiles": list(_tiles(connection, keys, start, end))})
        return {"groups": groups}

    def _busiest(self, connection: Connection) -> dict[str, Any]:
        start, end = _span(connection)
        note = self.say("last_days", n=DAYS)
        whole = [(EVERYTHING, EVERYTHING)]
        groups = [{"title": self.say("everything"), "note": note, "tiles": list(_tiles(connection, whole, start, end))}]
        for axis, title in (("topic", "topics"), ("company", "companies")):
            keys = [(one.topic, one.company) for one in ticks.busiest(connection, start, end, axis, TILES)]
            groups.append({"title": self.say(title), "note": note, "tiles": list(_tiles(connection, keys, start, end))})
        return {"groups": groups}

    # -- watchlists ----------------------------------------------------------------------------------------------------
    def _lists(self, connection: Connection) -> dict[str, Any]:
        return {"lists": alerts.watched(connection, self.caller.name)}

    def _build_lists(self, found: Mapping[str, Any]) -> None:
        with ui.expansion(self.say("new_watchlist")).classes("c-expand").props("dense"):
            name = self.entry(self.say("list_name"))
            topics = self.entry(self.say("list_topics"))
            companies = self.entry(self.say("list_companies"))
            self.button(self.say("save"), lambda: self._save(name.value, topics.value, companies.value), main=True)
            for one in found["lists"]:
                self.button(self.say("remove", name=one.name), partial(self._remove, one))

    async def _save(self, name: str, topics: str, companies: str) -> None:
        ids = [self._company(text) for text in names_in(companies)]
        await self.do("viewer", lambda hand: lists.watch(hand, name, names_in(topics), ids))

    async def _remove(self, one: Watchlist) -> None:
        await self.do("viewer", lambda hand: lists.unwatch(hand, one.id))

    def _company(self, text: str) -> str:
        """The id of a company that somebody typed: its id, its name, or as it stands."""
        table = self.console.names.companies
        known = {one.name.casefold(): one.id for one in table.companies.values()} if table else {}
        return known.get(text.casefold(), text)


def _span(connection: Connection) -> tuple[float, float]:
    """The last days of the stream."""
    found = ticks.span(connection)
    end = found[1] + 1.0 if found else 0.0
    return end - DAYS * views.DAY, end


def _tiles(
    connection: Connection, keys: Iterable[tuple[str, str]], start: float, end: float
) -> Iterable[dict[str, Any]]:
    firing = {(one.topic, one.company) for one in alerts.listing(connection, alerts.Wanted(states=("firing",)), None)}
    for topic, company in keys:
        rows = ticks.of_series(connection, topic, company, start, end)
        yield {
            "topic": topic, "company": company, "negatives": sum(row.negatives for row in rows),
            "firing": (topic, company) in firing, "spark": _spark(connection, topic, company, start, end),
        }  # fmt: skip


def _spark(connection: Connection, topic: str, company: str, start: float, end: float) -> str:
    rows = ticks.of_series(connection, topic, company, start, end)
    return spark([(row.start, row.negatives, bool((row.signal or {}).get("firing"))) for row in rows], start, end)
