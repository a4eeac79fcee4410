"""The search for a company."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from metier.serve.monitor.pages.frame import Screen
from metier.store import ticks


class Search(Screen):
    """`/companies?q=...`"""

    title = "companies"

    def build(self) -> None:
        self.heading(self.say("companies"), self.say("search_lead"))
        self.part("search.html.j2", self._found)

    def _found(self, connection: Connection) -> dict[str, Any]:
        q = self.asked.get("q", "")[:200]
        table = self.console.names.companies
        if not q and table:
            found = [{"id": one.id, "name": one.name, "match": one.name} for one in table.companies.values()]
            return {"q": q, "found": sorted(found, key=lambda one: one["name"])[:60]}
        seen = {company for _, company in ticks.keys(connection)}
        return {"q": q, "found": self.console.names.like(q, seen)}
