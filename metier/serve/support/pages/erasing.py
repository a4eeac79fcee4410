"""Erasing a customer: asked once more before it is done, for nothing brings it back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nicegui import ui

from metier.store import conversations

if TYPE_CHECKING:
    from metier.serve.support.pages.desk import Desk

WORDS = 60


class Erasing:
    """A dialogue over the desk; it says whose texts go."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self._id = desk, ""
        with ui.dialog() as self.dialog, ui.element("div").classes("m-card d-dialog"):
            ui.html(f"<h2>{desk.say('erase')}</h2>", sanitize=False)
            self.lead = ui.label()
            with ui.element("div").classes("c-actions"):
                desk.button(desk.say("cancel"), self.dialog.close).props("autofocus")
                desk.button(desk.say("erase_now"), self._erase, main=True).classes("d-danger")
        self.dialog.props["aria-label"] = desk.say("erase")

    async def ask(self) -> None:
        """Asks about the conversation that the desk shows."""
        self._id = self.desk.chosen
        count, words = await asyncio.to_thread(self._about, self._id)
        self.lead.set_text(self.desk.say("erase_lead", n=count, words=words))
        self.dialog.open()

    def _about(self, id: str) -> tuple[int, str]:
        """How many conversations go, and the first words of this one."""
        console = self.desk.console
        with console.store.read() as connection:
            said = conversations.transcript(connection, id, limit=8)
        first = next((one.text for one in said if one.author == "visitor"), self.desk.say("no_words"))
        return len(console.of_customer(self.desk.support.get(id))), first[:WORDS]

    async def _erase(self) -> None:
        id, console = self._id, self.desk.console
        self.dialog.close()
        await self.desk.do("admin", lambda hand: console.erase(id, hand.who), "erase_done")
