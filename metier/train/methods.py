"""What each method fits, and the settings that it starts from. The seam for further methods."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from metier.errors import RecipeError
from metier.recipe import TrainPart


@dataclass(frozen=True, slots=True)
class Method:
    """How parameters are fitted.

    `frozen` is the share of the encoder's layers, from below, that keep their pretrained weights (1: the whole
    encoder); `gradient` is false for a method that solves for the head directly.
    """

    name: str
    frozen: float
    gradient: bool
    rate: float
    head_rate: float
    effort: float
    """Epochs are `effort / sqrt(updates an epoch)` where the recipe names none: many on small data, few on large."""
    epochs: tuple[int, int]
    """The fewest and the most epochs that this may come to."""


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("probe", frozen=1.0, gradient=False, rate=0.0, head_rate=0.0, effort=0.0, epochs=(0, 0)),
        Method("head", frozen=1.0, gradient=True, rate=0.0, head_rate=2e-3, effort=400.0, epochs=(5, 40)),
        Method("freeze", frozen=0.5, gradient=True, rate=3e-4, head_rate=1e-3, effort=150.0, epochs=(2, 15)),
        Method("full", frozen=0.0, gradient=True, rate=2e-4, head_rate=1e-3, effort=120.0, epochs=(2, 15)),
    )
}


def frozen_layers(settings: TrainPart, depth: int) -> int:
    """How many layers keep their weights. Raises `RecipeError` for more than there are."""
    method = METHODS[settings.method]
    if settings.frozen_layers is None or method.name != "freeze":
        return round(method.frozen * depth)
    if settings.frozen_layers > depth:
        raise RecipeError(
            f"frozen_layers is {settings.frozen_layers}.", expected=f"at most {depth}, the backbone's layers"
        )
    return settings.frozen_layers


def epochs(settings: TrainPart, rows: int) -> float:
    """The number of epochs: the recipe's, or as many as the method's effort gives within its bounds."""
    method = METHODS[settings.method]
    if settings.epochs is not None or not method.gradient:
        return settings.epochs or 0.0
    updates = max(1, ceil(rows / (settings.batch_size * settings.accumulate)))
    low, high = method.epochs
    return float(min(high, max(low, round(method.effort / sqrt(updates)))))
