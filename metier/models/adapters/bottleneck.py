"""Adapters (Houlsby et al. 2019): after each sublayer a bottleneck with a residual sum, and layer norms of its own."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.recipe import AdapterPart

START = 1e-3
"""The deviation of a bottleneck's first weights: near the identity (Houlsby et al. 2019, sec. 2.1 and 3.6)."""


class Bottleneck(nn.Module):
    """A frozen linear layer that ends a sublayer, and `y + up(gelu(down(y)))` of what it gives."""

    def __init__(self, layer: nn.Linear, size: int, dropout: float) -> None:
        super().__init__()
        self.base_layer = layer
        self.down, self.up = nn.Linear(layer.out_features, size), nn.Linear(size, layer.out_features)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        for part in (self.down, self.up):
            nn.init.trunc_normal_(part.weight, std=START, a=-2 * START, b=2 * START)
            nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., inputs)` to `(..., width)`."""
        given: Tensor = self.base_layer(x)
        correction: Tensor = self.up(self.dropout(F.gelu(self.down(given))))
        return given + correction


def bottlenecks(encoder: Encoder | HubEncoder, names: list[str], part: AdapterPart) -> None:
    """Puts a bottleneck behind attention and behind the perceptron of every layer; norms of layers are trained."""
    for name in _ends(encoder, names):
        layer = encoder.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        encoder.set_submodule(name, Bottleneck(layer, part.size, part.dropout).to(layer.weight.device))
    stacked = tuple(f"{name}." for name, item in encoder.named_modules() if isinstance(item, nn.ModuleList))
    for name, item in encoder.named_modules():
        if isinstance(item, nn.LayerNorm) and name.startswith(stacked):
            _own(item)


def _ends(encoder: Encoder | HubEncoder, names: list[str]) -> list[str]:
    """The linear layers that end a sublayer, told by their shapes alone.

    What narrows to the width ends a perceptron. Of the square layers before it the last one ends attention: queries,
    keys and values are named first wherever they are square.
    """
    found, square = [], ""
    for name in names:
        layer = encoder.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        if layer.in_features == layer.out_features:
            square = name
        elif layer.out_features == encoder.width and layer.in_features > encoder.width:
            found += [square, name] if square else [name]
            square = ""
    return found


def _own(norm: nn.LayerNorm) -> None:
    """Gives a norm weights of its own, apart from those that others may share."""
    for name, weight in list(norm.named_parameters(recurse=False)):
        setattr(norm, name, nn.Parameter(weight.detach().clone()))
