"""What is read from an ONNX graph, and what flows through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from metier.models.table import Arrays

Feed = dict[str, np.ndarray]


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The constants of a graph by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def feed_of(arrays: Arrays, model: onnx.ModelProto) -> Feed:
    """A batch by the names of a graph's inputs; what the graph does not read is left out."""
    further = {f"{name}.{key}": array for name, own in arrays.inputs.items() for key, array in own.items()}
    known = {"ids": arrays.ids, "mask": arrays.mask, "types": arrays.types, **further}
    return {item.name: known[item.name] for item in model.graph.input}


def peaks(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], texts: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The largest magnitude of each channel of what enters some nodes, over all texts: `(channels,)` by name.

    Padding counts as well: nothing is said of it in a graph, and its states are as large as others.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = sorted({node.input[0] for node in nodes})
    for name in names:
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, np.ndarray] = {}
    for arrays in texts:
        for name, values in zip(names, session.run(names, feed_of(arrays, model)), strict=True):
            peak = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
            found[name] = np.maximum(found[name], peak) if name in found else peak
    return found
