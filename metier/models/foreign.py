"""What other libraries call the weights and settings of a BERT-family encoder, as data.

A family is three small tables: settings, weights outside the layers, weights of a layer. The values are foreign names;
several names for one weight mean that their tensors are stacked, in that order, along the first axis (our query, key
and value are one matrix). Supporting another family of this shape means adding tables, not code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metier.errors import BackboneError, nearest
from metier.models.shape import Shape

BERT_SETTINGS: dict[str, str] = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "intermediate": "intermediate_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
    "eps": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "activation": "hidden_act",
    "padding": "pad_token_id",
}
BERT_OUTSIDE: dict[str, tuple[str, ...]] = {
    "words.weight": ("embeddings.word_embeddings.weight",),
    "places.weight": ("embeddings.position_embeddings.weight",),
    "kinds.weight": ("embeddings.token_type_embeddings.weight",),
    "norm.weight": ("embeddings.LayerNorm.weight",),
    "norm.bias": ("embeddings.LayerNorm.bias",),
}
BERT_LAYER: dict[str, tuple[str, ...]] = {
    "attend.weight": tuple(f"attention.self.{part}.weight" for part in ("query", "key", "value")),
    "attend.bias": tuple(f"attention.self.{part}.bias" for part in ("query", "key", "value")),
    "join.weight": ("attention.output.dense.weight",),
    "join.bias": ("attention.output.dense.bias",),
    "join_norm.weight": ("attention.output.LayerNorm.weight",),
    "join_norm.bias": ("attention.output.LayerNorm.bias",),
    "widen.weight": ("intermediate.dense.weight",),
    "widen.bias": ("intermediate.dense.bias",),
    "narrow.weight": ("output.dense.weight",),
    "narrow.bias": ("output.dense.bias",),
    "narrow_norm.weight": ("output.LayerNorm.weight",),
    "narrow_norm.bias": ("output.LayerNorm.bias",),
}
DISTIL_LAYER: dict[str, tuple[str, ...]] = {
    "attend.weight": tuple(f"attention.{part}_lin.weight" for part in ("q", "k", "v")),
    "attend.bias": tuple(f"attention.{part}_lin.bias" for part in ("q", "k", "v")),
    "join.weight": ("attention.out_lin.weight",),
    "join.bias": ("attention.out_lin.bias",),
    "join_norm.weight": ("sa_layer_norm.weight",),
    "join_norm.bias": ("sa_layer_norm.bias",),
    "widen.weight": ("ffn.lin1.weight",),
    "widen.bias": ("ffn.lin1.bias",),
    "narrow.weight": ("ffn.lin2.weight",),
    "narrow.bias": ("ffn.lin2.bias",),
    "narrow_norm.weight": ("output_layer_norm.weight",),
    "narrow_norm.bias": ("output_layer_norm.bias",),
}
DISTIL_SETTINGS: dict[str, str] = {
    "vocabulary": "vocab_size",
    "width": "dim",
    "depth": "n_layers",
    "heads": "n_heads",
    "intermediate": "hidden_dim",
    "positions": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation": "activation",
    "padding": "pad_token_id",
}


@dataclass(frozen=True)
class Family:
    """One family of checkpoints.

    `prefixes` are what checkpoints with a task's head put before the encoder's names, `layer` is the format of a
    layer's prefix, `fixed` are settings that the foreign configuration does not spell out, and `offset` says whether
    positions start after the padding id (RoBERTa) or at 0.
    """

    prefixes: tuple[str, ...]
    layer: str
    settings: Mapping[str, str]
    outside: Mapping[str, tuple[str, ...]]
    inside: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, Any]
    offset: bool = False


_WITHOUT_TYPES = {own: foreign for own, foreign in BERT_OUTSIDE.items() if own != "kinds.weight"}
FAMILIES: dict[str, Family] = {
    "bert": Family(("bert.", ""), "encoder.layer.{}.", BERT_SETTINGS, BERT_OUTSIDE, BERT_LAYER, {}),
    "roberta": Family(("roberta.", ""), "encoder.layer.{}.", BERT_SETTINGS, BERT_OUTSIDE, BERT_LAYER, {}, offset=True),
    "distilbert": Family(
        ("distilbert.", ""),
        "transformer.layer.{}.",
        DISTIL_SETTINGS,
        _WITHOUT_TYPES,
        DISTIL_LAYER,
        {"types": 0, "eps": 1e-12},
    ),
}
FAMILIES["xlm-roberta"] = FAMILIES["camembert"] = FAMILIES["roberta"]


def family_of(config: Mapping[str, Any]) -> Family:
    """The tables for a foreign configuration (`config.json` as a dict).

    Raises `BackboneError` for another family, and for positions that are not absolute.
    """
    kind = str(config.get("model_type", ""))
    if kind not in FAMILIES:
        raise BackboneError(
            f"An encoder of the family {kind!r} cannot be read.{nearest(kind, FAMILIES)}",
            expected=f"model_type one of {', '.join(sorted(FAMILIES))}",
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise BackboneError(
            f"Positions are {config['position_embedding_type']!r}.", expected="position_embedding_type 'absolute'"
        )
    return FAMILIES[kind]


def shape(config: Mapping[str, Any], dropout: float | None = None) -> Shape:
    """The sizes that a foreign configuration states; `dropout` replaces both of its dropout shares."""
    family = family_of(config)
    fields = {own: config[foreign] for own, foreign in family.settings.items() if config.get(foreign) is not None}
    fields |= family.fixed
    if family.offset:
        fields["position_offset"] = int(fields.get("padding", 1)) + 1
    if dropout is not None:
        fields |= {"dropout": dropout, "attention_dropout": dropout}
    return Shape(**fields)


def own_weights(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Foreign weights under our names, in float32, without those that the encoder has no use for (a pooler, a head).

    Raises `BackboneError` naming the weights that are missing.
    """
    family = family_of(config)
    table = _table(family, int(config[family.settings["depth"]]))
    first = next(iter(table.values()))[0]
    prefix = next((prefix for prefix in family.prefixes if prefix + first in state), "")
    missing = [prefix + name for names in table.values() for name in names if prefix + name not in state]
    if missing:
        raise BackboneError(
            f"{len(missing)} weights are missing, among them {missing[0]!r}.",
            expected=f"the weights of a {config.get('model_type')!r} encoder",
        )
    return {own: _joined([state[prefix + name] for name in names]) for own, names in table.items()}


def foreign_weights(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inverse of `own_weights`: our weights under the family's names, without a prefix."""
    family = family_of(config)
    table = _table(family, int(config[family.settings["depth"]]))
    return {
        name: part
        for own, names in table.items()
        for name, part in zip(names, state[own].chunk(len(names)), strict=True)
    }


def _table(family: Family, depth: int) -> dict[str, tuple[str, ...]]:
    table = dict(family.outside)
    for index in range(depth):
        prefix = family.layer.format(index)
        for own, names in family.inside.items():
            table[f"layers.{index}.{own}"] = tuple(prefix + name for name in names)
    return table


def _joined(parts: list[Tensor]) -> Tensor:
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(torch.float32)
