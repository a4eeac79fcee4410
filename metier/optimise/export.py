"""A network as one ONNX graph: encoder, pooling and every head."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from metier.errors import RunError
from metier.models.batch import Batch
from metier.models.ensemble import Ensemble
from metier.models.network import Network
from metier.models.table import VECTOR, Arrays

OPSET = 23
"""The first with attention and GELU as operators of their own."""


class _Graph(nn.Module):
    """A network with tensors where it has a batch: `(ids, mask, types, inputs of heads in order)` to logits."""

    def __init__(self, network: Network | Ensemble, inputs: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.network, self.inputs = network, dict(inputs)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor, *further: Tensor) -> tuple[Tensor, ...]:
        """Logits of every head in order, then the vectors that they read."""
        rest = iter(further)
        inputs = {name: {key: next(rest) for key in keys} for name, keys in self.inputs.items()}
        found = self.network(Batch(np.zeros(0), ids, mask, types, inputs))
        return *(found[name] for name in self.network.tasks), found[VECTOR]


def export(network: Network | Ensemble, example: Arrays, path: Path) -> None:
    """Writes the graph of a network.

    Inputs are called `ids`, `mask`, `types` and `HEAD.KEY`, outputs `HEAD` and `VECTOR`; rows and length may be any.

    Args:
        network: in float32, on the CPU.
        example: at least two rows of at least two tokens, one of them shorter.
        path: of the graph.

    Raises:
        RunError: where the network does something that the graph has no operator for.
    """
    keys = {name: tuple(inputs) for name, inputs in example.inputs.items()}
    names = ["ids", "mask", "types", *(f"{name}.{key}" for name, own in keys.items() for key in own)]
    batch = Batch.of(example)
    further = [batch.inputs[name][key] for name, own in keys.items() for key in own]
    rows, length = torch.export.Dim("rows", min=1), torch.export.Dim("length", min=2, max=1 << 16)
    shapes = ({0: rows, 1: length},) * 3
    graph = _Graph(network, keys).eval()
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                graph,
                (batch.ids, batch.mask, batch.types, *further),
                input_names=names,
                output_names=[*network.tasks, VECTOR],
                dynamic_shapes=(*shapes, *([tuple({0: rows} for _ in further)] if further else [])),
                opset_version=OPSET,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # noqa: BLE001 - whatever the tracer meets in somebody's architecture
        raise RunError(
            f"This network cannot be written as an ONNX graph: {_reason(error)}.", hint="serve the run as it is"
        ) from None
    assert program is not None
    program.save(str(path), external_data=False)


def _reason(error: Exception) -> str:
    """The last line of the innermost error that says anything."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {said[0] if said else 'no reason given'}".rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks on stdout, in warnings and to loggers; what a user must know comes as an error."""
    loud = logging.getLogger("torch.onnx")
    level = loud.level
    loud.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        loud.setLevel(level)
