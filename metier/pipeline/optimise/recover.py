"""A short fit of all weights after some of them were taken away."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metier.errors import RunError
from metier.models.ensemble import Ensemble
from metier.models.machine import seeded
from metier.pipeline.descend import descend
from metier.pipeline.prepare import Prepared, headline
from metier.pipeline.watch import Watch
from metier.recipe import RegularisePart, SemiPart
from metier.train.distil import Teacher, Teaching, taught

RATE, HEADS = 3e-5, 5.0
"""Of the encoder, and how many times as high that of the heads is: the weights are good but for what was taken away."""
FOLDER = "recovery"


def answers(prepared: Prepared, watch: Watch) -> Teacher:
    """What a run says of its training texts as it stands: the teacher of what becomes of it."""
    table = prepared.tables["train"]
    watch.stage("teach", len(table.rows))
    return taught(prepared.runtime.network, prepared.heads, table, watch.tick)


def recover(
    prepared: Prepared,
    epochs: float,
    watch: Watch,
    staged: Path,
    teacher: Teaching | None = None,
    *,
    rate: float = RATE,
) -> dict[str, Any]:
    """Fits all weights of a run where they stand, and leaves them as they were where that makes them no better.

    Args:
        prepared: the run, whatever was taken away of it.
        epochs: passes over the training texts; 0: none.
        watch: hears of steps.
        staged: a folder; what the fit needs in it is gone afterwards.
        teacher: what is to be said of the rows of the training table, beside their labels.
        rate: of the encoder; that of the heads is `HEADS` times as high.

    Returns:
        What it cost, and the mean headline metric of the heads on the validation texts `before` and `after`.
    """
    if isinstance(prepared.runtime.network, Ensemble):
        raise RunError("An ensemble cannot be fitted as one.", hint="ensemble.distil, or distil it first")
    if epochs <= 0:
        return {}
    folder = staged / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    network, judged = prepared.network, bool(len(prepared.tables["valid"].rows))
    before = _mean(prepared) if judged else float("nan")
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.requires_grad_(True)
    try:
        with seeded(prepared.recipe.seed):
            cost = descend(_short(prepared, epochs, rate, teacher), folder, watch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    network.eval()
    if not judged:
        return cost
    after = float(cost["best_metric"])
    if after < before:
        network.load_state_dict(kept)
    return {**cost, "before": before, "after": max(before, after)}


def _short(prepared: Prepared, epochs: float, rate: float, teacher: Teaching | None) -> Prepared:
    """The same run with a recipe for a short fit by gradient, on the labelled texts alone."""
    recipe = prepared.recipe
    how: dict[str, Any] = {"method": "full", "epochs": epochs, "learning_rate": rate}
    how |= {"head_learning_rate": rate * HEADS, "ema": None, "patience": 0, "metric": "headline"}
    how |= {"compile": False, "wandb": False}
    own = {"train": recipe.train.model_copy(update=how), "regularise": RegularisePart(), "semi": SemiPart()}
    alone = recipe.ensemble.model_copy(update={"members": 1, "distil": False, "kind": "deep"})
    short = recipe.model_copy(update={**own, "ensemble": alone})
    return replace(prepared, recipe=short, further=None, teacher=teacher)


def _mean(prepared: Prepared) -> float:
    """The mean headline metric of the heads on the validation texts."""
    found = headline(prepared, "valid", prepared.runtime.logits(prepared.tables["valid"]))
    return float(np.mean(list(found.values())))
