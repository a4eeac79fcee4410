"""Recipes in which some values are ranges: read, checked, and filled with one value each."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from metier.errors import RecipeError, nearest
from metier.recipe import HeadPart, Recipe, read_tables

KEYS = ("low", "high", "log", "step", "choice")
EXAMPLE = "learning_rate = { low = 1e-5, high = 1e-3, log = true } or method = { choice = ['lora', 'full'] }"
JUDGED = ("data", "evaluate", "race", "seed", "train.metric")
"""What decides how a recipe is judged: with a range in there, trials could not be compared."""
MACHINE = (
    "train.device",
    "train.threads",
    "train.precision",
    "train.compile",
    "train.wandb",
    "train.checkpoint_seconds",
)
"""What says how to compute and not what."""

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Range:
    """The values that one key may take: from `low` to `high`, or one of `choice`."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choice: tuple[Value, ...] = ()
    whole: bool = False
    """Whether only whole numbers fit."""

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all are allowed: both ends, or every choice."""
        return self.choice or (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the range's."""
        if self.choice:
            return value in self.choice
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (self.step is None or _steps(value - self.low, self.step))

    def nearest(self, value: float) -> Value | None:
        """The range's value that is nearest to a positive one, as ratios go; `None` where none is a number."""
        if self.choice:
            numbers = [one for one in self.choice if isinstance(one, int | float) and not isinstance(one, bool) and one]
            return min(numbers, key=lambda one: abs(math.log(one / value)), default=None)
        if self.step is not None:
            value = self.low + self.step * round((value - self.low) / self.step)
        return min(self.high, max(self.low, round(value) if self.whole else value))


@dataclass(frozen=True)
class Space:
    """A recipe with ranges: `tables` without them, and the ranges by their keys."""

    tables: Mapping[str, Any]
    ranges: Mapping[str, Range]
    path: Path
    given: Mapping[str, Any]
    """The tables as they were read, ranges included."""

    @classmethod
    def read(cls, path: str | Path, *, seed: int | None = None) -> Space:
        """The space in a TOML file, with another seed if one is given.

        Raises one `RecipeError` that names every mistake in it.
        """
        path = Path(path)
        return cls.parse(read_tables(path) | ({} if seed is None else {"seed": seed}), path)

    @classmethod
    def parse(cls, values: Mapping[str, Any], path: Path) -> Space:
        """The space in nested tables; `path` is the file that they are from."""
        tables = copy.deepcopy(dict(values))
        ranges: dict[str, Range] = {}
        problems: list[str] = []
        for key, given in list(_tables_for_values(tables)):
            _remove(tables, key)
            try:
                ranges[key] = _range(key, given)
            except RecipeError as error:
                problems.append(error.found)
        space = cls(tables, ranges, path, values)
        problems += space._mistakes()
        if problems:
            raise RecipeError(f"{path}: " + "; ".join(problems))
        if not ranges:
            raise RecipeError(f"{path} marks no value as a range.", expected=f"some, such as {EXAMPLE}")
        return space

    def recipe(self, values: Mapping[str, Value]) -> Recipe:
        """The recipe with these values in place of its ranges; what has none is left to its default."""
        tables = copy.deepcopy(dict(self.tables))
        for key, value in values.items():
            *parents, last = steps_to(key)
            place = tables
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = value
        return Recipe.parse(tables, str(self.path)).beside(self.path)

    def defaults(self) -> dict[str, Value]:
        """The values that the recipe would have without its ranges, where these hold them."""
        plain = self.recipe({})
        found = {key: value_of(plain, key) for key in self.ranges}
        return {key: value for key, value in found.items() if self.ranges[key].holds(value)}

    def logarithmic(self) -> dict[str, bool]:
        """Whether the values of each range are spaced by ratios."""
        return {key: one.log for key, one in self.ranges.items()}

    def _mistakes(self) -> list[str]:
        """What is wrong with the recipe itself, or with the ends of a range."""
        try:
            self.recipe({})
        except RecipeError as error:
            return [error.found.removeprefix(f"{self.path}: ")]
        found = []
        for key, one in self.ranges.items():
            for value in one.ends:
                try:
                    self.recipe({key: value})
                except RecipeError as error:
                    found.append(error.found.removeprefix(f"{self.path}: "))
        return list(dict.fromkeys(found))


def value_of(recipe: Recipe, key: str) -> Any:
    """The value of a dotted key of a recipe."""
    found: Any = recipe.model_dump()
    for name in steps_to(key):
        found = found[name]
    return found


def steps_to(key: str) -> list[str]:
    """The tables that lead to a dotted key, and its own name. The name of a head may have dots in it."""
    if not key.startswith("heads."):
        return key.split(".")
    head, _, last = key.removeprefix("heads.").rpartition(".")
    return ["heads", head, last]


def _tables_for_values(tables: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table that stands where a recipe has a single value, by its dotted key."""
    for part, table in tables.items():
        field = Recipe.model_fields.get(part)
        if part == "heads" and isinstance(table, dict):
            for name, head in table.items():
                if isinstance(head, dict):
                    yield from _of_part(f"heads.{name}", head)
        elif field is not None and isinstance(field.default, BaseModel) and isinstance(table, dict):
            yield from _of_part(part, table)
        elif isinstance(table, dict) and field is not None:
            yield part, table


def _of_part(part: str, table: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in table.items():
        if isinstance(value, dict) and not (part.startswith("heads.") and key == "names"):
            yield f"{part}.{key}", value


def _remove(tables: dict[str, Any], key: str) -> None:
    *parents, last = steps_to(key)
    place = tables
    for name in parents:
        place = place[name]
    del place[last]


def _range(key: str, given: Mapping[str, Any]) -> Range:
    """What a table says of a key. Raises `RecipeError` with the first mistake."""
    if any(key == one or key.startswith(f"{one}.") for one in JUDGED):
        raise RecipeError(f"{key} may not be a range: it decides what a trial is judged by")
    if key.startswith("heads.") and not key.endswith(".weight"):
        raise RecipeError(f"{key} may not be a range: of a head only the weight can be searched")
    if key in MACHINE:
        raise RecipeError(f"{key} may not be a range: it says how to compute, not what")
    for name in given:
        if name not in KEYS:
            raise RecipeError(f"{key}: a range has no {name!r}.{nearest(name, KEYS)}")
    if "choice" in given:
        return _choice(key, given)
    return _interval(key, given)


def _choice(key: str, given: Mapping[str, Any]) -> Range:
    values = given["choice"]
    if len(given) > 1:
        others = ", ".join(name for name in given if name != "choice")
        raise RecipeError(f"{key}: a choice stands alone (found {others} beside it)")
    if not isinstance(values, list) or len(values) < 2 or not all(isinstance(one, Value) for one in values):
        raise RecipeError(f"{key}: a choice is a list of at least two plain values (found {values!r:.80})")
    if len(set(map(repr, values))) < len(values):
        raise RecipeError(f"{key}: a choice names no value twice (found {values!r:.80})")
    if key == "train.method" and "auto" in values:
        raise RecipeError(f"{key}: 'auto' is no method to choose; it looks for one itself")
    return Range(key, choice=tuple(values))


def _interval(key: str, given: Mapping[str, Any]) -> Range:
    missing = [name for name in ("low", "high") if name not in given]
    if missing:
        raise RecipeError(f"{key}: a range needs low and high, or choice ({' and '.join(missing)} missing)")
    low, high, log, step = given["low"], given["high"], given.get("log", False), given.get("step")
    for name, number in (("low", low), ("high", high), ("step", step)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise RecipeError(f"{key}: {name} is a number (found {number!r:.80})")
    if not isinstance(log, bool):
        raise RecipeError(f"{key}: log is true or false (found {log!r:.80})")
    if not low < high:
        raise RecipeError(f"{key}: low must be less than high (found {low:g} and {high:g})")
    if log and low <= 0:
        raise RecipeError(f"{key}: a range with log begins above 0 (found {low:g})")
    if log and step is not None:
        raise RecipeError(f"{key}: a range has log or step, not both")
    whole = _whole(key)
    if step is not None and (step <= 0 or not _steps(high - low, step)):
        raise RecipeError(f"{key}: steps of {step:g} do not lead from {low:g} to {high:g}")
    if whole and not all(isinstance(number, int) for number in (low, high, step) if number is not None):
        raise RecipeError(f"{key}: takes whole numbers only (found {low!r}, {high!r})")
    return Range(key, low=low, high=high, log=log, step=step, whole=whole)


def _steps(distance: float, step: float) -> bool:
    return abs(distance / step - round(distance / step)) < 1e-9


def _whole(key: str) -> bool:
    """Whether a key of the recipe takes integers and no fractions."""
    part, _, name = key.rpartition(".")
    model: Any = HeadPart if part.startswith("heads.") else Recipe
    if model is Recipe and part:
        model = type(Recipe.model_fields[part].default)
    field = model.model_fields.get(name)
    kinds = set() if field is None else set(_kinds(field.annotation))
    return int in kinds and float not in kinds


def _kinds(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)
