"""Layers, attention heads and feed-forward units that a network can do without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from metier.data.batches import by_length
from metier.errors import RunError
from metier.models.encoder import Encoder
from metier.models.layers import Layer
from metier.models.network import Network
from metier.models.table import Table
from metier.optimise.student import with_layers

BLOCK = 8
"""Units are taken away in blocks of so many: kernels multiply matrices of such widths."""
Comparison = Literal["layer", "raw", "norm"]
"""How the importance of heads and units of different layers is compared; see `kept`."""
ROWS, TOKENS = 32, 4096
"""Of a batch whose gradients are taken."""


@dataclass(frozen=True)
class Importance:
    """How much the loss would change, to first order, without each head `(heads,)` and unit `(units,)` of a layer."""

    heads: list[np.ndarray]
    units: list[np.ndarray]


# -- layers ----------------------------------------------------------------------------------------------------------
def ablate(
    network: Network, count: int, judge: Callable[[], float], tick: Callable[[int], None] = lambda done: None
) -> list[tuple[int, float]]:
    """Leaves `count` layers: again and again the layer goes whose absence costs least.

    Args:
        network: its encoder loses layers in place.
        count: layers that are left.
        judge: the loss of the network as it stands; it is asked once for every layer that might go.
        tick: told of every answer.

    Returns:
        Each layer that went, counted from 1 as they were, with the loss without it.
    """
    left, gone = list(range(1, network.encoder.depth + 1)), []
    while len(left) > count:
        costs = []
        for place in range(len(left)):
            with _layers(network, [other + 1 for other in range(len(left)) if other != place]):
                costs.append(judge())
            tick(1)
        place = int(np.argmin(costs))
        network.encoder = with_layers(network.encoder, [at + 1 for at in range(len(left)) if at != place])
        gone.append((left.pop(place), costs[place]))
    return gone


@contextmanager
def _layers(network: Network, chosen: Sequence[int]) -> Iterator[None]:
    """Inside, the network has these layers alone, counted from 1."""
    whole = network.encoder
    kept = (whole.layers, whole.shape) if isinstance(whole, Encoder) else None
    network.encoder = with_layers(whole, chosen)
    try:
        yield
    finally:
        network.encoder = whole
        if isinstance(whole, Encoder) and kept:
            whole.layers, whole.shape = kept


# -- heads and units -------------------------------------------------------------------------------------------------
def importance(
    network: Network,
    table: Table,
    options: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, float | None],
    tick: Callable[[int], None] = lambda rows: None,
) -> Importance:
    """How much each head and each unit contributes to the loss of labelled texts.

    It is `|activation * gradient|`, added up over the tokens of a text before the absolute value is taken (Molchanov
    et al. 2017, eq. 8; 2019) and over texts behind it; of a head, over its dimensions as well (Michel, Levy & Neubig
    2019, eq. 2). Both come from one pass backwards, as the gradients of factors of 1 on what heads and units give.

    Args:
        network: without an adapter.
        table: labelled texts.
        options: of each head's loss.
        weights: of each head's loss; None: learned.
        tick: told of rows that are done.

    Raises:
        RunError: where no text has a label, or the encoder is one of transformers.
    """
    encoder = plain(network)
    found = [(np.zeros(heads), np.zeros(units)) for heads, units in encoder.shape.sizes]
    labelled = False
    network.eval()
    for chosen in by_length(table.lengths, size=ROWS, tokens=TOKENS):
        batch = table.batch(chosen).to(network.device)
        rows = len(batch.ids)
        if any(bool(there.any()) for there in batch.present.values()):
            labelled = True
            factors = [
                tuple(torch.ones(rows, count, device=network.device, requires_grad=True) for count in sizes)
                for sizes in encoder.shape.sizes
            ]
            with torch.enable_grad(), scaled(encoder, factors):
                loss = network.loss(batch, options, weights)
            slopes = torch.autograd.grad(loss, [one for pair in factors for one in pair])
            for total, slope in zip((one for pair in found for one in pair), slopes, strict=True):
                total += rows * slope.abs().sum(0).double().cpu().numpy()  # the loss is a mean over the rows
        tick(rows)
    if not labelled:
        raise RunError("No text has a label: nothing says which heads and units matter.", hint="--data with labels")
    return Importance([heads for heads, _ in found], [units for _, units in found])


def plain(network: Network) -> Encoder:
    """The encoder of a network, where it is one whose heads and units can be taken away. Raises `RunError`."""
    encoder = network.encoder
    if not isinstance(encoder, Encoder):
        raise RunError(
            f"Heads and units of a {encoder.model.config.model_type} encoder cannot be taken away.",
            expected="an encoder of the BERT family",
            hint="fewer layers, or a student",
        )
    if encoder.adapter is not None:
        raise RunError("The encoder has an adapter.", hint="metier merge")
    return encoder


@contextmanager
def scaled(encoder: Encoder, factors: Sequence[tuple[Tensor, ...]]) -> Iterator[None]:
    """Inside, what heads and units of each layer give is multiplied by `(rows, heads)` and `(rows, units)`.

    Rows may be 1. For networks that are not in training: padding is then computed, too.
    """
    handles = []
    for layer, (heads, units) in zip(encoder.layers, factors, strict=True):
        assert isinstance(layer, Layer)
        for module, factor in ((layer.join, heads), (layer.narrow, units)):
            handles.append(module.register_forward_pre_hook(partial(_multiplied, factor)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiplied(factors: Tensor, module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """`(rows * length, groups * size)`, group by group times `(rows, groups)`."""
    rows, groups = factors.shape
    apart = inputs[0].view(rows, -1, groups, inputs[0].shape[-1] // groups)
    return (apart * factors[:, None, :, None]).view_as(inputs[0])


def kept(scores: Sequence[np.ndarray], share: float, block: int = 1, compare: Comparison = "layer") -> list[np.ndarray]:
    """Which heads or units of each layer stay, ascending: the most important `share`, at least a block a layer.

    Args:
        scores: of the heads, or the units, of each layer.
        share: what stays.
        block: how many go together.
        compare: `layer`: each layer keeps the same share; `raw`: layers are compared by scores as they are (Molchanov
            et al. 2019); `norm`: by scores divided by the l2 norm of their layer (Molchanov et al. 2017; Michel, Levy
            & Neubig 2019).
    """
    if compare == "layer" and len(scores) > 1:
        return [one for score in scores for one in kept([score], share, block)]
    orders = [np.argsort(-score, kind="stable") for score in scores]
    norms = [(float(np.linalg.norm(score)) or 1.0) if compare == "norm" else 1.0 for score in scores]
    blocks = [
        (start > 0, -float(score[order[start : start + block]].mean()) / norm, start, layer)
        for layer, (score, order, norm) in enumerate(zip(scores, orders, norms, strict=True))
        for start in range(0, len(order), block)
    ]
    wanted = max(len(scores), round(share * len(blocks)))
    chosen = sorted(blocks)[:wanted]  # the first of each layer before all others
    counts = np.bincount([layer for *_, layer in chosen], minlength=len(scores))
    return [np.sort(order[: count * block]) for order, count in zip(orders, counts.tolist(), strict=True)]


@torch.no_grad()
def cut(encoder: Encoder, heads: Sequence[np.ndarray], units: Sequence[np.ndarray]) -> None:
    """Takes away all heads and units of each layer but these, with their weights."""
    size = encoder.shape.head_size
    for layer, own_heads, own_units in zip(encoder.layers, heads, units, strict=True):
        assert isinstance(layer, Layer)
        inside = (own_heads[:, None] * size + np.arange(size)).reshape(-1)
        width = layer.join.in_features
        layer.attend = _rows(layer.attend, np.concatenate([part * width + inside for part in range(3)]))
        layer.join = _columns(layer.join, inside)
        layer.widen, layer.narrow = _rows(layer.widen, own_units), _columns(layer.narrow, own_units)
        layer.heads = len(own_heads)
    sizes = tuple((len(own_heads), len(own_units)) for own_heads, own_units in zip(heads, units, strict=True))
    whole = all(one == (encoder.shape.heads, encoder.shape.intermediate) for one in sizes)
    encoder.shape = replace(encoder.shape, layers=() if whole else sizes)


def _rows(linear: nn.Linear, chosen: np.ndarray) -> nn.Linear:
    """The layer with these outputs alone."""
    at = torch.from_numpy(chosen).to(linear.weight.device)
    return _linear(linear.weight[at], linear.bias[at], linear)


def _columns(linear: nn.Linear, chosen: np.ndarray) -> nn.Linear:
    """The layer with these inputs alone."""
    at = torch.from_numpy(chosen).to(linear.weight.device)
    return _linear(linear.weight[:, at], linear.bias, linear)


def _linear(weight: Tensor, bias: Tensor, like: nn.Linear) -> nn.Linear:
    found = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    found.weight = nn.Parameter(weight.contiguous(), requires_grad=like.weight.requires_grad)
    found.bias = nn.Parameter(bias.clone(), requires_grad=like.bias.requires_grad)
    return found
