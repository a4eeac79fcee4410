"""Fits that are parts of a run: each one's outcome stays on disk until the run is whole, and is not fitted again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from metier import run
from metier.models.machine import seeded
from metier.pipeline.descend import facts, put_beside
from metier.pipeline.fit import Fitted, look
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.train import weights
from metier.train.track import FILE as METRICS

Fit = Callable[[Prepared, Path, Watch], Fitted]
"""Fits the network of a prepared run in place, with its files in a folder of its own."""
BOARD = "tensorboard"


def kept(prepared: Prepared, staged: Path, name: str, watch: Watch, fit: Fit) -> Fitted:
    """Fits, or takes over what was fitted under this name before the run was cut off.

    What is taken over is probed again: that costs little, and the report needs what the probe says.
    """
    folder = staged / run.CHECKPOINT / name
    file = folder.with_name(f"{name}.safetensors")
    before = len(prepared.notes)
    if file.is_file():
        watch.say(f"{name}: there already")
        fitted = look(prepared, watch)
        with seeded(prepared.recipe.seed):
            put_beside(prepared)
        said = weights.read(prepared.network, file, facts(prepared))
        fitted.cost = said["cost"]
        prepared.notes[:] = [*prepared.notes[:before], *said["notes"]]
        return fitted
    folder.mkdir(parents=True, exist_ok=True)
    fitted = fit(prepared, folder, watch)
    weights.write(prepared.network, file, facts(prepared), {"cost": fitted.cost, "notes": prepared.notes[before:]})
    shutil.rmtree(folder / run.CHECKPOINT, ignore_errors=True)
    return fitted


def curve(staged: Path, names: list[str]) -> None:
    """Joins the metrics of the fits of a run, whose steps go on counting, each with the name of its fit."""
    lines, before = [], 0
    for name in names:
        folder, last = staged / run.CHECKPOINT / name, before
        for record in _records(folder / METRICS):
            last = before + record["step"]
            fit = f"{name}/{record['fit']}" if "fit" in record else name
            lines.append(json.dumps({**record, "step": last, "fit": fit}) + "\n")
        before = last
        if (folder / BOARD).is_dir():
            shutil.copytree(folder / BOARD, staged / BOARD / name, dirs_exist_ok=True)
    run.write_text(staged / METRICS, "".join(lines))


def _records(file: Path) -> Iterator[dict[str, Any]]:
    if file.is_file():
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())
