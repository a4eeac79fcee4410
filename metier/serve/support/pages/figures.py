"""How customer service did: volume, what answered, hand-overs, ratings, intents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from metier.apps.support.item import TIERS
from metier.serve.support.chart import volume
from metier.serve.support.pages.frame import Screen
from metier.store import service_figures
from metier.store.service_figures import ServiceFigures

DAY = 86_400.0
WINDOWS = (7, 30, 90)
FRESH = 60.0


class FiguresPage(Screen):
    """`/figures`; `?days=` 7, 30 or 90."""

    title = "figures"

    def build(self) -> None:
        asked = self.asked.get("days", "")
        self.days = next((days for days in WINDOWS if str(days) == asked), 30)
        self.heading(self.say("figures"), self.say("figures_lead"))
        self.part("figures.html.j2", self._figures, tag="div")

    def mark(self) -> Any:
        """Counted anew now and then."""
        return super().mark(), int(self.console.clock() // FRESH)

    def _figures(self, connection: Connection) -> dict[str, Any]:
        now = self.console.clock()
        start = (now // DAY - self.days + 1) * DAY
        found = service_figures.figures(connection, start, now + 1)
        return {
            "windows": WINDOWS, "chosen": self.days, "tiles": self._tiles(found),
            "volume": volume(found.days, start, now, self.language),
            "charts": [
                ("by_tier", _shares({f"tier_{name}": found.tiers.get(name, 0) for name in TIERS}, self.say)),
                ("top_intents", _shares(found.intents, str)),
                ("ratings", _shares({n: found.ratings.get(n, 0) for n in (5, 4, 3, 2, 1)}, lambda n: "★" * int(n))),
            ],
        }  # fmt: skip

    def _tiles(self, found: ServiceFigures) -> list[tuple[str, str]]:
        answers = sum(found.tiers.values())
        # a conversation that was opened before the window may be handed over in it
        resolution = None if found.resolution is None else max(0.0, found.resolution)
        return [
            ("conversations", f"{found.conversations:,}"), ("questions", f"{found.questions:,}"),
            ("resolution", _share(resolution)),
            ("handover_rate", _share(None if resolution is None else 1 - resolution)),
            ("csat", _share(found.satisfaction)),
            ("outside_share", _share(found.outside / answers if answers else None)),
        ]  # fmt: skip


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


def _shares(counts: Mapping[Any, int], name: Any) -> list[tuple[str, int, float]]:
    """Names, counts and shares of those that were counted at all."""
    total = sum(counts.values())
    return [(name(key), count, count / total) for key, count in counts.items() if count]
