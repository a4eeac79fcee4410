"""An ONNX graph in eight bits: matrix products and embeddings, with the parts that suffer left in float.

Weights get one scale an output channel, rows of embeddings one each. Activations get their scale from calibration
texts (static) or from every batch as it comes (dynamic). Smoothing moves what is hard to quantise from activations
into weights before (SmoothQuant; Xiao et al. 2023).
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from metier.errors import RunError
from metier.models.table import Arrays
from metier.optimise.graph import Feed, constants, feed_of, peaks

PRODUCTS = ("Gemm", "MatMul")
EMBEDDINGS, HEADS = "embeddings", "heads"
LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
ALPHA = 0.5
"""How much of the difficulty moves into the weights; the authors' choice for most models."""


def parts(model: onnx.ModelProto) -> dict[str, list[str]]:
    """The nodes that can be quantised, by the part of the network: `embeddings`, `layer 1` and so on, `heads`."""
    weights, found = constants(model), dict[str, list[str]]()
    for node in model.graph.node:
        names = [name for name in node.input if name in weights and weights[name].ndim == 2]
        if not names or node.op_type not in (*PRODUCTS, "Gather"):
            continue
        layer = LAYER.search(names[0])
        part = f"layer {int(layer[1]) + 1}" if layer else EMBEDDINGS if node.op_type == "Gather" else HEADS
        found.setdefault(part, []).append(node.name)
    return found


def quantise(
    source: Path, target: Path, texts: Sequence[Arrays], *, static: bool, smooth: bool, spare: Iterable[str] = ()
) -> None:
    """Writes the graph of `source` in eight bits.

    Args:
        source: a graph in float32.
        target: where the new one goes.
        texts: batches of calibration texts; a dynamic graph needs them for smoothing alone.
        static: whether activations have fixed scales.
        smooth: whether activations are smoothed before.
        spare: parts that stay in float, of those that `parts` names.

    Raises:
        RunError: where there is nothing to calibrate with, or nothing in the graph that can be quantised.
    """
    if (static or smooth) and not texts:
        raise RunError("There are no texts to calibrate with.", expected="training texts", hint="--data FILE")
    model = onnx.load(source)
    known, spared = parts(model), set(spare)
    if not known:
        raise RunError(f"{source.name} has no matrix product that could be quantised.", hint="--precision fp32")
    kept = [name for part in spared for name in known.get(part, ())]
    if smooth:
        _smooth(model, peaks(model, _products(model, kept), texts))
    if EMBEDDINGS not in spared:
        _quantise_rows(model)
    del model.graph.value_info[:]  # types are inferred anew
    options: dict[str, Any] = {
        "per_channel": True,
        "weight_type": QuantType.QInt8,
        "reduce_range": not has_wide_dot_products(),
        "op_types_to_quantize": list(PRODUCTS),
        "nodes_to_exclude": [*kept, *(f"{name}_MatMul" for name in kept)],  # what a Gemm becomes on the way
    }
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        onnx.save(model, prepared)
        with _quiet():
            if static:
                quantize_static(
                    prepared, target, _Texts(feed_of(arrays, model) for arrays in texts),
                    quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                    extra_options={"OpTypesToExcludeOutputQuantization": list(PRODUCTS)}, **options,
                )  # fmt: skip
            else:
                quantize_dynamic(prepared, target, **options)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on the root logger to prepare the graph, which it does not need."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def has_wide_dot_products() -> bool:
    """Whether products of eight bits are summed in 32 here (VNNI and its kin); else half a bit of weights is given up.

    Without such instructions pairs of products are summed in 16 bits, which overflow silently.
    """
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return True  # other systems' processors of the last years have them
    text = info.read_text(encoding="utf-8")
    return any(flag in text for flag in ("avx512_vnni", "avx_vnni", "asimddp", "amx_int8"))


class _Texts(CalibrationDataReader):  # type: ignore[misc]
    """Batches of calibration texts, one after the other."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self.feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


def _products(model: onnx.ModelProto, kept: Sequence[str]) -> list[onnx.NodeProto]:
    """Products of an activation and a constant that are to be quantised."""
    weights = constants(model)
    return [
        node
        for node in model.graph.node
        if node.op_type in PRODUCTS and node.input[1] in weights and node.name not in kept
    ]


def _smooth(model: onnx.ModelProto, highest: Mapping[str, np.ndarray]) -> None:
    """Divides each channel of an activation by what its weights are multiplied by; the product stays the same."""
    weights = constants(model)
    for node in _products(model, ()):
        if node.input[0] not in highest:
            continue
        name = node.input[1]
        matrix, transposed = weights[name], _transposed(node)
        reach = np.abs(matrix).max(axis=0 if transposed else 1)
        peak = np.maximum(highest[node.input[0]], 1e-5)
        scale = np.clip(peak**ALPHA / np.maximum(reach, 1e-5) ** (1 - ALPHA), 1e-3, 1e3).astype(np.float32)
        _replace(model, name, matrix * (scale if transposed else scale[:, None]))
        factor, smoothed = f"{node.name}.smoothing", f"{node.name}.smoothed"
        model.graph.initializer.append(numpy_helper.from_array(1.0 / scale, factor))
        place = next(at for at, other in enumerate(model.graph.node) if other.name == node.name)
        model.graph.node.insert(
            place, onnx.helper.make_node("Mul", [node.input[0], factor], [smoothed], name=f"{node.name}.smooth")
        )
        model.graph.node[place + 1].input[0] = smoothed


def _transposed(node: onnx.NodeProto) -> bool:
    """Whether the weights of a product are `(out, in)`."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def _quantise_rows(model: onnx.ModelProto) -> None:
    """Embeddings as bytes with a scale a row: rows differ in length by a factor of ten, and one scale would not do."""
    weights = constants(model)
    for node in [node for node in model.graph.node if node.op_type == "Gather" and node.input[0] in weights]:
        matrix = weights[node.input[0]]
        if matrix.ndim != 2 or matrix.size < 1 << 16:
            continue
        name, ids, out = node.input[0], node.input[1], node.output[0]
        scale = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-12) / 127
        _replace(model, name, np.rint(matrix / scale).astype(np.int8))
        model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        place = next(at for at, other in enumerate(model.graph.node) if other.name == node.name)
        node.output[0] = f"{out}.bytes"
        for offset, made in enumerate(
            (
                onnx.helper.make_node("Cast", [f"{out}.bytes"], [f"{out}.float"], name=f"{node.name}.cast", to=1),
                onnx.helper.make_node("Gather", [f"{name}.scale", ids], [f"{out}.scale"], name=f"{node.name}.scale"),
                onnx.helper.make_node("Mul", [f"{out}.float", f"{out}.scale"], [out], name=f"{node.name}.scaled"),
            )
        ):
            model.graph.node.insert(place + 1 + offset, made)


def _replace(model: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    """Another value for a constant."""
    for at, tensor in enumerate(model.graph.initializer):
        if tensor.name == name:
            model.graph.initializer[at].CopyFrom(numpy_helper.from_array(array, name))


def harm(
    source: Path, texts: Sequence[Arrays], wrong: Callable[[Path], float], folder: Path, *, static: bool, smooth: bool
) -> dict[str, float]:
    """How much of the error of a quantised graph each part brings: that of all less that of all but this part.

    Args:
        source: the graph in float32.
        texts: for calibration.
        wrong: the error of a graph, the mean distance of its logits from those in float.
        folder: where graphs are tried.
        static: as `quantise`.
        smooth: as `quantise`.
    """
    target = folder / "tried.onnx"
    quantise(source, target, texts, static=static, smooth=smooth)
    whole = wrong(target)
    found = {}
    for part in parts(onnx.load(source)):
        quantise(source, target, texts, static=static, smooth=smooth, spare=[part])
        found[part] = whole - wrong(target)
    target.unlink()  # the folder becomes the run
    return dict(sorted(found.items(), key=lambda item: -item[1]))
