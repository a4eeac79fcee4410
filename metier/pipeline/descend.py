"""The part of a fit that goes by gradient: the loop driven to its end, with progress, tracker and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metier import run
from metier.models.adapters import Adapter, attach
from metier.models.batch import Batch
from metier.models.machine import versions
from metier.pipeline.beside import beside
from metier.pipeline.prepare import Prepared, headline
from metier.pipeline.watch import Enough, Watch
from metier.train import checkpoint, loop, weights
from metier.train.finetune import Attach, Job, assemble, validation_loss
from metier.train.methods import METHODS, frozen_layers
from metier.train.track import Tracker

if TYPE_CHECKING:
    from metier.models.adapters.lowrank import Ranks


def descend(prepared: Prepared, staged: Path, watch: Watch) -> dict[str, Any]:
    """Fits the network of a run where it stands, or goes on from the checkpoint in `staged`; returns what it cost."""
    recipe, tables = prepared.recipe, prepared.tables
    options, others = prepared.loss_options(), beside(prepared, staged, watch)
    held = tables["train"], tables["valid"]
    job = Job(prepared.network, prepared.machine, *held, recipe, options, prepared.teacher, others)

    def evaluate(attach: Attach) -> Mapping[str, float]:
        found = headline(prepared, "valid", prepared.runtime.logits(tables["valid"], attach))
        if recipe.train.metric == "loss":
            found["loss"] = validation_loss(job, attach)
            return {"metric": -found["loss"], **found}
        return {"metric": found.get(recipe.train.metric, float(np.mean(list(found.values())))), **found}

    folder = staged / run.CHECKPOINT
    frozen = frozen_layers(recipe.train, prepared.network.encoder.depth)
    if frozen:
        watch.stage("frozen layers", len(tables["train"].rows) + len(tables["valid"].rows))
    adapter = put_beside(prepared)
    judged = len(tables["valid"].rows) and recipe.train.method != "contrastive"  # whose heads are solved for at the end
    fit = assemble(job, evaluate if judged else None, folder, watch.tick)
    if adapter is not None and adapter.ranks is not None:
        _give_ranks(fit, adapter.ranks)
    if checkpoint.read(fit, folder, facts(prepared)):
        watch.say(f"Resuming at step {fit.state.step}.")
    prepared.machine.own_noise(recipe.seed + fit.state.step)
    watch.stage("fit", round(fit.settings.epochs * len(tables["train"].lengths) / prepared.machine.world))
    spent = _drive(prepared, fit, staged, watch)
    loop.restore_best(fit)
    return {**spent, "steps": fit.state.step, "best_metric": fit.state.best_value}


def put_beside(prepared: Prepared) -> Adapter | None:
    """What the method puts beside the encoder, from here on frozen; `None` where it puts nothing there."""
    recipe = prepared.recipe
    if not METHODS[recipe.train.method].adapter:
        return None
    return attach(prepared.network.encoder, recipe.train.method, recipe.adapter, prepared.backbone)


def _give_ranks(fit: loop.Fit, ranks: Ranks) -> None:
    """AdaLoRA's part in every step: its regulariser, and the ranks that are taken away."""
    objective = fit.objective

    def regularised(batch: Batch) -> Iterator[Any]:
        yield from objective(batch)
        yield ranks.term()

    ranks.plan(loop.updates(fit))
    fit.objective, fit.after_step, fit.beside = regularised, ranks.after_step, ranks


def _drive(prepared: Prepared, fit: loop.Fit, staged: Path, watch: Watch) -> dict[str, float | None]:
    """Every step to the tracker and to whoever watches, a checkpoint every so often; returns what it cost."""
    settings, first = prepared.recipe.train, prepared.machine.rank == 0
    saved, examples, tokens, busy = time.monotonic(), 0, 0, 0.0
    base = settings.learning_rate or METHODS[settings.method].rate
    with Tracker(staged, fit.state.step, "metier" if settings.wandb else None, active=first) as tracker:
        for record in loop.steps(fit):
            record.rate *= base
            tracker.write(record)
            if record.ended and fit.settings.cycles > 1:
                file = staged / run.CHECKPOINT / weights.snapshot(record.ended)
                weights.write(prepared.network, file, facts(prepared))
            try:
                watch.step(record)
            except Enough:
                break
            examples, tokens, busy = examples + record.examples, tokens + record.tokens, busy + record.seconds
            if first and time.monotonic() - saved >= settings.checkpoint_seconds:
                tracker.flush()
                checkpoint.write(fit, staged / run.CHECKPOINT, facts(prepared))
                saved = time.monotonic()
    return {
        "fit_seconds": busy,
        "examples_per_second": examples * prepared.machine.world / busy if busy else None,
        "tokens_per_second": tokens * prepared.machine.world / busy if busy else None,
    }


def facts(prepared: Prepared) -> dict[str, Any]:
    """What must be the same for a fit to go on: recipe, data, backbone, libraries, threads."""
    return {
        "recipe": prepared.recipe.model_dump(mode="json"),
        "data": prepared.dataset.fingerprint,
        "unlabelled": prepared.further.summary["fingerprint"] if prepared.further else None,
        "backbone": prepared.backbone.sha256,
        "threads": prepared.machine.threads,
        "processes": prepared.machine.world,
        **prepared.facts,
        **versions(),
    }
