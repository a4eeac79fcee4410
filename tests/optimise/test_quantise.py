"""Graphs in eight bits: what is quantised, what stays, and that smoothing changes nothing but the numbers' sizes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from metier.errors import RunError
from metier.models.table import Arrays
from metier.optimise import quantise as quantising
from metier.optimise.graph import constants, feed_of, peaks
from metier.optimise.quantise import harm, parts, quantise

WORDS, WIDTH, LABELS = 2_100, 32, 3


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Embeddings, a layer whose input has one channel a hundred times as large as the others, and a head."""
    random = np.random.default_rng(3)
    words = random.normal(size=(WORDS, WIDTH)).astype(np.float32) * random.uniform(0.1, 3, (WORDS, 1)).astype(
        np.float32
    )
    gain = np.ones(WIDTH, dtype=np.float32)
    gain[5] = 100
    matrix = random.normal(size=(WIDTH, WIDTH)).astype(np.float32)
    matrix[:, 5] /= 100
    nodes = [
        helper.make_node("Gather", ["encoder.words.weight", "ids"], ["looked"], name="look"),
        helper.make_node("Gemm", ["uneven", "encoder.layers.0.widen.weight", "bias"], ["wide"], name="widen", transB=1),
        helper.make_node("Relu", ["wide"], ["active"], name="relu"),
        helper.make_node("MatMul", ["active", "heads.0.weight"], ["label"], name="out"),
    ]
    nodes.insert(1, helper.make_node("Reshape", ["looked", "shape"], ["flat"], name="flatten"))
    nodes.insert(2, helper.make_node("Mul", ["flat", "gain"], ["uneven"], name="gain"))
    values = {
        "encoder.words.weight": words,
        "encoder.layers.0.widen.weight": matrix,
        "gain": gain,
        "bias": random.normal(size=WIDTH).astype(np.float32),
        "heads.0.weight": random.normal(size=(WIDTH, LABELS)).astype(np.float32),
        "shape": np.array([-1, WIDTH]),
    }
    made = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "length"])],
        [helper.make_tensor_value_info("label", TensorProto.FLOAT, ["tokens", LABELS])],
        [numpy_helper.from_array(array, name) for name, array in values.items()],
    )
    file = tmp_path_factory.mktemp("graph") / "float.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]), file)
    return file


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(4)
    return [batch(random.integers(0, WORDS, (8, 6))) for _ in range(6)]


def batch(ids):
    return Arrays(np.arange(len(ids)), ids, np.ones(ids.shape, dtype=bool), np.zeros_like(ids), {})


def said(file, texts):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    model = onnx.load(file)
    return np.concatenate([session.run(None, feed_of(arrays, model))[0] for arrays in texts])


def wrong(file, graph, texts):
    first = said(graph, texts)
    return float(np.abs(said(file, texts) - first).mean() / first.std())


def test_parts(graph):
    assert parts(onnx.load(graph)) == {"embeddings": ["look"], "layer 1": ["widen"], "heads": ["out"]}


@pytest.mark.parametrize("static", [False, True])
def test_bytes_say_nearly_the_same(graph, texts, tmp_path, static):
    target = tmp_path / "bytes.onnx"
    quantise(graph, target, texts, static=static, smooth=True)
    assert wrong(target, graph, texts) < 0.03
    known = constants(onnx.load(target))
    assert known["encoder.words.weight"].dtype == np.int8
    assert not any(array.dtype == np.float32 and array.size >= WIDTH * LABELS for name, array in known.items()
                   if "scale" not in name and "smoothing" not in name)  # fmt: skip


def test_smoothing_helps_where_a_channel_sticks_out(graph, texts, tmp_path):
    for smooth in (False, True):
        quantise(graph, tmp_path / f"{smooth}.onnx", texts, static=True, smooth=smooth, spare=["heads"])
    assert wrong(tmp_path / "True.onnx", graph, texts) < 0.5 * wrong(tmp_path / "False.onnx", graph, texts)


def test_smoothing_alone_changes_nothing(graph, texts, tmp_path):
    model = onnx.load(graph)
    quantising._smooth(model, peaks(model, quantising._products(model, ()), texts))
    onnx.save(model, tmp_path / "smooth.onnx")
    assert wrong(tmp_path / "smooth.onnx", graph, texts) < 1e-5
    assert sum(node.op_type == "Mul" for node in model.graph.node) == 3


def test_what_is_spared_stays(graph, texts, tmp_path):
    target = tmp_path / "spared.onnx"
    quantise(graph, target, texts, static=False, smooth=False, spare=["embeddings", "layer 1", "heads"])
    assert np.array_equal(said(target, texts), said(graph, texts))
    quantise(graph, target, texts, static=False, smooth=False, spare=["layer 1"])
    squares = [array.dtype for array in constants(onnx.load(target)).values() if array.shape == (WIDTH, WIDTH)]
    assert squares == [np.float32]


def test_who_hurts(graph, texts, tmp_path):
    found = harm(graph, texts, lambda file: wrong(file, graph, texts), tmp_path, static=True, smooth=False)
    assert list(found) == sorted(found, key=lambda part: -found[part]) and set(found) == set(parts(onnx.load(graph)))
    assert next(iter(found)) == "layer 1"  # whose input has the large channel


def test_nothing_to_calibrate_with(graph, tmp_path):
    with pytest.raises(RunError, match="no texts to calibrate with"):
        quantise(graph, tmp_path / "none.onnx", [], static=True, smooth=False)
    quantise(graph, tmp_path / "none.onnx", [], static=False, smooth=False)


def test_old_processors_give_up_half_a_bit(graph, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(quantising, "has_wide_dot_products", lambda: False)
    quantise(graph, tmp_path / "narrow.onnx", texts, static=False, smooth=False)
    known = constants(onnx.load(tmp_path / "narrow.onnx"))
    narrow = [array for name, array in known.items() if array.dtype == np.int8 and "words" not in name]
    assert narrow and all(np.abs(array.astype(int)).max() <= 64 for array in narrow)
