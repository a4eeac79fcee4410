"""Every step and evaluation of a fit, as JSON lines, for TensorBoard, and for Weights & Biases where asked."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from metier.errors import MissingExtra
from metier.train.loop import Record

FILE = "metrics.jsonl"


class Tracker:
    """Writes records as they come. A context manager; lines after `resume_at` are dropped when a fit goes on.

    Args:
        folder: of the run.
        resume_at: the step that the fit goes on from.
        wandb: the project's name for Weights & Biases, or None.
        active: false for all but the first of several processes, which write nothing.
    """

    def __init__(self, folder: Path, resume_at: int = 0, wandb: str | None = None, *, active: bool = True) -> None:
        self.active = active
        if not active:
            return
        self.file = folder / FILE
        if self.file.is_file():  # cut, not written anew: a process that ends here leaves them as they are
            os.truncate(self.file, self._kept(resume_at))
        self.stream = self.file.open("a", encoding="utf-8")
        self.board = _tensorboard(folder / "tensorboard", resume_at)
        self.wandb = _wandb(wandb, folder) if wandb else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.active:
            return
        self.stream.close()
        self.board.close()
        if self.wandb is not None:
            self.wandb.finish()

    def write(self, record: Record) -> None:
        """One step."""
        if not self.active:
            return
        self.stream.write(json.dumps(asdict(record)) + "\n")
        figures = {"train/loss": record.loss, "train/rate": record.rate, "train/norm": record.norm}
        figures |= {f"valid/{name}": value for name, value in (record.valid or {}).items()}
        for name, value in figures.items():
            self.board.add_scalar(name, value, record.step)
        if self.wandb is not None:
            self.wandb.log(figures, step=record.step)
        if record.valid:
            self.flush()

    def flush(self) -> None:
        """Puts on disk what a checkpoint that is written now relies on."""
        if self.active:
            self.stream.flush()

    def _kept(self, resume_at: int) -> int:
        """Bytes of the lines up to a step; a line that was cut off is none."""
        size = 0
        for line in self.file.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"}\n") or json.loads(line)["step"] > resume_at:
                break
            size += len(line)
        return size


def _tensorboard(folder: Path, resume_at: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra("tensorboard", "train") from None
    return SummaryWriter(str(folder), purge_step=resume_at + 1 if resume_at else None)


def _wandb(project: str, folder: Path) -> Any:
    try:
        import wandb
    except ImportError:
        raise MissingExtra("wandb", "wandb") from None
    mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    return wandb.init(project=project, dir=str(folder.parent), name=folder.name, mode=mode)  # type: ignore[arg-type]
