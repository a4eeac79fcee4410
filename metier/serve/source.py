"""Where the model of a served run comes from: a folder, again and again, or a caller who had loaded it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from metier.recipe import Recipe
from metier.run import MANIFEST, RECIPE, Run

if TYPE_CHECKING:
    from metier.types import Document, Prediction

SETTLE_SECONDS = 0.5
WEIGHTS = (".safetensors", ".onnx", ".bin", ".xml", ".data")


class Predictor(Protocol):
    """What can be served. `metier.model.Model` is one."""

    def predict(self, documents: list[Document], /) -> list[dict[str, Prediction]]:
        """One prediction a head for each document. Never called by two threads at a time."""

    def describe(self) -> dict[str, Any]:
        """`name`, `version`, `backbone`, `created`, `pair`, and `heads`: `{name: {task, labels, headline}}`."""


class Source(Protocol):
    """A run that can be loaded. All but `name` may take a while, and raise `RunError`."""

    @property
    def name(self) -> str:
        """The name by which requests ask for it."""

    def stamp(self) -> object | None:
        """Another one as soon as it may be another run; `None` where there is none, or none that is ever another."""

    def describe(self) -> dict[str, Any]:
        """What the model will say of itself, without loading it."""

    def weight(self) -> int:
        """Bytes that it will take in memory, at a guess."""

    def load(self) -> Predictor:
        """The model."""


@dataclass(frozen=True, slots=True)
class Given:
    """A model that a caller loaded. It stays what it is, and stays in memory."""

    model: Predictor

    @property
    def name(self) -> str:
        return str(self.model.describe()["name"])

    def stamp(self) -> object | None:
        return None

    def describe(self) -> dict[str, Any]:
        return self.model.describe()

    def weight(self) -> int:
        return 0

    def load(self) -> Predictor:
        return self.model


@dataclass(frozen=True, slots=True)
class Folder:
    """A run folder. No link is followed for its name: who serves runs/current asks for "current".

    Args:
        path: the folder.
        device: `auto`, `cpu`, `cuda`, ...
        threads: of the processor; 0: all.
    """

    path: Path
    device: str = "auto"
    threads: int = 0

    @property
    def name(self) -> str:
        return os.path.basename(os.path.abspath(self.path))

    def stamp(self) -> object | None:
        """The manifest is written last, and anew for every run: where it is the same file, the run is the same."""
        try:
            state = (self.path / MANIFEST).stat()
        except OSError:
            return None
        return state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size

    def describe(self) -> dict[str, Any]:
        from metier.model import about
        from metier.pipeline.load import read_heads

        run = self._open()
        return about(run, Recipe.read(run.path / RECIPE), read_heads(run))

    def weight(self) -> int:
        files = [self.path / name for name in self._open().manifest["files"] if name.endswith(WEIGHTS)]
        return sum(file.stat().st_size for file in files)

    def load(self) -> Predictor:
        from metier.model import Model

        self._settle()
        return Model(self.path, device=self.device, threads=self.threads, spin=False)

    def _open(self) -> Run:
        self._settle()
        return Run.open(self.path)

    def _settle(self) -> None:
        """Waits where the folder is just being replaced: to open a run that is not there would undo that."""
        until = time.monotonic() + SETTLE_SECONDS
        beside = self.path.with_name(f"{self.path.name}.replaced")
        while self.stamp() is None and beside.is_dir() and time.monotonic() < until:
            time.sleep(0.01)


def source(model: Predictor | Source | str | Path, device: str = "auto", threads: int = 0) -> Source:
    """What can be served, as a source."""
    if isinstance(model, str | Path):
        return Folder(Path(model), device, threads)
    return model if hasattr(model, "load") else Given(model)  # type: ignore[return-value]
