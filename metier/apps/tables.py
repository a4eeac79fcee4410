"""What the tables of an application's settings are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}


def length(value: Any) -> Any:
    """`"90s"`, `"1h30m"`, `"1d"` in seconds, as Prometheus writes them; numbers stay. Raises `ValueError`."""
    if not isinstance(value, str):
        return value
    found = re.findall(r"(\d+)(ms|[smhdwy])", value)
    if not found or "".join(number + unit for number, unit in found) != value.replace(" ", ""):
        raise ValueError(f"{value!r} is no length of time; it is written 30s, 5m, 1h30m or 1d")
    return sum(float(number) * UNITS[unit] for number, unit in found)


Length = Annotated[float, BeforeValidator(length), Field(ge=0)]
Words = Annotated[tuple[str, ...], Field(strict=False)]


class Part(BaseModel):
    """A table of the settings: frozen, strictly typed, without unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True, hide_input_in_errors=True
    )
