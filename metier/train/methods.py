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
    frozen: float = 0.0
    gradient: bool = True
    rate: float = 0.0
    head_rate: float = 1e-3
    effort: float = 120.0
    """Epochs are `effort / sqrt(updates an epoch)` where the recipe names none: many on small data, few on large."""
    epochs: tuple[int, int] = (2, 15)
    """The fewest and the most epochs that this may come to."""
    solved: bool = False
    """Whether the heads are solved for when the encoder is fitted, instead of being fitted with it."""
    adapter: bool = False
    """Whether something is put beside the encoder, whose own weights stay as they are and are not saved."""

    @property
    def joint(self) -> bool:
        """Whether the losses of the heads are what gradient steps minimise."""
        return self.gradient and not self.solved


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("zero_shot", frozen=1.0, gradient=False),
        Method("few_shot", frozen=1.0, gradient=False),
        Method("probe", frozen=1.0, gradient=False),
        Method("contrastive", rate=1e-4, effort=40.0, epochs=(1, 40), solved=True),
        Method("head", frozen=1.0, head_rate=2e-3, effort=400.0, epochs=(5, 40)),
        Method("freeze", frozen=0.5, rate=3e-4, effort=150.0),
        Method("full", rate=2e-4),
        Method("lora", rate=3e-3, effort=150.0, adapter=True),
        Method("adalora", rate=2e-3, effort=200.0, epochs=(4, 20), adapter=True),
        Method("adapter", rate=1e-3, effort=150.0, adapter=True),
        Method("prefix", rate=5e-3, effort=200.0, epochs=(4, 20), adapter=True),
        Method("prompt", rate=1e-2, effort=200.0, epochs=(4, 20), adapter=True),
    )
}


PROMPTING = ("zero_shot", "few_shot")
"""The methods that read what labels are called. They need no labelled text where `heads.NAME.names` says the labels."""
FEW = 50
"""Texts a label below which a head begins at random, where `head_start` is `auto`."""


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


def blank(settings: TrainPart, rows: int, labels: int, smoothing: float) -> bool:
    """Whether a head that `rows` texts train begins a fit by gradient at random weights instead of at the probe.

    Few texts a label are parted by the probe without an error. What is left for the gradient is label smoothing, which
    then asks the encoder for less certainty and for nothing else (measured in `benchmarks/LOG.md`). Where the encoder
    stays as it is, nothing can be led astray; `labels` is 0 for heads that this is not known of.
    """
    if settings.head_start != "auto":
        return settings.head_start == "random"
    return rows < FEW * labels and smoothing > 0.0 and METHODS[settings.method].frozen < 1.0


def epochs(settings: TrainPart, rows: int) -> float:
    """The number of epochs: the recipe's, or as many as the method's effort gives within its bounds."""
    method = METHODS[settings.method]
    if settings.epochs is not None or not method.gradient:
        return settings.epochs or 0.0
    updates = max(1, ceil(rows / (settings.batch_size * settings.accumulate)))
    low, high = method.epochs
    return float(min(high, max(low, round(method.effort / sqrt(updates)))))
