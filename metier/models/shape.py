"""The sizes of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

from metier.errors import BackboneError

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder. `types` may be 0 (no token types); positions start at row `position_offset`."""

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

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise BackboneError(f"A width of {self.width} cannot be split over {self.heads} heads.")
        if self.activation not in ACTIVATIONS:
            raise BackboneError(f"The activation {self.activation!r} is unknown.", expected=", ".join(ACTIVATIONS))
