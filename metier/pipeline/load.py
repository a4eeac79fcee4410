"""A run on disk as something that answers. What torch computes is loaded by `weights`, and only where it is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from metier import tasks
from metier.errors import RunError
from metier.models.tokeniser import Tokeniser
from metier.predict import choice, measure
from metier.predict.compiled import Compiled
from metier.predict.engines import ENGINES
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.run import Run
from metier.tasks.task import Task

WEIGHTS, ADAPTER = "model.safetensors", "adapter.safetensors"
MEMBER = "member-{}.safetensors"
TOKENIZER, LABELS, ENCODER = "tokenizer.json", "labels.json", "encoder.json"
STATIC = "static.safetensors"
RUNTIMES = "runtimes.json"
"""Of a run that `metier optimise` made: what can answer instead of its weights, or there are none."""


def engines(run: Run) -> list[str]:
    """What can answer for a run here: `torch` where it has weights, and each engine whose library is installed."""
    files = run.manifest["files"]
    saved = run.json(RUNTIMES)["engines"] if RUNTIMES in files else []
    names = [entry["engine"] for entry in saved]
    here = [name for name in names if name not in ENGINES or ENGINES[name].here()]
    return [*here, "torch"] if WEIGHTS in files or ADAPTER in files else here


def runtime(
    run: Run,
    recipe: Recipe,
    *,
    device: str = "auto",
    threads: int = 0,
    engine: str | None = None,
    spin: bool = True,
) -> Runtime:
    """The runtime of a run: by `engine`, or the fastest one that it holds for this machine."""
    if RUNTIMES in run.manifest["files"] and device in ("auto", "cpu") and engine != "torch":
        return _held(run, recipe, run.json(RUNTIMES), threads, engine, spin)
    if RUNTIMES in run.manifest["files"] and not (run.path / WEIGHTS).is_file():
        raise RunError(f"{run.path} runs on the processor alone, not on {device!r}.", hint="--device cpu")
    from metier.pipeline import weights

    return weights.runtime(run, recipe, device=device, threads=threads)


def _held(run: Run, recipe: Recipe, saved: Mapping[str, Any], threads: int, engine: str | None, spin: bool) -> Runtime:
    """A static student, or a compiled graph of a run by an engine, without a name by the fastest one here."""
    for entry in saved["engines"]:
        if entry["engine"] == "static":
            return _static(run, recipe, entry["file"])
    entries = [measure.Entry(**entry) for entry in saved["engines"]]
    here = [entry for entry in entries if ENGINES[entry.engine].here() and engine in (None, entry.engine)]
    if not here:
        packages = sorted({ENGINES[entry.engine].package for entry in entries})
        raise RunError(
            f"{run.path} needs {' or '.join(packages)}, which is not installed.", hint=f"pip install {packages[0]}"
        )
    threads = threads or os.cpu_count() or 1
    shape = measure.Shape(saved["vocabulary"], saved["length"], saved["inputs"])
    chosen = choice.choose(here, run.path, shape, run.version, threads)
    return Compiled(
        read_heads(run),
        read_tokeniser(run, recipe, saved["window"]),
        floors(recipe),
        measure.few(chosen.few, run.path, threads, spin=spin),
        measure.many(chosen.many, run.path, threads),
        chosen.tokens,
    )


def _static(run: Run, recipe: Recipe, file: str) -> Runtime:
    """A static student."""
    from metier.predict import static_runtime

    tokeniser = read_tokeniser(run, recipe, static_runtime.ENDLESS)
    return static_runtime.read(run.path / file, read_heads(run), tokeniser, floors(recipe))


def read_heads(run: Run) -> dict[str, Task]:
    """The heads of a run, calibrated."""
    return {name: tasks.restore(saved) for name, saved in run.json(LABELS).items()}


def read_tokeniser(run: Run, recipe: Recipe, window: int) -> Tokeniser:
    """The tokenizer of a run, for an encoder whose rows have at most `window` tokens."""
    return Tokeniser(
        Tokenizer.from_file(str(run.path / TOKENIZER)),
        max_length=min(recipe.model.max_length, window),
        stride=recipe.model.stride,
        window=recipe.model.long == "window",
    )


def floors(recipe: Recipe) -> dict[str, float]:
    """Of each head, the calibrated score under which it abstains."""
    return {name: head.floor for name, head in recipe.heads.items()}
