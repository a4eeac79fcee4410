"""A network with some of another's layers: where a student starts from (DistilBERT: Sanh et al. 2019)."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from metier.errors import BackboneError, RecipeError
from metier.models.adapters import FOLDING, fold
from metier.models.adapters.bottleneck import Bottleneck
from metier.models.adapters.tokens import Grown
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.models.network import Network

LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def evenly(depth: int, count: int) -> tuple[int, ...]:
    """`count` of `depth` layers, counted from 1: evenly spaced, the last one among them."""
    return tuple(round(depth * number / count) for number in range(1, count + 1))


def chosen(depth: int, layers: int | Sequence[int]) -> tuple[int, ...]:
    """The layers that a student is made of: as many as a number says, `evenly`, or those that are named.

    Raises `RecipeError` for layers that the teacher does not have, or that are out of order.
    """
    if isinstance(layers, int):
        if not 1 <= layers <= depth:
            raise RecipeError(f"A student cannot have {layers} layers.", expected=f"1 to {depth}, the teacher's")
        return evenly(depth, layers)
    named = tuple(layers)
    if not named or list(named) != sorted(set(named)) or named[0] < 1 or named[-1] > depth:
        raise RecipeError(
            f"A student cannot have the layers {', '.join(map(str, named)) or 'none'}.",
            expected=f"numbers from 1 to {depth} in ascending order, each once",
        )
    return named


def student(teacher: Network, layers: Sequence[int]) -> Network:
    """A network of the same width with these layers of another and its embeddings and heads; it shares no weights.

    What `lora` or `adalora` put beside the teacher is folded in; of other adapters the student knows nothing at first.
    The tasks are copies: calibrating one network says nothing of the other.
    """
    encoder = with_layers(_plain(teacher.encoder), layers)
    tasks = {name: copy.copy(task) for name, task in teacher.tasks.items()}
    found = Network(encoder, tasks, pooling=teacher.pooling)
    found.heads.load_state_dict(teacher.heads.state_dict())
    found.log_variance.data.copy_(teacher.log_variance.detach())
    return found.to(teacher.device).requires_grad_(True)


def _plain(encoder: Encoder | HubEncoder) -> Encoder | HubEncoder:
    """A copy whose weights are its own, without anything beside its layers."""
    found = copy.deepcopy(encoder)
    if found.adapter is not None and found.adapter.method in FOLDING:
        fold(found)
    elif found.adapter is not None:
        _strip(found)
    for name, weight in found.named_parameters():
        if name in found.frozen_weights:
            weight.data = weight.data.clone()
    found.frozen_weights = {}
    return found


def _strip(encoder: Encoder | HubEncoder) -> None:
    """Takes away what cannot become part of the weights: bottlenecks, keys and values, virtual tokens."""
    for name, part in list(encoder.named_modules()):
        if isinstance(part, Bottleneck):
            encoder.set_submodule(name, part.base_layer)
    encoder.prompt = encoder.adapter = None
    if isinstance(encoder, Encoder):
        encoder.before = None
    if isinstance(encoder.words, Grown):
        encoder.replace_words(encoder.words.whole())


def with_layers(encoder: Encoder | HubEncoder, layers: Sequence[int]) -> Encoder | HubEncoder:
    """The encoder with these of its layers alone, counted from 1; one of transformers is built anew."""
    if isinstance(encoder, Encoder):
        encoder.layers = nn.ModuleList(encoder.layers[layer - 1] for layer in layers)
        encoder.shape = encoder.shape.only([layer - 1 for layer in layers])
        return encoder
    return _rebuilt(encoder, layers)


def _rebuilt(encoder: HubEncoder, layers: Sequence[int]) -> HubEncoder:
    """As its architecture with fewer layers is, which is what a saved run will be loaded as."""
    known = encoder.model.config
    depth = getattr(known, "attribute_map", {}).get("num_hidden_layers", "num_hidden_layers")
    config: dict[str, Any] = known.to_dict() | {depth: len(layers)}
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == encoder.depth:
        config["layer_types"] = [kinds[layer - 1] for layer in layers]
    found = HubEncoder.build(config)
    places = {layer - 1: place for place, layer in enumerate(layers)}
    state = {}
    for name, weight in encoder.model.state_dict().items():
        number = LAYER.search(name)
        if number is None:
            state[name] = weight
        elif int(number[1]) in places:
            start, end = number.span(1)
            state[f"{name[:start]}{places[int(number[1])]}{name[end:]}"] = weight
    missing, unknown = found.model.load_state_dict(state, strict=False)
    odd = [*(name for name in missing if "pooler" not in name), *unknown]  # a masked-language model has no pooler
    if odd:
        raise BackboneError(f"A {known.model_type} with fewer layers is another network: {odd[0]} does not fit it.")
    found.added = encoder.added
    return found
