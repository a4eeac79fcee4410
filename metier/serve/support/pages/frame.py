"""What all pages of customer service have beside what those of every console do: its menu, its words, its style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nicegui import ui
from sqlalchemy import Connection

from metier.serve.doors import screen
from metier.serve.support.drawing import draw, sheet
from metier.serve.support.phrases import say
from metier.store import conversations, knowledge

if TYPE_CHECKING:
    from fastapi import Request
    from markupsafe import Markup

    from metier.serve.doors.door import Caller
    from metier.serve.support.office import Office


class Screen(screen.Screen):
    """One visitor's page of customer service."""

    title = "desk"
    menu = (
        ("/", "desk", "viewer"), ("/knowledge", "knowledge", "viewer"), ("/review", "review", "analyst"),
        ("/gaps", "gaps", "viewer"), ("/figures", "figures", "viewer"), ("/people", "people", "admin"),
        ("/try", "try", "viewer"),
    )  # fmt: skip

    def __init__(self, console: Office, caller: Caller, request: Request) -> None:
        super().__init__(console, caller, request)
        self.console: Office = console
        self.support = console.support

    async def open(self) -> None:
        self.client = ui.context.client
        ui.add_css(sheet())
        await super().open()

    def say(self, name: str, /, **values: object) -> str:
        return say(name, self.language, **values)

    def draw(self, template: str, **values: Any) -> Markup:
        return draw(template, self.language, **values)

    def mark(self) -> Any:
        """The turn of the knowledge, and how many wait."""
        with self.console.store.read() as connection:
            return knowledge.turn_of(connection), self.counts(connection)

    def counts(self, connection: Connection) -> Mapping[str, int]:
        waits = {"desk": len(conversations.queue(connection))}
        return waits | {"review": len(knowledge.waiting(connection))} if self.may("analyst") else waits

    def foot(self, connection: Connection) -> Mapping[str, Any]:
        return {"zone": self.zone}

    def to_top(self) -> None:
        """Shows the top of the page; whatever was pressed may be gone by now."""
        self.client.run_javascript("window.scrollTo(0, 0)")

    def area_field(self, label: str, value: str = "", *, rows: int = 3, most: int = 4_000) -> ui.textarea:
        """A field of several lines."""
        made = ui.textarea(label=label, value=value).classes("m-field")
        made.props(f"outlined dense autogrow maxlength={most}").props(f'input-style="min-height: {1.6 * rows}rem"')
        made.props["aria-label"] = label
        return made
