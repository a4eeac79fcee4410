"""What a user can mend: one kind of error for each place where a mistake is made.

Every message says what was found, what was expected and what to do. Anything that is raised and is not a
`MetierError` is a fault of Metier's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MetierError(Exception):
    """A mistake that its user can mend.

    Args:
        found: what was found, one sentence.
        expected: what was expected instead.
        hint: what to do about it.
    """

    def __init__(self, found: str, *, expected: str = "", hint: str = "") -> None:
        self.found, self.expected, self.hint = found, expected, hint
        parts = [found, f"Expected: {expected}." if expected else "", f"Try: {hint}." if hint else ""]
        super().__init__(" ".join(part for part in parts if part))


class DataError(MetierError):
    """A data set that cannot be read or cannot be learned from."""


class RecipeError(MetierError):
    """A recipe or a flag that does not describe a run."""


class RunError(MetierError):
    """A run folder that is missing, damaged or half-written."""


class BackboneError(MetierError):
    """A pretrained model that cannot be found or used."""


class StoreError(MetierError):
    """A database that cannot be opened, read or written."""


class StoreGone(StoreError):
    """A database that cannot be used now and may be again in a moment: away, locked, full. Worth trying again."""


class MissingExtra(MetierError):
    """A part of Metier that is not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of `pip install metier[extra]` that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed.", hint=f"pip install 'metier[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the known name nearest to `name`, or the empty string."""
    by_lower = {item.lower(): item for item in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[matches[0]]!r}?" if matches else ""
