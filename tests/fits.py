"""Recipes of small fits, and how far one of them has come."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import tomli_w
import toy
from safetensors import SafetensorError, safe_open

QUICK = {"baselines": False, "suspects": False, "resamples": 20}
"""Nothing is measured that a test does not look at."""
FIT = {"learning_rate": 3e-3, "batch_size": 8, "epochs": 4, "threads": 1}


def recipe(path: Path, data: Path, heads: dict[str, dict[str, Any]], backbone: Path, **train: Any) -> Path:
    """A recipe file; what is given overrides `FIT`."""
    parts: dict[str, Any] = {
        "data": {"path": str(data)},
        "heads": heads,
        "model": {"backbone": str(backbone), "max_length": 32},
        "train": {**FIT, **train},
        "evaluate": QUICK,
    }
    path.write_text(tomli_w.dumps(parts), encoding="utf-8")
    return path


def relations(path: Path, rows: int = 90, seed: int = 3) -> Path:
    """A data set for `relate`: which of two cities is said to be up, and which down."""
    rng = random.Random(seed)
    found = []
    for row in range(rows):
        first, second = rng.sample(toy.PLACES, 2)
        verb, label = (rng.choice(toy.GOOD), "Up(e1,e2)") if row % 3 == 0 else (rng.choice(toy.BAD), "Up(e2,e1)")
        if row % 3 == 2:
            verb, label = rng.choice(toy.FILLER), "Other"
        text = f"<e1>{first}</e1> {verb} <e2>{second}</e2> {rng.choice(toy.FILLER)} {rng.randrange(10**6)}"
        split = "train" if row < rows * 0.6 else "valid" if row < rows * 0.8 else "test"
        found.append({"text": text, "label": label, "split": split})
    return toy.lines(path, found)


def step(run: Path) -> int:
    """The step of the last checkpoint of an unfinished run; 0 where there is none."""
    file = run.with_name(run.name + ".partial") / "checkpoint" / "fit.safetensors"
    try:
        with safe_open(file, framework="pt") as stored:
            return int(json.loads(stored.metadata()["state"])["step"])
    except (FileNotFoundError, SafetensorError):
        return 0


def weights(run: Path) -> bytes:
    """The bytes of a run's weights, or of its adapter."""
    (file,) = (run / name for name in ("model.safetensors", "adapter.safetensors") if (run / name).is_file())
    return file.read_bytes()
