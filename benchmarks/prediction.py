"""Prediction against transformers' `pipeline` and against engines driven by hand, on Banking77's test questions.

The same network everywhere, in eight bits for ours and for the engines; the pipeline has the encoder in float with a
classifier of as many labels (how right it is says nothing: only its time counts; ours is judged against our own run in
float). Runs alternate, each ratio is that of neighbours, their median counts. All have the same threads.

By hand, the best of: ONNX Runtime and OpenVINO on the very graph of our run, texts sorted by length, batches of 16, 32
and 64, all threads on a batch or one batch a thread; ONNX Runtime on the float graph by its own dynamic quantisation.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

import metier
from benchmarks.matmul_peak import gflops
from benchmarks.small_runs import WORK, accuracy, fitted, megabytes, smaller, tested
from metier.models import backbone as backbones
from metier.predict.engines import ENGINES, Engine

BARS = {"throughput": 8.0, "latency": 6.0, "by_hand": 1.0, "int8_peak": 0.5, "points": -0.5, "mb": 26, "trimmed_mb": 14}
LAYERS = 10_646_784
"""Weights of the six layers: each token takes twice as many operations."""
Answer = Callable[[Sequence[str]], Any]


def run(work: str = WORK, pairs: int = 5, threads: int = 2, texts: int = 3079) -> dict[str, Any]:
    """Ratios of throughput and of the delay of one text, the share of the machine's eight-bit peak, sizes."""
    torch.set_num_threads(threads)
    folder, table = Path(work), tested("banking77")
    plain = fitted("banking77", folder, threads)
    small = smaller("banking77", "int8", folder, threads)
    wishes: dict[str, Any] = {"vocabulary": True, "mixed": True, "engines": ("onnxruntime",)}
    trimmed = smaller("banking77", "trimmed", folder, threads, **wishes)
    model = metier.load(small, threads=threads)
    points = {"float": accuracy(metier.load(plain, threads=threads), table), "int8": accuracy(model, table)}
    asked = table["text"].to_list()[:texts]
    pipe = pipeline(threads)
    found = {
        "throughput": against(model.predict, partial(pipe, batch_size=32), asked, pairs),
        "latency": against(_singly(model.predict), _singly(pipe), asked[:150], pairs),
        "by_hand": by_hand(model.predict, small, asked, pairs, threads),
        "int8_peak": share(found_peak(threads), model, asked),
    }
    return {
        "bars": BARS,
        "threads": threads,
        "answers": model.runtime.describe(),
        "accuracy": points | {"points": 100 * (points["int8"] - points["float"])},
        "megabytes": {"int8": megabytes(small), "trimmed": megabytes(trimmed)},
        **found,
    }


def against(ours: Answer, theirs: Answer, texts: Sequence[str], pairs: int) -> dict[str, Any]:
    """How many times faster ours is: the median of pairs of neighbours; a first pair warms up and does not count."""
    ratios, rates = [], []
    for turn in range(pairs + 1):
        mine, other = (_seconds(answer, texts) for answer in (ours, theirs))
        if turn:
            ratios.append(other / mine)
            rates.append((len(texts) / mine, len(texts) / other))
    return {
        "median": median(ratios),
        "min": min(ratios),
        "max": max(ratios),
        "ours": median(mine for mine, _ in rates),
        "theirs": median(other for _, other in rates),
    }


def _seconds(answer: Answer, texts: Sequence[str]) -> float:
    time.sleep(0.5)  # threads of the one before that spin for more work have given up
    start = time.perf_counter()
    answer(texts)
    return time.perf_counter() - start


def _singly(answer: Answer) -> Answer:
    return lambda texts: [answer([text]) for text in texts]


def pipeline(threads: int) -> Any:
    """transformers' own, as its documentation makes it."""
    import transformers

    folder = str(backbones.find("minilm").folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=77)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    torch.set_num_threads(threads)
    return transformers.pipeline("text-classification", model=network, tokenizer=tokenizer, device="cpu")


# -- by hand -----------------------------------------------------------------------------------------------------
def by_hand(ours: Answer, small: Path, texts: Sequence[str], pairs: int, threads: int) -> dict[str, Any]:
    """Ours against whichever setting of an engine is fastest."""
    tokenizer = Tokenizer.from_file(str(small / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    with tempfile.TemporaryDirectory() as folder:
        graphs = {"our graph": small / "model.onnx", "its own int8": _own(small, Path(folder))}
        tried = {}
        for name, graph in graphs.items():
            for engine in ENGINES.values():
                if not engine.here() or (name != "our graph" and engine.name != "onnxruntime"):
                    continue
                for streams in (1, threads):
                    made = engine(graph, threads // streams, streams)
                    for batch in (16, 32, 64):
                        drive = partial(_driven, made, tokenizer, batch=batch)
                        drive(texts[:256])
                        tried[f"{engine.name}, {name}, {streams} streams, {batch}"] = drive
        rates = {name: len(texts) / _seconds(drive, texts) for name, drive in tried.items()}
        best = max(rates, key=lambda name: rates[name])
        print(f"by hand: {best}", file=sys.stderr)
        return {"best": best, "tried": rates, **against(ours, tried[best], texts, pairs)}


def _own(small: Path, folder: Path) -> Path:
    """ONNX Runtime's dynamic quantisation of the float graph, per channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = smaller("banking77", "fp32", small.parent, precision="fp32", engines=("onnxruntime",))
    out = folder / "dynamic.onnx"
    # without these it takes ONNX's own Attention for the one of ONNX Runtime, and writes a graph that does not load
    kinds = ["MatMul", "Gemm", "Gather"]
    quantize_dynamic(
        plain / "model.onnx", out, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=kinds
    )
    return out


def _driven(engine: Engine, tokenizer: Tokenizer, texts: Sequence[str], batch: int) -> None:
    """Sorted by length, padded to the longest of a batch, one batch a stream at a time."""
    ids = sorted((one.ids for one in tokenizer.encode_batch_fast(list(texts))), key=len)
    starts = range(0, len(ids), batch)
    with ThreadPoolExecutor(engine.streams) as pool:
        list(pool.map(lambda start: engine._compute(_feed(engine, ids[start : start + batch])), starts))


def _feed(engine: Engine, rows: list[list[int]]) -> dict[str, np.ndarray]:
    longest = max(2, *(len(row) for row in rows))
    ids = np.array([row + [0] * (longest - len(row)) for row in rows], dtype=np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    every = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
    return {name: _typed(engine, name, every[name]) for name in engine.inputs}


def _typed(engine: Engine, name: str, array: np.ndarray) -> np.ndarray:
    """As our own tables feed it."""
    return array.astype(bool) if name == "mask" else array


# -- the peak ----------------------------------------------------------------------------------------------------
def found_peak(threads: int, size: int = 2048, repeats: int = 12) -> dict[str, float]:
    """Billions of operations a second: the fastest product of matrices of bytes here (by ONNX Runtime), of floats."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(1)
    left = random.integers(0, 255, (size, size), dtype=np.uint8)
    right = numpy_helper.from_array(random.integers(-127, 127, (size, size), dtype=np.int8), "right")
    shape = [size, size]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("out", TensorProto.INT32, shape)],
        [right],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        session.run(None, {"left": left})
        best = min(best, time.perf_counter() - start)
    return {"int8": 2 * size**3 / best / 1e9, "fp32": gflops(size, size, size, repeats), "threads": threads}


def share(peak: dict[str, float], model: metier.Model, texts: Sequence[str]) -> dict[str, float]:
    """What of the peak whole calls reach: operations of the layers' products, padding not counted."""
    tokenizer = Tokenizer.from_file(str(model.run / "tokenizer.json"))
    tokens = sum(len(one.ids) for one in tokenizer.encode_batch(list(texts)))
    seconds = min(_seconds(model.predict, texts) for _ in range(3))
    reached = 2 * LAYERS * tokens / seconds / 1e9
    return {**peak, "reached": reached, "share": reached / peak["int8"]}
