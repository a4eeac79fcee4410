"""The learning rate that a search begins with."""

from __future__ import annotations

import shutil
from pathlib import Path

from metier.models.machine import seeded
from metier.pipeline.dataset import Dataset
from metier.pipeline.fit import look
from metier.pipeline.prepare import prepare
from metier.pipeline.watch import Watch
from metier.recipe import Recipe
from metier.train.finetune import Job, assemble
from metier.train.methods import METHODS
from metier.train.range_test import range_test

MARGIN = 10.0
"""How far beyond the range the test looks on both sides: where the loss falls fastest shows only between its ends."""


def tested_rate(
    recipe: Recipe, dataset: Dataset, ends: tuple[float, float], folder: Path, watch: Watch
) -> float | None:
    """The rate that a range test finds for a recipe, or `None` where it finds none or there is nothing to test.

    Args:
        recipe: what to fit, but for its learning rate.
        dataset: of which only train is looked at.
        ends: the rates that may be tried later.
        folder: for files meanwhile; gone afterwards.
        watch: told of every update.

    All parameters, those of the heads too, get the rate of the step, as in the test that is cited there.
    """
    method = METHODS.get(recipe.train.method)
    if method is None or not method.gradient or not method.rate:
        return None
    examples = {**dataset.examples, "valid": [], "test": []}
    sealed = Dataset(examples, dataset.kinds, dataset.columns, dataset.fingerprint, dataset.summary)
    one = sealed.resolve(recipe).but(train={"learning_rate": method.rate, "head_learning_rate": method.rate})
    folder.mkdir(parents=True, exist_ok=True)
    try:
        prepared = prepare(one, sealed)
        look(prepared, watch)
        tables = prepared.tables
        job = Job(prepared.network, prepared.machine, tables["train"], tables["valid"], one, prepared.loss_options())
        with seeded(recipe.seed):
            fit = assemble(job, None, folder, watch.tick)
            found = range_test(fit, ends[0] / MARGIN, ends[1] * MARGIN, tick=watch.tick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found.steepest
