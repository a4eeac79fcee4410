"""The weights of a network on disk while a run is being made, with the facts that they hold under."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from metier import run
from metier.errors import RunError


def snapshot(number: int) -> str:
    """The file of the weights at the end of a cycle, counted from 1."""
    return f"snapshot-{number}.safetensors"


def write(network: nn.Module, file: Path, facts: Mapping[str, Any], notes: Mapping[str, Any] | None = None) -> None:
    """Stores all weights whole, or raises `RunError`. `facts` must be the same when they are read; `notes` are kept."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    said = {"facts": _text(facts), "notes": json.dumps(dict(notes or {}))}
    file.parent.mkdir(exist_ok=True)
    try:
        run.write_bytes(file, save(weights, said))
    except OSError as error:
        raise RunError(
            f"The weights could not be kept in {file.parent}: {error.strerror}.", hint="free some disk space"
        ) from error


def read(network: nn.Module, file: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Gives a network the weights of a file, and returns the notes.

    Raises `RunError` where the file is damaged or was made under other facts; the network is then as it was.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            said = stored.metadata()
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, FileNotFoundError) as error:
        raise RunError(f"{file} is damaged: {error}.", hint="train again without --resume") from None
    if said["facts"] != _text(facts):
        raise RunError(
            f"{file} was made with another recipe, other data or other libraries.", hint="train again without --resume"
        )
    network.load_state_dict(weights)
    notes: dict[str, Any] = json.loads(said["notes"])
    return notes


def _text(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, default=str)
