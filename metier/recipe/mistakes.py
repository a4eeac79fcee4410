"""Tables filled strictly; every mistake in them is told at once, in words."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from metier.errors import RecipeError, nearest

Table = TypeVar("Table", bound=BaseModel)


def fill(table: type[Table], values: Mapping[str, Any], source: str, where: str = "") -> Table:
    """A table, such as a whole recipe or the settings of an application, out of plain values.

    What was found is shown beside what is wrong with it, unless the table says `hide_input_in_errors`: values that may
    be secrets are not repeated.

    Args:
        table: the class to fill.
        values: its values.
        source: where they come from, such as a file; every message begins with it.
        where: the name of the table in there; empty: it is the whole.

    Raises:
        RecipeError: one that names every mistake, with the nearest known name for one that is unknown.
    """
    try:
        return table.model_validate(values)
    except ValidationError as error:
        shown = not table.model_config.get("hide_input_in_errors", False)
        lines = [_said(dict(item), table, where) for item in error.errors(include_input=shown)]
        raise RecipeError(f"{source}: " + "; ".join(lines)) from None


def _said(item: dict[str, Any], table: type[BaseModel], where: str) -> str:
    """One mistake that pydantic found, in words."""
    steps = [
        *([where] if where else []),
        *(str(step) if isinstance(step, str) else f"[{step + 1}]" for step in item["loc"]),
    ]
    name = ".".join(steps).replace(".[", "[")
    words = str(item["msg"])
    if item["type"] == "extra_forbidden":
        fields = _class_at(table, item["loc"][:-1]).model_fields
        return f"unknown key {name!r}.{nearest(steps[-1], [field.alias or key for key, field in fields.items()])}"
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if item["type"] == "value_error":  # from a validator of ours, whose words may name the key; its input is a table
        words = words.removeprefix("Value error, ")
        return words if words.startswith(name) else f"{name}: {words}"
    if isinstance(item.get("input"), dict) and {"low", "high", "choice"} & item["input"].keys():
        return f"{name} is a range, which only `metier search` fits"
    return f"{name or 'all of it'}: {words}{_found(item)}"


def _found(item: dict[str, Any]) -> str:
    """What stood there, and what may have been meant; nothing of a table, or where it is not to be shown."""
    if "input" not in item or isinstance(item["input"], dict):
        return ""
    found = f" (found {item['input']!r:.80})"
    if item["type"] == "literal_error":
        found += nearest(str(item["input"]), re.findall(r"'([^']+)'", str(item["ctx"]["expected"])))
    return found


def _class_at(table: type[BaseModel], steps: tuple[Any, ...]) -> type[BaseModel]:
    """The class of the table that a path leads to."""
    found = table
    for step in steps:
        for key, field in found.model_fields.items():
            if step in (key, field.alias):
                found = next(_classes(field.annotation), found)
                break
    return found


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _classes(inner)
