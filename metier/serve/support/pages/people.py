"""Who may come in."""

from __future__ import annotations

from typing import Any

from metier.serve.doors.people import PeoplePage
from metier.serve.support.pages.frame import Screen
from metier.store import audit


class People(PeoplePage, Screen):
    """`/people`"""

    def mark(self) -> Any:
        """Also what somebody did."""
        with self.console.store.read() as connection:
            return super().mark(), audit.head(connection)[0]
