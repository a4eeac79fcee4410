"""Fits that are parts of a run: each one's outcome stays on disk until the run is whole, and is not fitted again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from metier import run
from metier.errors import RunError
from metier.pipeline.descend import facts
from metier.pipeline.fit import Fitted, look
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.train.track import FILE as METRICS

Fit = Callable[[Prepared, Path, Watch], Fitted]
"""Fits the network of a prepared run in place, with its files in a folder of its own."""


def kept(prepared: Prepared, staged: Path, name: str, watch: Watch, fit: Fit) -> Fitted:
    """Fits, or takes over what was fitted under this name before the run was cut off."""
    file, folder = staged / run.CHECKPOINT / f"{name}.safetensors", staged / run.CHECKPOINT / name
    if file.is_file():
        return _taken(prepared, file, watch)
    folder.mkdir(parents=True, exist_ok=True)
    fitted = fit(prepared, folder, watch)
    _write(prepared, fitted, file)
    shutil.rmtree(folder / run.CHECKPOINT, ignore_errors=True)
    return fitted


def curve(staged: Path, names: list[str]) -> None:
    """Joins the metrics of the fits of a run, whose steps go on counting, each with the name of its fit."""
    lines, before = [], 0
    for name in names:
        last = before
        for record in _records(staged / run.CHECKPOINT / name / METRICS):
            last = before + record["step"]
            lines.append(json.dumps({**record, "step": last, "fit": name}) + "\n")
        before = last
    run.write_text(staged / METRICS, "".join(lines))


def _records(file: Path) -> Iterator[dict[str, int]]:
    if file.is_file():
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def _write(prepared: Prepared, fitted: Fitted, file: Path) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in prepared.network.state_dict().items()}
    notes = {"facts": json.dumps(_facts(prepared)), "cost": json.dumps(fitted.cost)}
    try:
        run.write_bytes(file, save(weights, notes))
    except OSError as error:
        raise RunError(
            f"The fit could not be kept in {file.parent}: {error.strerror}.", hint="free some disk space"
        ) from error


def _taken(prepared: Prepared, file: Path, watch: Watch) -> Fitted:
    """What `_write` left. The probe is solved again: it costs little, and what it says is needed for the report."""
    try:
        with safe_open(file, framework="pt") as stored:
            notes = stored.metadata()
        weights = load_file(file)
    except SafetensorError as error:
        raise RunError(f"{file} is damaged: {error}.", hint="train again without --resume") from None
    if notes["facts"] != json.dumps(_facts(prepared)):
        raise RunError(
            f"{file} was fitted with another recipe, other data or another machine.",
            hint="train again without --resume",
        )
    watch.say(f"{file.stem}: there already")
    fitted = look(prepared, watch)
    prepared.network.load_state_dict(weights)
    fitted.cost = json.loads(notes["cost"])
    return fitted


def _facts(prepared: Prepared) -> dict[str, str]:
    return {name: json.dumps(value, sort_keys=True, default=str) for name, value in facts(prepared).items()}
