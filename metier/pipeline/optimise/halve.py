"""A run's weights in sixteen bits, for GPUs: half the memory, and products on their matrix units."""

from __future__ import annotations

from pathlib import Path

from metier.models.halves import rounded
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
    network, machine = rounded(before.network, before.machine, precision)
    made = TorchRuntime(network, before.tokeniser, machine, before.floors)
    gate.require(precision, made, {}, "bf16 has the range of fp32, fp16 more digits; --tolerance allows more")
    save_runtime(made, staged)
    return made
