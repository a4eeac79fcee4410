"""Where a person of the desk writes: the field, canned replies, what is known of the customer's last question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui import ui
from sqlalchemy import Connection

from metier.errors import MetierError
from metier.serve.problems import Problem
from metier.serve.support import canned, suggestions
from metier.store import conversations
from metier.types import new_id

if TYPE_CHECKING:
    from metier.serve.support.pages.desk import Desk

TYPING = 2.0
"""Seconds between two signs that somebody types."""
ENTER = """(event) => {
  if (event.shiftKey || event.isComposing) return;
  event.preventDefault();
  const typed = event.target.value;
  event.target.value = '';
  event.target.dispatchEvent(new Event('input', { bubbles: true }));
  emit(typed);
}"""
"""Empties the field in the browser: what is typed while the answer is sent must stay."""


class Composer:
    """Writes into the conversation that a desk shows, where it is the person's own."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self._id = desk, ""
        self.field: ui.textarea | None = None
        self._typed, self._offered = 0.0, ("", 0)
        desk.area(self._state, self._build, "d-composer")
        self.place = ui.element("div").classes("d-offer")

    def _state(self, connection: Connection) -> dict[str, Any]:
        desk = self.desk
        one = conversations.get(connection, desk.chosen) if desk.chosen else None
        mine = one is not None and one.state == "human" and one.agent == desk.caller.name and desk.may("analyst")
        return {"id": desk.chosen if mine else "", "replies": canned.listing(connection) if mine else []}

    def _build(self, found: Mapping[str, Any]) -> None:
        desk, draft = self.desk, self.draft(found["id"])
        self.field, self._id = None, found["id"]
        if not found["id"]:
            return
        self.field = desk.area_field(desk.say("your_answer"), draft, rows=2)
        self.field.on("keydown.enter", lambda event: self._send(event.args), js_handler=ENTER)
        self.field.on_value_change(self._types)
        with ui.element("div").classes("c-actions d-send"):
            desk.button(desk.say("send"), self._press, main=True)
            if found["replies"]:
                texts = {one["id"]: one["title"] for one in found["replies"]}
                chosen = desk.choice(desk.say("canned"), {"": "–", **texts}, "")
                by_id = {one["id"]: one["text"] for one in found["replies"]}
                chosen.on_value_change(lambda change: self._put(by_id.get(change.value, "")))
                desk.button(desk.say("remove_canned"), lambda: self._forget(chosen.value or ""))
        with ui.expansion(desk.say("new_canned")).classes("c-expand"):
            title = desk.entry(desk.say("canned_title"))
            desk.button(desk.say("keep_canned"), lambda: self._keep(title))

    def draft(self, id: str) -> str:
        """What was typed and not sent, where the field is built anew for the same conversation."""
        return (self.field.value or "") if self.field is not None and id == self._id else ""

    # -- what is known -------------------------------------------------------------------------------------------------
    async def offer(self) -> None:
        """Shows what is known of the last question, where that is another one."""
        desk, id = self.desk, self._id if self.field is not None else ""
        last = await asyncio.to_thread(self._last, id) if id else 0
        if (id, last) == self._offered:
            return
        self._offered = (id, last)
        found: Mapping[str, Any] = {"entries": [], "quotes": []}
        if id:
            try:
                found = await desk.console.pool.run(lambda: suggestions.of(desk.support, id))
            except (MetierError, Problem):  # the desk goes on without
                self._offered = ("", 0)
        self.place.clear()
        with self.place:
            self._build_offer(found)

    def _last(self, id: str) -> int:
        with self.desk.console.store.read() as connection:
            latest = conversations.latest(connection, id, suggestions.LOOKED)
        return max((one.number for one in latest if one.author == "visitor"), default=0)

    def _build_offer(self, found: Mapping[str, Any]) -> None:
        rows = [(one["question"], one["answer"], one["score"]) for one in found["entries"]]
        rows += [(one["title"], one["text"], one["score"]) for one in found["quotes"]]
        if not rows:
            return
        desk = self.desk
        ui.html(f"<h2>{desk.say('suggested')}</h2>", sanitize=False)
        with ui.element("ul").classes("d-suggested"):
            for title, text, score in sorted(rows, key=lambda row: -row[2])[: suggestions.MOST]:
                with ui.element("li"):
                    values = {"title": title, "text": text, "score": score}
                    ui.html(str(desk.draw("suggested.html.j2", one=values)), sanitize=False)
                    desk.button(desk.say("use"), partial(self._put, text), label=desk.say("use_it", title=title))

    # -- acts ----------------------------------------------------------------------------------------------------------
    def _put(self, text: str) -> None:
        if text and self.field is not None:
            self.field.set_value(text)
            self.field.run_method("focus")

    async def _press(self) -> None:
        typed = self.draft(self._id)
        if self.field is not None:
            self.field.set_value("")
        await self._send(typed)

    async def _send(self, typed: Any) -> None:
        text, desk, id, message = str(typed).strip(), self.desk, self._id, new_id()
        if not text or not id:
            return
        done = await desk.do("analyst", lambda hand: desk.support.agent_says(id, hand.who, text, message), "")
        if not done and self.field is not None and not self.field.value:
            self.field.set_value(text)

    async def _types(self) -> None:
        now = time.monotonic()
        if self.field is not None and self.field.value and now - self._typed > TYPING:
            self._typed = now
            self.desk.console.hub.typing(self._id, self.desk.caller.name)

    async def _keep(self, title: ui.input) -> None:
        text = self.draft(self._id)
        done = await self.desk.do("analyst", lambda hand: canned.add(hand, title.value or "", text, ""), "canned_kept")
        if done:
            title.set_value("")

    async def _forget(self, id: str) -> None:
        if id:
            await self.desk.do("analyst", lambda hand: canned.remove(hand, id))
