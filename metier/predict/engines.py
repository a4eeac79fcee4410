"""What computes a graph: ONNX Runtime, OpenVINO. Both read the same file."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from metier.errors import RecipeError, RunError, nearest
from metier.models.table import Arrays


class Engine(ABC):
    """A graph that is ready to compute; any number of threads may ask it at once.

    Args:
        file: an ONNX graph, as `optimise.export` or `optimise.quantise` wrote it.
        threads: that share the work of one batch.
        streams: batches that are computed at the same time, each by one asking thread.
        spin: whether threads that share a batch wait for the next one at full speed: up to a third sooner where nothing
            else has to be done meanwhile, and a processor taken from it where something has.
    """

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, file: Path, threads: int, streams: int, *, spin: bool = False) -> None:
        self.file, self.threads, self.streams, self.spin = file, threads, streams, spin
        try:
            self.inputs, self.outputs = self._load()
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001 - each library has errors of its own
            said = str(error).strip().splitlines()
            raise RunError(
                f"{file} cannot be loaded by {self.name}: {said[0].rstrip('.') if said else type(error).__name__}.",
                hint="make the run again with metier optimise",
            ) from None

    @abstractmethod
    def _load(self) -> tuple[list[str], list[str]]:
        """Prepares the graph; the names of its inputs and outputs."""

    @abstractmethod
    def _compute(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of one batch."""

    def __call__(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Logits of every head: `(rows, labels)` or `(rows, length, labels)`, float32."""
        feed = {"ids": arrays.ids, "mask": arrays.mask, "types": arrays.types}
        feed |= {f"{name}.{key}": array for name, own in arrays.inputs.items() for key, array in own.items()}
        return dict(zip(self.outputs, self._compute({name: feed[name] for name in self.inputs}), strict=True))

    @classmethod
    def here(cls) -> bool:
        """Whether its library is installed."""
        return find_spec(cls.package) is not None

    @classmethod
    def version(cls) -> str:
        """Of its library, by whichever package brought it: `onnxruntime-gpu` brings `onnxruntime`, too."""
        with suppress(PackageNotFoundError):
            return version(cls.package)
        names = sorted(set(packages_distributions().get(cls.package, ())))
        return ", ".join(f"{name} {version(name)}" for name in names)


class OnnxRuntime(Engine):
    """ONNX Runtime on the CPU. One session serves all streams: weights are in memory once."""

    name, package = "onnxruntime", "onnxruntime"

    def _load(self) -> tuple[list[str], list[str]]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self.spin else "0")
        self.session = onnxruntime.InferenceSession(
            str(self.file), sess_options=options, providers=["CPUExecutionProvider"]
        )
        return [item.name for item in self.session.get_inputs()], [item.name for item in self.session.get_outputs()]

    def _compute(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = self.session.run(None, feed)
        return found


class OpenVino(Engine):
    """OpenVINO on the CPU. Each asking thread has a request of its own."""

    name, package = "openvino", "openvino"

    def _load(self) -> tuple[list[str], list[str]]:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": self.threads * self.streams,
            "NUM_STREAMS": self.streams,
            "PERFORMANCE_HINT": "THROUGHPUT" if self.streams > 1 else "LATENCY",
        }
        self.model = openvino.Core().compile_model(str(self.file), "CPU", settings)
        self.local = threading.local()
        return [item.get_any_name() for item in self.model.inputs], [item.get_any_name() for item in self.model.outputs]

    def _compute(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        request: Any = getattr(self.local, "request", None)
        if request is None:
            request = self.local.request = self.model.create_infer_request()
        found = request.infer(list(feed.values()), share_inputs=True)
        return [np.array(found[at]) for at in range(len(self.outputs))]


ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (OpenVino, OnnxRuntime)}
"""By the name that a run remembers them by."""


def known(name: str) -> type[Engine]:
    """An engine whose library is here. Raises `RecipeError` for another name, `RunError` where it is not installed."""
    if name not in ENGINES:
        raise RecipeError(f"There is no engine {name!r}.{nearest(name, ENGINES)}", expected=" or ".join(ENGINES))
    engine = ENGINES[name]
    if not engine.here():
        raise RunError(
            f"The engine {name} needs the package {engine.package}, which is not installed.",
            hint=f"pip install 'metier[{engine.package}]'" if name == "openvino" else f"pip install {engine.package}",
        )
    return engine
