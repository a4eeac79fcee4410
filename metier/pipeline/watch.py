"""What a pipeline tells whoever runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from metier.train.loop import Record


class Enough(Exception):
    """Raised by the `step` of a watch: the fit ends here, with the best weights that it has had."""


class Watch(Protocol):
    """Hears of stages, progress and steps. The command line draws them; `Silent` ignores them."""

    def say(self, text: str) -> None:
        """One line that a person may want to read."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` units begins (0: of unknown length)."""

    def tick(self, units: int) -> None:
        """Some units of the stage are done."""

    def step(self, record: Record) -> None:
        """An update of the fit."""


class Silent:
    """Nobody looks."""

    def say(self, text: str) -> None: ...

    def stage(self, name: str, total: int) -> None: ...

    def tick(self, units: int) -> None: ...

    def step(self, record: Record) -> None: ...
