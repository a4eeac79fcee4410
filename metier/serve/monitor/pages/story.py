"""One story: its documents, what was understood of them, and a form to set that right."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.serve.monitor import lists, views
from metier.serve.monitor.pages.frame import Absent, Screen
from metier.serve.monitor.pages.overview import names_in
from metier.store import documents, stories

SHOWN = 100


class Story(Screen):
    """`/stories/{id}`"""

    title = "story"

    def check(self, connection: Connection) -> None:
        self.id = self.params["id"]
        if stories.get(connection, self.id) is None:
            raise Absent
        found = documents.of_story(connection, self.id, SHOWN)
        self.documents = {one.id: one.text[:80] for one in found if not one.erased}

    def build(self) -> None:
        self.part("story.html.j2", self._story)
        if self.may("analyst") and self.documents:
            with ui.element("div").classes("m-card c-acts"):
                self._build_form()

    def _story(self, connection: Connection) -> dict[str, Any]:
        found = views.story_page(connection, self.id, self.console.names, SHOWN)
        if found is None:
            raise Absent
        return {"story": found}

    def _build_form(self) -> None:
        ui.html(f"<h2>{self.say('correct')}</h2>", sanitize=False)
        which = next(iter(self.documents))
        several = len(self.documents) > 1
        chosen = self.choice(self.say("documents"), self.documents, which) if several else None
        heads = {name: self.say(name) for name in lists.HEADS}
        head = self.choice(self.say("correct_what"), heads, "sentiment")
        right = self.entry(self.say("correct_to"), hint=self.say("correct_hint"))
        self._offer(right, head)
        comment = self.entry(self.say("comment"))

        async def send() -> None:
            id = chosen.value if chosen else which
            typed = (right.value or "").strip()
            right_one = typed if head.value == "sentiment" else names_in(typed)
            correction = right_one if typed else None
            done = await self.do(
                "analyst",
                lambda hand: lists.correct(hand, id, head.value, correction, comment.value or ""),
                "corrected",
            )
            if done:
                right.set_value("")
                comment.set_value("")

        with ui.element("div").classes("c-actions"):
            self.button(self.say("send_correction"), send, main=True)

    def _offer(self, right: ui.input, head: ui.select) -> None:
        """The labels that the engine knows, while somebody types."""
        status = self.console.status()
        table = self.console.names.companies
        known = {
            "topic": list(status.get("topics", ())),
            "sentiment": list(status.get("sentiments", ("negative", "neutral", "positive"))),
            "company": list(table.companies) if table else [],
        }
        right.set_autocomplete(known[head.value])
        head.on_value_change(lambda change: right.set_autocomplete(known[change.value]))
