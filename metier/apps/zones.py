"""Time zones by their names."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from metier.errors import RecipeError


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The zone of a name such as `Asia/Shanghai`; UTC of an empty one. Raises `RecipeError` for an unknown one."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RecipeError(
            f"There is no time zone {name!r}.", expected="a name such as Asia/Shanghai, Europe/London or UTC",
            hint="pip install tzdata, where the machine has no list of zones",
        ) from None  # fmt: skip
