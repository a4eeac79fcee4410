"""One series: counts, expected band, statistics and alerts on one time axis, and the stories behind them."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.monitor.item import EVERYTHING
from metier.serve.monitor import lists, views
from metier.serve.monitor.chart import Mark, chart, detectors
from metier.serve.monitor.drawing import draw, series_link, zone_of
from metier.serve.monitor.pages.frame import Screen
from metier.store import alerts, documents, ticks
from metier.store.alerts import Watchlist

WINDOWS = (72, 240, 720)
"""Ticks on a page."""
STORIES = 30
MINE = "★"
"""The name of the watchlist that the button of this page fills."""


class Series(Screen):
    """`/series?topic=...&company=...`, `n` ticks up to `end`."""

    title = "open_series"

    def build(self) -> None:
        self.topic = self.asked.get("topic", EVERYTHING) or EVERYTHING
        self.company = self.asked.get("company", EVERYTHING) or EVERYTHING
        with ui.element("div").classes("c-title"):
            self.part("series_head.html.j2", lambda _: {"topic": self.topic, "company": self.company}, tag="div")
            if (self.topic, self.company) != (EVERYTHING, EVERYTHING):
                self.button(f"{MINE} {self.say('watch_this')}", self._watch)
        self.part("series.html.j2", self._series)

    def _series(self, connection: Connection) -> dict[str, Any]:
        tick = views.tick_length(connection) or 3600.0
        n = int(self.asked["n"]) if self.asked.get("n", "").isdigit() else WINDOWS[1]
        n = min(max(n, 12), 2_000)
        last = (ticks.span(connection) or (0.0, 0.0))[1] + tick
        end = min(last, _number(self.asked.get("end", "")) or last)
        start = end - n * tick
        rows = views.series_rows(connection, self.topic, self.company, start, end)
        found = views.series_alerts(connection, self.topic, self.company, start, end)
        marks = [Mark(one.since, one.resolved if one.state == "resolved" else None, one.severity) for one in found]
        name = draw("name.html.j2", self.language, topic=self.topic, company=self.company, names=self.console.names)
        ahead = end + n * tick / 2
        return {
            "topic": self.topic, "company": self.company, "rows": rows, "drawn": detectors(rows), "n": n,
            "chart": chart(rows, marks, zone_of(self.zone), self.language, name.striptags()),
            "windows": [{"n": one, "seconds": one * tick, "here": one == n} for one in WINDOWS],
            "earlier": series_link(self.topic, self.company, n=n, end=end - n * tick / 2),
            "later": series_link(self.topic, self.company, n=n, end=ahead) if end < last else "",
            "found": [views.alert_row(one, self.console.names) for one in found],
            "stories": self._stories(connection, start, end),
        }  # fmt: skip

    def _stories(self, connection: Connection, start: float, end: float) -> list[dict[str, Any]]:
        """The stories that counted in the series, the latest first."""
        below = None if self.company == EVERYTHING else self._below()
        found = documents.counted(connection, start, end, below, limit=2_000)
        kept = [one for one in reversed(found) if self._is_of(one.topics)][:STORIES]
        return views.document_row(connection, kept, self.console.names)

    def _is_of(self, topics: Any) -> bool:
        return self.topic == EVERYTHING or any(one["label"] == self.topic for one in topics or ())

    def _below(self) -> list[str]:
        """The companies that count for this one: itself, and those that roll up to it."""
        table = self.console.names.companies
        own = [id for id in table.companies if self.company in table.rolled_up([id])] if table else []
        return [*own, self.company]

    async def _watch(self) -> None:
        def work(hand: Any) -> None:
            with hand.store.read() as connection:
                mine = [one for one in alerts.watched(connection, hand.who) if one.name == MINE]
            one = mine[0] if mine else Watchlist(MINE, hand.who)
            topics = list(dict.fromkeys([*one.topics, *_named(self.topic)]))
            companies = list(dict.fromkeys([*one.companies, *_named(self.company)]))
            lists.watch(hand, MINE, topics, companies, one.id if mine else "")

        await self.do("viewer", work, "watching")


def _named(name: str) -> list[str]:
    return [] if name == EVERYTHING else [name]


def _number(text: str) -> float:
    try:
        return max(0.0, min(float(text), 1e11))
    except ValueError:
        return 0.0
