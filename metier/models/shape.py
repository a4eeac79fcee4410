"""The sizes of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from metier.errors import BackboneError

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder. `types` may be 0 (no token types); positions start at row `position_offset`.

    `layers` are the numbers of heads and of intermediate units of each layer where some were taken away; empty: all
    have `heads` and `intermediate`. A head has `width / heads` dimensions however many of them are left.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    intermediate: int
    positions: int
    types: int = 2
    eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    position_offset: int = 0
    padding: int = 0
    layers: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise BackboneError(f"A width of {self.width} cannot be split over {self.heads} heads.")
        if self.activation not in ACTIVATIONS:
            raise BackboneError(f"The activation {self.activation!r} is unknown.", expected=", ".join(ACTIVATIONS))
        whole = range(1, self.heads + 1), range(1, self.intermediate + 1)
        if self.layers and len(self.layers) != self.depth:
            raise BackboneError(f"There are sizes of {len(self.layers)} layers.", expected=f"{self.depth}, the depth")
        if any(heads not in whole[0] or units not in whole[1] for heads, units in self.layers):
            raise BackboneError(
                f"The heads and units of the layers are {self.layers}.",
                expected=f"1 to {self.heads} heads and 1 to {self.intermediate} units in each",
            )

    @property
    def head_size(self) -> int:
        """Dimensions of a head."""
        return self.width // self.heads

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Heads and intermediate units of each layer."""
        return self.layers or ((self.heads, self.intermediate),) * self.depth

    def only(self, layers: Sequence[int]) -> Shape:
        """That of an encoder with these layers alone, counted from 0."""
        kept = tuple(self.layers[layer] for layer in layers) if self.layers else ()
        return replace(self, depth=len(layers), layers=kept)

    def describe(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "layers" or value}

    @classmethod
    def restore(cls, saved: dict[str, Any]) -> Shape:
        """What `describe` described."""
        return cls(**{**saved, "layers": tuple((heads, units) for heads, units in saved.get("layers", ()))})
