"""The desk: who waits, one's own conversations, and one of them with what was said, as it is said."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from nicegui import background_tasks, ui
from sqlalchemy import Connection

from metier.errors import MetierError
from metier.serve.problems import Problem
from metier.serve.support import views
from metier.serve.support.drawing import waited
from metier.serve.support.hub import Note
from metier.serve.support.pages.composer import Composer
from metier.serve.support.pages.erasing import Erasing
from metier.serve.support.pages.frame import Screen
from metier.store import conversations
from metier.store.conversations import Conversation

logger = logging.getLogger(__name__)
SHOWN = 50
"""Conversations of a list."""
RECENT = 12
SAID = 200
"""Messages that are shown, the latest."""
PREVIEW = 90
ACTS = {
    "bot": ("take",),
    "pending": ("take", "hand_back", "resolve"),
    "human": ("resolve", "return", "hand_back"),
    "resolved": (),
}
BOTTOM = "setTimeout(() => { const log = document.querySelector('.d-log'); if (log) log.scrollTop = log.scrollHeight })"


class Desk(Screen):
    """`/`"""

    title = "desk"

    def build(self) -> None:
        self.chosen = self.asked.get("c", "")[:64]
        self.plain = False
        self._last, self._present = 0, 0.0
        self.own: tuple[str, ...] = ()
        with ui.element("div").classes("d-desk") as self.place:
            with ui.element("div").classes("d-lists"):
                ui.html(f'<h1 class="c-skip">{self.say("desk")}</h1>', sanitize=False)
                self.area(self._lists, self._build_lists)
            with ui.element("div").classes("d-talk m-card"):
                self.area(self._head, self._build_head, "d-head")
                self.part("transcript.html.j2", self._said, tag="div", classes="d-log").props('tabindex="0"')
                self.typing = ui.label("").classes("d-typing").props('role="status"')
                self.composer = Composer(self)
        self.erasing = Erasing(self)
        self._choose_class()
        listening = background_tasks.create(self._listen(), name="desk")
        self.client.on_delete(lambda: listening.cancel())

    # -- lists ---------------------------------------------------------------------------------------------------------
    def _lists(self, connection: Connection) -> dict[str, Any]:
        queue = conversations.queue(connection)
        own = conversations.of_agent(connection, self.caller.name)
        self.own = tuple(one.id for one in own)
        known = {one.id for one in (*queue, *own)}
        latest = conversations.listing(connection, limit=RECENT + len(known))
        recent = [one for one in latest if one.id not in known and one.erased is None][:RECENT]
        return {
            "waiting": [self._row(connection, one) for one in queue[:SHOWN]], "count": len(queue),
            "own": [self._row(connection, one) for one in own[:SHOWN]],
            "recent": [self._row(connection, one) for one in recent], "chosen": self.chosen,
            "open": self.support.house.hours.is_open(self.console.clock()),
        }  # fmt: skip

    def _row(self, connection: Connection, one: Conversation) -> dict[str, Any]:
        row = views.desk_row(one, self.console.clock(), self.console.asked.handover.warn)
        latest = conversations.latest(connection, one.id, 8)
        said = [one for one in latest if one.author == "visitor" and not one.text.startswith("/")]
        return {
            "id": one.id, "state": one.state, "agent": one.agent, "late": row["late"],
            "waits": None if row["waits"] is None else waited(row["waits"], self.language),
            "words": said[-1].text[:PREVIEW] if said else self.say("no_words"),
        }  # fmt: skip

    def _build_lists(self, found: Mapping[str, Any]) -> None:
        ui.html(f"<h2>{self.say('waiting_n', n=found['count'])}</h2>", sanitize=False)
        if not found["open"]:
            ui.label(self.say("closed_now")).classes("m-quiet")
        if not found["waiting"]:
            ui.label(self.say("nobody_waits")).classes("m-quiet")
        self._build_rows(found["waiting"], found["chosen"])
        for name in ("own", "recent"):
            if found[name]:
                ui.html(f"<h2>{self.say(name)}</h2>", sanitize=False)
                self._build_rows(found[name], found["chosen"])

    def _build_rows(self, rows: list[Mapping[str, Any]], chosen: str) -> None:
        with ui.element("ul").classes("d-rows"):
            for row in rows:
                with ui.element("li"):
                    made = ui.element("button").classes("d-row" + (" late" if row["late"] else ""))
                    made.props('type="button"').on("click", partial(self.choose, row["id"]))
                    if row["id"] == chosen:
                        made.props('aria-current="true"')
                    with made:
                        ui.html(str(self.draw("row.html.j2", one=row)), sanitize=False, tag="span")

    async def choose(self, id: str) -> None:
        """Shows a conversation; an empty id: none."""
        self.chosen, self.plain, self._last = id, False, 0
        self._choose_class()
        self.typing.set_text("")
        self.query = f"c={id}" if id else ""
        self.client.run_javascript(f"history.replaceState(null, '', {json.dumps('/?' + self.query if id else '/')})")
        await self.refresh()

    def _choose_class(self) -> None:
        self.place.classes(add="chosen" if self.chosen else "", remove="" if self.chosen else "chosen")

    # -- one conversation ----------------------------------------------------------------------------------------------
    def _head(self, connection: Connection) -> dict[str, Any]:
        one = conversations.get(connection, self.chosen) if self.chosen else None
        if one is None:
            return {"id": ""}
        return {
            "id": one.id, "state": one.state, "agent": one.agent, "mine": one.agent == self.caller.name,
            "channel": one.channel, "language": one.language, "opened": one.opened, "rating": one.rating,
            "erased": one.erased, "plain": self.plain,
        }  # fmt: skip

    def _build_head(self, found: Mapping[str, Any]) -> None:
        if not found["id"]:
            ui.label(self.say("choose_one")).classes("m-quiet d-none")
            return
        self.button(self.say("back"), partial(self.choose, "")).classes("d-back")
        ui.html(str(self.draw("head.html.j2", one=found, zone=self.zone)), sanitize=False)
        if not self.may("analyst") or found["erased"] is not None:
            return
        with ui.element("div").classes("c-actions"):
            for what in ACTS[found["state"]]:
                if found["state"] != "human" or found["mine"]:
                    self.button(self.say(what), partial(self._act, what), main=what == "take")
            if self.may("admin"):
                self.button(self.say("mask" if found["plain"] else "unmask"), self._unmask)
                self.button(self.say("erase"), self.erasing.ask)

    def _said(self, connection: Connection) -> dict[str, Any]:
        found = conversations.latest(connection, self.chosen, SAID) if self.chosen else []
        rows = [views.desk_message_row(one) for one in found]
        if self.plain:
            for row in rows:
                row["text"] = self.support.originals.shown(self.chosen, row["number"], row["text"])
        return {"messages": rows}

    async def refresh(self) -> None:
        """Draws what changed, and goes to the end where something new was said."""
        await super().refresh()
        last = await asyncio.to_thread(self._last_number)
        if last != self._last:
            self._last = last
            self.typing.set_text("")
            self.client.run_javascript(BOTTOM)
        await self.composer.offer()

    def _last_number(self) -> int:
        with self.console.store.read() as connection:
            found = conversations.latest(connection, self.chosen, 1) if self.chosen else []
        return found[-1].number if found else 0

    async def _act(self, what: Any) -> None:
        id = self.chosen
        await self.do("analyst", lambda hand: self.console.act(id, what, "agent", hand.who), f"{what}_done")

    async def _unmask(self) -> None:
        id = self.chosen
        if self.plain:
            self.plain = False
            await self.refresh()
        elif await self.do("admin", lambda hand: hand.do("unmask", "conversation", id, lambda connection: True), ""):
            self.plain = True
            await self.refresh()

    # -- news ----------------------------------------------------------------------------------------------------------
    def mark(self) -> Any:
        """Changes every few seconds, for people wait longer; and says that this person is still here."""
        now = time.monotonic()
        if self.may("analyst") and now - self._present > self.console.asked.handover.lost / 5:
            self._present = now
            self.support.present(self.caller.name)
        return int(now / 5)

    async def _listen(self) -> None:
        """What the hub tells, until the page is gone."""
        with self.console.hub.subscribe() as notes:
            while True:
                note = await notes.next(15.0)
                if note is not None and note.kind == "stop":
                    return
                if note is not None and not self.client.is_deleted:
                    with self.client:
                        await self._heard(note)

    async def _heard(self, note: Note) -> None:
        if note.kind == "typing":
            if note.conversation == self.chosen and note.who != self.caller.name:
                self._show_typing(note.who)
        elif note.kind != "message" or note.conversation in (self.chosen, *self.own):
            try:
                await self.refresh()
            except (MetierError, Problem) as error:
                logger.warning("the desk is not drawn anew: %s", error)
            await asyncio.sleep(0.2)  # notes of the same moment become one look

    def _show_typing(self, who: str) -> None:
        self.typing.set_text(self.say("types", name=self.say("customer") if who == "visitor" else who))
        ui.timer(5.0, lambda: self.typing.set_text(""), once=True)
