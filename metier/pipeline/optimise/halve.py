"""A run's weights in sixteen bits, for GPUs: half the memory, and products on their matrix units."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from metier.errors import RunError
from metier.models.ensemble import Ensemble, networks_of
from metier.models.machine import DTYPES
from metier.models.network import Network
from metier.pipeline.optimise.gate import Gate
from metier.pipeline.prepare import Prepared
from metier.pipeline.weights import save_runtime
from metier.predict.runtime import Runtime
from metier.predict.torch_runtime import TorchRuntime


def halved(prepared: Prepared, precision: str, gate: Gate, staged: Path) -> Runtime:
    """Writes the weights as `fp16` or `bf16` into `staged`; the new run's runtime.

    The gate hears what a GPU would say: weights of sixteen bits, and products of them. Without a GPU the processor
    computes that, slowly; a run that is loaded on a processor computes in 32 bits with the rounded weights.

    Raises:
        RunError: where a weight is too large for sixteen bits, or the answers got worse.
    """
    before = prepared.runtime
    network = _rounded(before.network, DTYPES[precision])
    machine = replace(before.machine, dtype=DTYPES[precision])
    made = TorchRuntime(network, before.tokeniser, machine, before.floors)
    gate.require(precision, made, {}, "bf16 has the range of fp32, fp16 more digits; --tolerance allows more")
    save_runtime(made, staged)
    return made


def _rounded(network: Network | Ensemble, kind: torch.dtype) -> Network | Ensemble:
    """A copy of a network with weights of sixteen bits."""
    found = copy.deepcopy(network).to(kind)
    for number, member in enumerate(networks_of(found)):
        if odd := list(_overflown(member.named_parameters())):
            raise RunError(
                f"The weight {odd[0]} of network {number + 1} is too large for {str(kind).rpartition('.')[2]}.",
                hint="--precision bf16, which has the range of 32 bits",
            )
    return found


def _overflown(weights: Iterable[tuple[str, nn.Parameter]]) -> Iterable[str]:
    return (name for name, weight in weights if not bool(torch.isfinite(weight).all()))
