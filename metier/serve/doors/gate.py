"""The gate of a console: keys are looked at behind it, by the door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from metier.serve.gate import API_POLICY, DOCS_POLICY, PAGE_PATHS, PAGE_POLICY, Gate, policy
from metier.serve.keys import KeyRing

if TYPE_CHECKING:
    from metier.serve.doors.house import House
    from metier.serve.gate import Counting

PLAIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
)
REFERRER = "same-origin"
"""With `no-referrer` browsers send forms from nowhere (`Origin: null`), as another site would."""
PLAIN_PATHS = ("/login", "/setup")


class HouseGate(Gate):
    """The gate before one service for people."""

    def __init__(self, app: Any, house: House, figures: Counting) -> None:
        super().__init__(app, house.settings, KeyRing(), figures)
        house.gate = self

    def is_page(self, path: str) -> bool:
        """Whether a page answers at a path."""
        return False

    def is_plain(self, path: str) -> bool:
        """Whether what answers at a path is a page without scripts."""
        return path in PLAIN_PATHS

    def policy(self, path: str) -> Iterable[tuple[bytes, bytes]]:
        """What a browser may do with the answer at a path."""
        if self.is_page(path) or path.startswith(PAGE_PATHS):
            return policy(PAGE_POLICY, kept=path.startswith(PAGE_PATHS), referrer=REFERRER)
        if self.is_plain(path):
            return policy(PLAIN_POLICY, kept=False, referrer=REFERRER)
        return policy(DOCS_POLICY if path == "/docs" else API_POLICY, kept=path.startswith("/docs"))
