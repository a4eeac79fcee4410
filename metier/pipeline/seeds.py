"""The same recipe with several seeds: one run each, and their mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from metier.errors import RecipeError, RunError
from metier.evaluate.findings import Findings
from metier.models.machine import processes
from metier.pipeline import train as pipeline
from metier.pipeline.watch import Watch
from metier.recipe import Recipe
from metier.run import MANIFEST


def train_seeds(recipe: Recipe, seeds: int, *, out: Path | None, watch: Watch) -> list[Path]:
    """Runs `OUT/seed-N` for `seeds` consecutive seeds, all with the same split. Finished ones are kept."""
    if processes() > 1:
        raise RecipeError("Several seeds cannot share several processes.", hint="one after the other, with --seed")
    folder = out if out is not None else pipeline.fresh(recipe)
    if (folder / MANIFEST).exists():
        raise RunError(f"{folder} is a run.", expected="a folder for one run a seed", hint="another --out")
    paths = []
    for seed in range(recipe.seed, recipe.seed + seeds):
        watch.say(f"seed {seed}")
        paths.append(pipeline.train(recipe.but(seed=seed), out=folder / f"seed-{seed}", source=None, watch=watch).path)
    return paths


def summarise(paths: Sequence[Path]) -> dict[str, Any]:
    """The figures of several runs: `heads` with the mean and `sd` of every number, and one entry a seed."""
    found = [Findings.read(path / "evaluation.json") for path in paths]
    heads = {
        name: {
            "task": head.task,
            **{
                split: _pooled([getattr(one.heads[name], split) for one in found])
                for split in ("valid", "test")
                if getattr(head, split)
            },
        }
        for name, head in found[0].heads.items()
    }
    entries = [
        {
            "run": str(path),
            "seed": int(path.name.rpartition("-")[2]),
            "heads": {
                name: {"task": head.task, "valid": head.valid, "test": head.test} for name, head in one.heads.items()
            },
        }
        for path, one in zip(paths, found, strict=True)
    ]
    return {"run": str(paths[0].parent), "heads": heads, "seeds": entries}


def _pooled(figures: Sequence[Any]) -> dict[str, Any]:
    """Means of the headline and of every plain number, each with its standard deviation in `sd`."""
    headline = [one["headline"]["value"] for one in figures]
    numbers = {
        key: [one[key] for one in figures]
        for key, value in figures[0].items()
        if isinstance(value, int | float) and all(isinstance(one.get(key), int | float) for one in figures)
    }
    return {
        "headline": {"name": figures[0]["headline"]["name"], "value": mean(headline), "sd": stdev(headline)},
        **{key: mean(values) for key, values in numbers.items()},
        "sd": {key: stdev(values) for key, values in numbers.items()},
    }
