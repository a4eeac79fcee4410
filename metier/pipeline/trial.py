"""A light fit that only asks how good a recipe is: no test split, no baselines, no report, nothing left on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metier.errors import DataError
from metier.pipeline.dataset import Dataset
from metier.pipeline.ensemble import fit
from metier.pipeline.fit import Fitted
from metier.pipeline.prepare import Prepared, headline, prepare
from metier.pipeline.watch import Watch
from metier.predict.runtime import Logits
from metier.recipe import Recipe

NEVER = 1e9
"""Seconds between the checkpoints of a fit that nobody resumes."""


@dataclass(frozen=True)
class Trial:
    """How good a recipe turned out to be on the validation split, and what that took."""

    score: float
    """The headline of `train.metric` where that names a head, else the mean headline of all heads. More is better."""
    heads: Mapping[str, float]
    """The headline of each head."""
    seconds: float
    """From the tokenising to the score."""
    prepared: Prepared
    fitted: Fitted
    logits: Logits
    """Of the validation split, in the order of `prepared.dataset.examples["valid"]`."""


def trial(recipe: Recipe, dataset: Dataset, folder: Path, watch: Watch) -> Trial:
    """Fits a recipe and judges it on the validation split; the test split is not even tokenised.

    Args:
        recipe: what to fit; `dataset` resolves it.
        dataset: train and valid.
        folder: where the fit keeps its files meanwhile; gone afterwards, whatever happens.
        watch: hears of every step; what it raises ends the trial.

    Raises `DataError` where there is no validation split.
    """
    if not dataset.examples["valid"]:
        raise DataError(
            "There is no validation split to judge a trial by.",
            expected="some rows whose split is valid, or data that can be cut",
            hint="drop the split column, or name rows of it valid",
        )
    start = time.perf_counter()
    sealed = replace(dataset, examples={**dataset.examples, "test": []})
    light = sealed.resolve(recipe).but(train={"checkpoint_seconds": NEVER, "wandb": False})
    folder.mkdir(parents=True, exist_ok=True)
    try:
        prepared = prepare(light, sealed)
        fitted = fit(prepared, folder, watch)
        logits = prepared.runtime.logits(prepared.tables["valid"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = headline(prepared, "valid", logits)
    score = found.get(recipe.train.metric, float(np.mean(list(found.values()))))
    return Trial(score, found, time.perf_counter() - start, prepared, fitted, logits)
