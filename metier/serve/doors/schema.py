"""What programs send to every console. Times are seconds since 1970, UTC, or ISO 8601 with a zone."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LATEST = 1e11
"""Seconds since 1970 that no clock shows."""


def moment(value: Any) -> float:
    """A time as seconds since 1970. Raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError("a time is a number of seconds since 1970, or ISO 8601 with a zone")
    if isinstance(value, int | float) or (isinstance(value, str) and value.replace(".", "", 1).isdigit()):
        seconds = float(value)
    else:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            raise ValueError("a time is a number of seconds since 1970, or ISO 8601 with a zone") from None
        if found.tzinfo is None:
            raise ValueError("a time has a zone, such as 2025-03-17T09:30:00Z")
        seconds = found.timestamp()
    if not math.isfinite(seconds) or not 0 <= seconds < LATEST:
        raise ValueError("the time is one that no clock shows")
    return seconds


Moment = Annotated[float, BeforeValidator(moment)]
Comment = Annotated[str, Field(max_length=2_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[int, Field(ge=0, lt=2**63)]
"""Of a row; a larger one has no place in a database."""
Role = Literal["viewer", "analyst", "admin"]


class Body(BaseModel):
    """Nothing that it does not know; no other types than those that are written here."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewPerson(Body):
    name: Name
    role: Role
    password: Annotated[str, Field(max_length=1_000)] | None = None


class ChangedPerson(Body):
    role: Role | None = None
    active: bool | None = None
    password: Annotated[str, Field(max_length=1_000)] | None = None


class NewKey(Body):
    name: Name
    role: Role
    days: Annotated[float, Field(gt=0, le=3_660)] | None = None
