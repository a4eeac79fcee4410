"""The recipe: a strict description of one run."""

from __future__ import annotations

from metier.recipe.parts import (
    METHODS,
    AdapterPart,
    AugmentPart,
    EnsemblePart,
    HeadPart,
    OptimisePart,
    Part,
    RegularisePart,
    SemiPart,
    TrainPart,
)
from metier.recipe.recipe import Recipe, read_tables

__all__ = [
    "METHODS",
    "AdapterPart",
    "AugmentPart",
    "EnsemblePart",
    "HeadPart",
    "OptimisePart",
    "Part",
    "Recipe",
    "RegularisePart",
    "SemiPart",
    "TrainPart",
    "read_tables",
]
