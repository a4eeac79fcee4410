"""Networks whose weights have sixteen bits, as GPUs multiply them (Micikevicius et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from metier.errors import RunError
from metier.models.ensemble import Ensemble, networks_of
from metier.models.machine import DTYPES, Machine
from metier.models.network import Network


def rounded(network: Network | Ensemble, machine: Machine, precision: str) -> tuple[Network | Ensemble, Machine]:
    """A copy of a network with weights of `fp16` or `bf16`, and the machine that computes with such.

    Raises `RunError` where a weight is too large for it.
    """
    found = copy.deepcopy(network).to(DTYPES[precision])
    for member in networks_of(found):
        odd = [name for name, weight in member.named_parameters() if not bool(torch.isfinite(weight).all())]
        if odd:
            raise RunError(
                f"The weight {odd[0]} is too large for {precision}.",
                hint="--precision bf16, which has the range of 32 bits",
            )
    return found, replace(machine, dtype=DTYPES[precision])


def as_saved(
    network: Network | Ensemble, machine: Machine, weights: Mapping[str, Tensor]
) -> tuple[Network | Ensemble, Machine]:
    """Network and machine in the sixteen bits that weights were saved with; as they are where that would not pay."""
    kinds = {weight.dtype for weight in weights.values() if weight.is_floating_point()}
    if machine.device.type == "cpu" or len(kinds) != 1 or kinds == {torch.float32}:
        return network, machine
    kind = kinds.pop()
    return network.to(kind), replace(machine, dtype=kind)
