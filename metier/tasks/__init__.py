"""The extension point: a kind of problem is one file here, and one line in `KINDS`.

A task owns what no other part of the house knows: how its targets become numbers, what its head computes, how it is
scored in training, how numbers become a `Prediction`, and how predictions are judged. Everything up to the head is
NumPy; `head` and `loss` import torch when they are called, so that reading labels and metrics never needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metier.errors import RecipeError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from metier.tasks.task import Task
    from metier.types import Target

KINDS: dict[str, str] = {
    "classify": "metier.tasks.classify:Classify",
    "multilabel": "metier.tasks.multilabel:Multilabel",
    "tag": "metier.tasks.tag:Tag",
    "score": "metier.tasks.score:Score",
    "mention": "metier.tasks.mention:Mention",
    "relate": "metier.tasks.relate:Relate",
    "embed": "metier.tasks.embed:Embed",
}


def kind_of(kind: str) -> type[Task]:
    """The class of a kind of task. Raises `RecipeError` for a kind that does not exist."""
    if kind not in KINDS:
        raise RecipeError(f"There is no task {kind!r}.{nearest(kind, KINDS)}", expected=", ".join(KINDS))
    module, name = KINDS[kind].split(":")
    found: type[Task] = getattr(import_module(module), name)
    return found


def build(kind: str, targets: Iterable[Target]) -> Task:
    """A task whose label set is the one that `targets`, those of the training split, hold."""
    return kind_of(kind).build(targets)


def restore(saved: dict[str, Any]) -> Task:
    """A task from what `Task.describe` returned."""
    return kind_of(saved["kind"])(**{key: value for key, value in saved.items() if key != "kind"})
