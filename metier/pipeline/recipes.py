"""Flags and keyword arguments to a recipe: which columns are heads, and what kind of task each is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metier.data import read
from metier.data.columns import TEXT
from metier.data.source import Source
from metier.errors import RecipeError, nearest
from metier.recipe import Part, Recipe
from metier.tasks import KINDS

PARTS: dict[str, type[Part]] = {
    name: type(field.default) for name, field in Recipe.model_fields.items() if isinstance(field.default, Part)
}
"""The tables of a recipe, but for its heads."""


def recipe_of(
    source: Source,
    *,
    label: str | Sequence[str] | Mapping[str, str] = (),
    text: str | Sequence[str] = (),
    task: str | Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Recipe, Source | None]:
    """The recipe that a call describes, and the table itself where the source is no path.

    Raises:
        DataError: naming every column that is missing.
        RecipeError: naming every setting that does not exist.
    """
    settings, own = _by_head(settings or {})
    seed, mention = settings.pop("seed", None), settings.pop("mention", None)
    parts = _by_part(settings)
    is_path = isinstance(source, str | Path)
    heads = (
        {label: label}
        if isinstance(label, str)
        else dict(label)
        if isinstance(label, Mapping)
        else {n: n for n in label}
    )
    texts = (text,) if isinstance(text, str) else tuple(text)
    kinds = dict.fromkeys(heads, task) if isinstance(task, str) else dict(task or {})
    for kind in kinds.values():
        if kind not in KINDS:
            raise RecipeError(f"There is no task {kind!r}.{nearest(kind, KINDS)}", expected=", ".join(KINDS))
    roles = {role: parts["data"].get(role) for role in ("split", "group", "time")}
    own = mentioning(own, mention, heads)
    names = {head: told["mention"] for head, told in own.items() if told.get("mention") and head in heads}
    columns = read.resolve(source, texts or TEXT, heads, tasks=kinds, roles=roles, mentions=names)
    if not columns.labels:
        known = ", ".join(read.columns(source))
        raise RecipeError("No label column was named.", expected=f"--label with one of the columns {known}")
    found_kinds = dict.fromkeys(columns.labels, task) if isinstance(task, str) else {}
    found = {
        head: {"column": column, "task": found_kinds.get(head, kind)} for head, (column, kind) in columns.labels.items()
    }
    values: dict[str, Any] = {**parts, "heads": _told(found, own)}
    values["data"] = {**values["data"], "text": columns.text, "path": str(source) if is_path else ""}
    if columns.split and not columns.group and not columns.time:
        values["data"]["split"] = columns.split
    if seed is not None:
        values["seed"] = seed
    return Recipe.parse(values, "flags"), None if is_path else source


def override(
    recipe: Recipe,
    *,
    label: Sequence[str] = (),
    text: Sequence[str] = (),
    task: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe with flags on top: `label` replaces its heads, every other flag the key of its name."""
    settings, own = _by_head(settings or {})
    seed, mention = settings.pop("seed", None), settings.pop("mention", None)
    parts: dict[str, Any] = _by_part(settings)
    if text:
        parts["data"]["text"] = tuple(text)
    recipe = recipe.but(**parts, seed=seed)
    heads = {name: {"column": name} for name in label} or {
        name: part.model_dump() for name, part in recipe.heads.items()
    }
    own = mentioning(own, mention, heads)
    if label or task or own:
        values = recipe.model_dump()
        values["heads"] = {name: {**head, "task": task or head.get("task")} for name, head in heads.items()}
        values["heads"] = _told(values["heads"], own)
        return Recipe.parse(values, "flags")
    return recipe


def _by_head(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings that are of no head, and those `heads.NAME.KEY` by their heads."""
    rest, own = {}, defaultdict[str, dict[str, Any]](dict)
    for setting, value in settings.items():
        if found := re.fullmatch(r"heads\.(.+)\.([^.]+)", setting):
            own[found[1]][found[2]] = value
        else:
            rest[setting] = value
    return rest, dict(own)


def mentioning(own: Mapping[str, dict[str, Any]], mention: Any, heads: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of heads with the columns of their mentions: `COLUMN` for an only head, else by `HEAD=COLUMN`.

    Raises `RecipeError` where it is not clear whose mentions a column names.
    """
    if not mention:
        return dict(own)
    said = [mention] if isinstance(mention, str) else mention
    pairs = dict(said) if isinstance(said, Mapping) else dict(_pair(one, heads) for one in said)
    return {**own, **{head: {**own.get(head, {}), "mention": column} for head, column in pairs.items()}}


def _pair(said: str, heads: Mapping[str, Any]) -> tuple[str, str]:
    head, sign, column = said.partition("=")
    if sign:
        return head, column
    if len(heads) != 1:
        known = ", ".join(heads) or "none, name it with --label"
        raise RecipeError(f"--mention {said!r} does not say of which head.", expected=f"HEAD={said}; heads: {known}")
    return next(iter(heads)), said


def _told(heads: Mapping[str, dict[str, Any]], own: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Heads with settings of theirs on top. Raises `RecipeError` for a head that there is not."""
    for name in own:
        if name not in heads:
            raise RecipeError(f"There is no head {name!r}.{nearest(name, heads)}", expected=", ".join(heads))
    return {name: {**head, **own.get(name, {})} for name, head in heads.items()}


def _by_part(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Flat settings under the table of the recipe that has them; `TABLE.KEY` names one where several have it."""
    found: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    unknown = []
    for setting, value in settings.items():
        table, _, name = setting.rpartition(".")
        homes = [part for part, model in PARTS.items() if name in model.model_fields and table in ("", part)]
        if not homes:
            known = [key for model in PARTS.values() for key in model.model_fields]
            known += [f"{part}.{key}" for part, model in PARTS.items() for key in model.model_fields]
            unknown.append(f"{setting!r}.{nearest(setting, known)}")
        elif value is not None:
            found[homes[0]][name] = value
    if unknown:
        raise RecipeError("There is no setting " + " There is no setting ".join(unknown))
    return found
