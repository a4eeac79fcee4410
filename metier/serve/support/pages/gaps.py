"""What customers ask and nobody has written down."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.support.learn.gaps import Gap, gaps
from metier.serve.support.pages.frame import Screen

SPAN = 30 * 86_400.0
FRESH = 60.0
"""Seconds that what was found is shown before it is looked for again."""


class GapsPage(Screen):
    """`/gaps`"""

    title = "gaps"

    def build(self) -> None:
        self._found: tuple[float, list[Gap]] | None = None
        self.heading(self.say("gaps"), self.say("gaps_lead"))
        self.area(self._gaps, self._build_gaps)

    def mark(self) -> Any:
        """Now and then they are looked for again."""
        return super().mark(), int(self.console.clock() // FRESH)

    def _gaps(self, connection: Connection) -> dict[str, Any]:
        now = self.console.clock()
        if self._found is None or now - self._found[0] >= FRESH:
            self._found = (now, gaps(connection, self.support.answerer.parts.encode, now - SPAN))
        return {"rows": [asdict(one) for one in self._found[1]]}

    def _build_gaps(self, found: Any) -> None:
        if not found["rows"]:
            ui.label(self.say("no_gaps")).classes("m-quiet")
        with ui.element("ul").classes("d-cards"):
            for row in found["rows"]:
                with ui.element("li").classes("m-card"):
                    values = {"one": row, "zone": self.zone}
                    ui.html(str(self.draw("gap.html.j2", **values)), sanitize=False)
                    if self.may("analyst"):
                        ui.html(str(self.draw("write.html.j2", question=row["question"])), sanitize=False)
