"""LoRA against a full fit: accuracy on the official test splits of three tasks, weights trained, speed of a step.

Of the training splits the same 1,000 rows for both, drawn anew for each seed.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl
import torch

from benchmarks.quality import data, fit, kept
from metier.pipeline.dataset import read_dataset
from metier.pipeline.descend import put_beside
from metier.pipeline.prepare import Prepared, prepare
from metier.pipeline.recipes import recipe_of
from metier.pipeline.watch import Silent
from metier.train import loop
from metier.train.finetune import Job, assemble

TASKS = {
    "trec": "text_trec/trec.csv.gz",
    "sst2": "text_sst2/sst2.csv.gz",
    "banking77": "support_banking77/banking77.csv.gz",
}
BARS = {"points": 1.0, "trained": 0.03, "speed": 1.3}


def some(name: str, rows: int, seed: int) -> pl.DataFrame:
    """So many training rows and the official test split."""
    frame = pl.read_csv(data(TASKS[name]), infer_schema=False)
    train = frame.filter(pl.col("split") == "train").sample(rows, seed=seed)
    return pl.concat([train, frame.filter(pl.col("split") == "test")])


def cell(name: str, method: str, seed: int, work: Path, rows: int, **settings: Any) -> dict[str, Any]:
    """One fit: its test headline, costs and weights."""

    def make() -> dict[str, Any]:
        options = {"baselines": False, **settings}
        found = fit(some(name, rows, seed), seed=seed, label="label", method=method, **options)
        costs = {key: found.costs.get(key) for key in ("seconds", "examples_per_second", "trained", "parameters")}
        return {"test": next(iter(found.heads.values())).test["headline"], **costs}

    return kept(work / f"{name}-{method}-{rows}-{seed}.json", make)


def speed(pairs: int = 7, steps: int = 12, threads: int = 1) -> dict[str, float]:
    """Examples a second of CPU time, LoRA over full: the median of pairs of alternating stretches of steps."""
    frame = pl.read_csv(data(TASKS["banking77"]), infer_schema=False).head(1600)
    fits = {method: _fit(frame, method, threads) for method in ("full", "lora")}
    ratios = []
    for turn in range(pairs + 1):
        took = {method: _stretch(steps_of, steps) for method, steps_of in fits.items()}
        if turn:  # the first pair warms up
            ratios.append(took["full"] / took["lora"])
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def _fit(frame: pl.DataFrame, method: str, threads: int) -> Any:
    settings = {"method": method, "threads": threads, "epochs": 100.0}
    recipe, source = recipe_of(frame, label="label", settings=settings)
    dataset = read_dataset(recipe, source if source is not None else frame, Silent())
    prepared: Prepared = prepare(dataset.resolve(recipe), dataset)
    put_beside(prepared)
    tables = prepared.tables
    job = Job(
        prepared.network, prepared.machine, tables["train"], tables["valid"], prepared.recipe, prepared.loss_options()
    )
    return loop.steps(assemble(job, None, Path(), lambda rows: None))


def _stretch(steps_of: Any, steps: int) -> float:
    """Seconds of CPU time an example."""
    start, examples = time.process_time(), 0
    for _ in range(steps):
        examples += next(steps_of).examples
    return (time.process_time() - start) / examples


def run(
    seeds: int = 2, work: str = "/tmp/metier-lora", threads: int = 1, rows: int = 1000, **settings: Any
) -> dict[str, Any]:
    """Both methods on each task, and the ratio of their speeds."""
    torch.set_num_threads(threads or torch.get_num_threads())
    tasks = {}
    for name in TASKS:
        found = {
            method: [
                cell(name, method, seed, Path(work), rows, threads=threads, **settings)
                for seed in range(13, 13 + seeds)
            ]
            for method in ("full", "lora")
        }
        means = {method: sum(one["test"]["value"] for one in each) / seeds for method, each in found.items()}
        trained = found["lora"][0]["trained"] / found["lora"][0]["parameters"]
        tasks[name] = {**means, "points": 100 * (means["lora"] - means["full"]), "trained": trained, "cells": found}
    return {"tasks": tasks, "speed": speed(threads=threads), "bars": BARS, "seeds": seeds, "rows": rows}
