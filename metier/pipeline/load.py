"""The parts of a run on disk: saved by the pipeline, loaded by whatever predicts."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from tokenizers import Tokenizer

from metier import run as folder
from metier import tasks
from metier.errors import RunError
from metier.models.backbone import build_encoder, describe_encoder
from metier.models.machine import machine
from metier.models.network import Network
from metier.models.tokeniser import Tokeniser
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.run import Run

WEIGHTS, TOKENIZER, LABELS, ENCODER = "model.safetensors", "tokenizer.json", "labels.json", "encoder.json"


def save_runtime(runtime: Runtime, path: Path) -> None:
    """Weights, tokenizer, heads and the encoder's shape, each written whole or not at all."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in runtime.network.state_dict().items()}
    try:
        folder.write_bytes(path / WEIGHTS, save(weights))
        folder.write_text(path / TOKENIZER, runtime.tokeniser.tokenizer.to_str())
        heads = {name: task.describe() for name, task in runtime.tasks.items()}
        folder.write_text(path / LABELS, json.dumps(heads, ensure_ascii=False, indent=1))
        folder.write_text(path / ENCODER, json.dumps(describe_encoder(runtime.network.encoder), indent=1, default=str))
    except OSError as error:
        raise RunError(
            f"The run could not be saved in {path}: {error.strerror}.", hint="free some disk space"
        ) from error


def runtime(run: Run, recipe: Recipe, *, device: str = "auto", threads: int = 0) -> Runtime:
    """The runtime of a run, as it was saved."""
    found = machine(device, recipe.train.precision if device == "auto" else "auto", threads)
    heads = {name: tasks.restore(saved) for name, saved in run.json(LABELS).items()}
    network = Network(build_encoder(run.json(ENCODER)), heads, pooling=recipe.model.pooling)
    try:
        network.load_state_dict(load_file(run.path / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise RunError(f"{run.path / WEIGHTS} does not fit the run: {str(error).splitlines()[0]}") from None
    tokeniser = Tokeniser(
        Tokenizer.from_file(str(run.path / TOKENIZER)),
        max_length=min(recipe.model.max_length, network.encoder.window),
        stride=recipe.model.stride,
        window=recipe.model.long == "window",
    )
    floors = {name: head.floor for name, head in recipe.heads.items()}
    return Runtime(network.to(found.device).eval(), tokeniser, found, floors)
