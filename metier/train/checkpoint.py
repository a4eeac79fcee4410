"""A fit on disk: weights, optimiser, generator and counters in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metier import run
from metier.errors import RunError
from metier.train.loop import Fit

FILE = "fit.safetensors"
COUNTERS = ("step", "epoch", "position", "best_value", "stale", "stopped")


def write(fit: Fit, folder: Path, facts: Mapping[str, object]) -> None:
    """Stores all that `read` needs to go on bit for bit. `facts` must be the same when the fit goes on."""
    fit.optimiser.flush()
    tensors: dict[str, Tensor] = {"generator": torch.get_rng_state()}
    groups = {
        "weights": _moving(fit),
        "optimiser": fit.optimiser.state(),
        "best": fit.state.best,
        "average": fit.state.average,
        "beside": {} if fit.beside is None else fit.beside.state(),
    }
    for group, members in groups.items():
        tensors |= {f"{group}/{name}": tensor.detach().contiguous() for name, tensor in members.items()}
    counters = {name: value for name, value in _fields(fit).items() if name in COUNTERS}
    metadata = {"state": json.dumps(counters), "facts": json.dumps(facts, sort_keys=True, default=str)}
    folder.mkdir(exist_ok=True)
    try:
        run.write_bytes(folder / FILE, save({name: tensor.cpu() for name, tensor in tensors.items()}, metadata))
    except OSError as error:
        raise RunError(
            f"The checkpoint could not be written in {folder}: {error.strerror}.", hint="free some disk space"
        ) from error


def _moving(fit: Fit) -> dict[str, Tensor]:
    """The state of the network but for frozen weights, which are there before a fit goes on."""
    fixed = {name for name, weight in fit.network.named_parameters() if not weight.requires_grad}
    return {name: tensor for name, tensor in fit.network.state_dict().items() if name not in fixed}


def _fields(fit: Fit) -> dict[str, object]:
    """The fields of the fit's state, tensors left as they are."""
    return {name: getattr(fit.state, name) for name in fit.state.__slots__}


def read(fit: Fit, folder: Path, facts: Mapping[str, object]) -> bool:
    """Puts a fit where its last checkpoint stood. Returns False where there is none.

    Raises `RunError` when the checkpoint belongs to another recipe, data set or library version.
    """
    file = folder / FILE
    if not file.is_file():
        return False
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (not a dict)
    except SafetensorError as error:
        raise RunError(f"{file} is damaged: {error}.", hint="train again without --resume") from None
    wanted = json.dumps(facts, sort_keys=True, default=str)
    if metadata["facts"] != wanted:
        differing = _differing(json.loads(metadata["facts"]), json.loads(wanted))
        raise RunError(
            f"The checkpoint in {folder} was made with another {differing}.", hint="train again without --resume"
        )
    known = ("weights", "optimiser", "best", "average", "beside")
    groups: dict[str, dict[str, Tensor]] = {name: {} for name in known}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        if group in groups:
            groups[group][rest] = tensor
    fit.network.load_state_dict(groups["weights"], strict=False)
    if fit.beside is not None:
        fit.beside.load(groups["beside"])
    fit.optimiser.load(groups["optimiser"])
    for name, value in json.loads(metadata["state"]).items():
        setattr(fit.state, name, value)
    fit.state.best, fit.state.average = groups["best"], groups["average"]
    torch.set_rng_state(tensors["generator"])
    return True


def _differing(before: dict[str, object], now: dict[str, object]) -> str:
    names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    return ", ".join(names) or "state"
