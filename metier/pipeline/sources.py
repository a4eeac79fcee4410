"""Heads whose examples are in files of their own: which sources a recipe has, and the recipe of each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metier.data import read
from metier.data.source import Source, is_path
from metier.errors import RecipeError
from metier.recipe import HeadPart, Recipe
from metier.tasks.task import Task

JOINT = "+"
"""Stands between the fingerprints of several sources."""


@dataclass(frozen=True)
class Origin:
    """A source, what it is called, and what a recipe of it and its heads alone would say.

    `path` is empty for the one of `data.path`.
    """

    name: str
    path: str
    source: Source
    recipe: Recipe


def origins(recipe: Recipe, source: Source) -> list[Origin]:
    """The sources of a recipe: `source`, which the heads without a path learn from, then every other, once.

    Raises `RecipeError` where heads of one file name different text columns.
    """
    paths = _paths(recipe)
    names = _names(recipe)
    return [
        Origin(name, path, path or source, _alone(recipe, path, path or source))
        for path, name in zip(paths, names, strict=True)
    ]


def _paths(recipe: Recipe) -> list[str]:
    """Where the examples of the heads are, each once; first an empty path, for those of `data.path`."""
    return sorted(dict.fromkeys(_path(recipe, head) for head in recipe.heads.values()), key=bool)


def _path(recipe: Recipe, head: HeadPart) -> str:
    return "" if head.path == recipe.data.path else head.path


def _names(recipe: Recipe) -> list[str]:
    """What the sources are called: their files, with folders where two files have the same name."""
    whole = [path or recipe.data.path or "table" for path in _paths(recipe)]
    short = [Path(path).name for path in whole]
    return [name if short.count(name) == 1 else path for name, path in zip(short, whole, strict=True)]


def _alone(recipe: Recipe, path: str, source: Source) -> Recipe:
    """The recipe of one source: its heads and its columns, without roles that only other sources have a column for."""
    own = {name: head for name, head in recipe.heads.items() if _path(recipe, head) == path}
    heads = {name: head.model_copy(update={"path": "", "text": ()}) for name, head in own.items()}
    named = [head.text for head in own.values()] + ([] if path else [recipe.data.text])
    texts = list(dict.fromkeys(text for text in named if text))
    if len(texts) > 1:
        raise RecipeError(
            f"Of {path or recipe.data.path} different text columns are named: {' and '.join(map(str, texts))}.",
            expected="the same text for all heads of a file",
        )
    if not path:
        data = recipe.data.model_copy(update={"text": texts[0] if texts else ()})
        return recipe.model_copy(update={"heads": heads, "data": data})
    known = read.columns(source)
    roles = {role: getattr(recipe.data, role) for role in ("split", "group", "time")}
    found = {role: name if name in known else None for role, name in roles.items()}
    data = recipe.data.model_copy(update={"path": path, "text": texts[0] if texts else (), **found})
    return recipe.model_copy(update={"heads": heads, "data": data})


def fingerprint(recipe: Recipe, source: Source) -> str:
    """That of the data that a recipe reads: of one source its own, of several all, joined by `JOINT`."""
    return JOINT.join(read.fingerprint(path or source) for path in _paths(recipe))


def origin_of(recipe: Recipe, source: Source, fitted_on: str) -> Origin | None:
    """Which source of a run, fitted on data with the fingerprint `fitted_on`, has the content of `source`, if any."""
    own, marks, paths = read.fingerprint(source), fitted_on.split(JOINT), _paths(recipe)
    if own not in marks or len(marks) != len(paths):
        return None
    at = marks.index(own)
    return Origin(_names(recipe)[at], paths[at], source, _alone(recipe, paths[at], source))


def namesake(recipe: Recipe, source: Source) -> Recipe:
    """The recipe of the source of a run that has the file name of `source`; of all of them where none has."""
    paths = _paths(recipe)
    names = [Path(path or recipe.data.path).name for path in paths]
    own = Path(source).name if is_path(source) else ""
    if len(paths) == 1 or not own or names.count(own) != 1:
        return recipe
    return _alone(recipe, paths[names.index(own)], source)


def mentioning(tasks: Mapping[str, Task], recipe: Recipe) -> list[str]:
    """The columns that say what the `mention` heads of a run are asked about: of names, or else of spans."""
    parts = [recipe.heads[name] for name, task in tasks.items() if task.kind == "mention"]
    return list(dict.fromkeys(part.mention or part.column for part in parts))
