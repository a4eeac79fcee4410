"""Metier adapts a pretrained language model to a trade and runs it there."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metier.errors import MetierError
    from metier.model import Model, load, train
    from metier.recipe import Recipe
    from metier.types import Document, Example, Prediction, Span

__version__ = "0.1.0"
__all__ = ["Document", "Example", "MetierError", "Model", "Prediction", "Recipe", "Span", "load", "train"]

_HOMES = {
    "Document": "types",
    "Example": "types",
    "Prediction": "types",
    "Span": "types",
    "MetierError": "errors",
    "Recipe": "recipe",
    "Model": "model",
    "load": "model",
    "train": "model",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used."""
    if name in _HOMES:
        return getattr(import_module(f"metier.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'metier' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


class _Package(ModuleType):
    """The folder `metier/train` and the function `metier.train` share a name; importing the first keeps the second."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
