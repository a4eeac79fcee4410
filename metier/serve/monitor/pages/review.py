"""What could not be linked or read, for somebody to settle or to mend."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from sqlalchemy import Connection

from metier.serve.monitor import lists
from metier.serve.monitor.pages.frame import Screen
from metier.store import documents, quarantine

NAMES, ASIDE = 60, 20
LONGEST = 20_000
"""Characters of what was set aside that a field shows; a longer one is mended elsewhere."""


class Review(Screen):
    """`/review`"""

    role = "analyst"
    title = "review"

    def build(self) -> None:
        self.heading(self.say("review"))
        self.edited: dict[int, str] = {}
        self.area(self._unlinked, self._build_unlinked)
        self.area(self._aside, self._build_aside)

    def _unlinked(self, connection: Connection) -> dict[str, Any]:
        return {"names": documents.unlinked_names(connection, NAMES)}

    def _build_unlinked(self, found: Mapping[str, Any]) -> None:
        ui.html(f"<h2>{self.say('unlinked')}</h2><p class='m-quiet'>{self.say('unlinked_lead')}</p>", sanitize=False)
        if not found["names"]:
            ui.label(self.say("none")).classes("m-quiet")
        with ui.element("ul").classes("c-rows"):
            for name, count, last in found["names"]:
                with ui.element("li"):
                    ui.label(name).classes("c-grow")
                    ui.label(self.say("seen_times", n=count, time=self.at(last))).classes("m-quiet")
                    self.button("✓", partial(self._settle, name), label=self.say("settle", name=name))

    def _aside(self, connection: Connection) -> dict[str, Any]:
        return {"rows": list(quarantine.waiting(connection, limit=ASIDE)), "counts": quarantine.counts(connection)}

    def _build_aside(self, found: Mapping[str, Any]) -> None:
        total = sum(found["counts"].values())
        words = f"<h2>{self.say('quarantine')} ({total})</h2><p class='m-quiet'>{self.say('quarantine_lead')}</p>"
        ui.html(words, sanitize=False)
        with ui.element("ul").classes("c-cards"):
            for one in found["rows"]:
                with ui.element("li").classes("m-card"):
                    ui.label(f"{one.source} · {self.at(one.at)} · {one.reason}").classes("m-quiet")
                    label = self.say("mended", n=one.number)
                    field = ui.textarea(label=label, value=self.edited.get(one.number, one.raw[:LONGEST])).classes(
                        "m-field"
                    )
                    field.props("outlined autogrow").props["aria-label"] = label
                    field.on_value_change(partial(self._edit, one.number))
                    replay = partial(self._replay, one.number, one.raw, field)
                    self.button(self.say("replay", n=one.number), replay, main=True)

    def _edit(self, number: int, change: ValueChangeEventArguments[Any]) -> None:
        """Keeps what is being typed, for when something else is set aside meanwhile."""
        self.edited[number] = str(change.value or "")

    async def _settle(self, name: str) -> None:
        await self.do("analyst", lambda hand: lists.link(hand, [name]))

    async def _replay(self, number: int, raw: str, field: ui.textarea) -> None:
        text = field.value or ""
        contents = {} if text == raw[:LONGEST] else {number: text}
        await self.do("analyst", lambda hand: lists.replay(hand, self.console.inbox, [number], contents), "replayed")
