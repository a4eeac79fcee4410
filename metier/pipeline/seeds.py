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
from metier.pipeline.sources import fingerprint
from metier.pipeline.watch import Watch
from metier.recipe import Recipe
from metier.run import CHECKPOINT, MANIFEST, RECIPE, Run, partial


def train_seeds(recipe: Recipe, seeds: int, *, out: Path | None, watch: Watch) -> list[Path]:
    """Runs `OUT/seed-N` for `seeds` consecutive seeds, all with the same split.

    Called again, it keeps the runs of this recipe and this data that are whole, and goes on with the one that was cut
    off.
    """
    if processes() > 1:
        raise RecipeError("Several seeds cannot share several processes.", hint="one after the other, with --seed")
    if recipe.train.method == "auto":
        raise RecipeError(
            "A race is run once: with several seeds, several methods could win.",
            hint="--method auto alone, then --seeds with the recipe.toml of its run",
        )
    folder = out if out is not None else pipeline.fresh(recipe)
    if (folder / MANIFEST).exists():
        raise RunError(f"{folder} is a run.", expected="a folder for one run a seed", hint="another --out")
    paths = []
    for seed in range(recipe.seed, recipe.seed + seeds):
        one, path = recipe.but(seed=seed), folder / f"seed-{seed}"
        if _whole(path, one):
            watch.say(f"seed {seed}: there already")
        elif any((partial(path) / CHECKPOINT).rglob("*.safetensors")) and _alike(partial(path), one):
            watch.say(f"seed {seed}: goes on")
            pipeline.resume(path, watch)
        else:
            watch.say(f"seed {seed}")
            pipeline.train(one, out=path, source=None, watch=watch)
        paths.append(path)
    return paths


def _whole(path: Path, recipe: Recipe) -> bool:
    """Whether the run `path` is whole and what this recipe would make of its data now."""
    if not (path / MANIFEST).is_file() or not _alike(path, recipe):
        return False
    return bool(Run.open(path).manifest["data"] == fingerprint(recipe, recipe.data.path))


def _alike(path: Path, recipe: Recipe) -> bool:
    """Whether the recipe in a folder is this one, but for what was found in the data."""
    known, asked = (_asked(one) for one in (Recipe.read(path / RECIPE), recipe))
    return known == asked


def _asked(recipe: Recipe) -> tuple[Any, ...]:
    """The parts of a recipe that its user decides, without what the data decides where it is left open."""
    data = recipe.data.model_copy(update={"path": "", "unlabelled": "", "text": (), "split": None})
    heads = {
        name: head.model_copy(update={"task": None, "path": "", "text": ()}) for name, head in recipe.heads.items()
    }
    more = (recipe.adapter, recipe.contrastive, recipe.regularise, recipe.augment, recipe.semi, recipe.prompt)
    return data, heads, recipe.model, recipe.train, *more, recipe.ensemble, recipe.evaluate, recipe.seed


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
