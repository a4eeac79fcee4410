"""The stage that fits: the probe, then the recipe's method from where the probe stands."""

from __future__ import annotations

import copy
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metier import run
from metier.models.machine import cpu_rate, seeded, versions
from metier.models.table import Table, golds
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.predict.runtime import Logits
from metier.train import checkpoint, loop, probe
from metier.train.finetune import Attach, Job, assemble, validation_loss
from metier.train.methods import METHODS, epochs, frozen_layers
from metier.train.track import Tracker

PROBE_ROWS = 40_000
"""The probe sees at most this many training rows."""
EFFICIENCY = 0.5
"""The share of the machine's matrix-product rate that a fit is expected to reach, for the estimate of its time."""
ACCELERATOR = 5e13
"""Operations a second that are expected of anything but a CPU."""


@dataclass
class Fitted:
    """What the fit left beside the weights: its cost, and what the probe said of valid and test."""

    cost: dict[str, Any] = field(default_factory=dict)
    probe: dict[str, Logits] = field(default_factory=dict)
    penalties: dict[str, float] = field(default_factory=dict)
    embeddings: np.ndarray | None = None
    """Pooled vectors of the training rows before the fit, `(rows, width)`, in the order of `rows`."""
    rows: np.ndarray | None = None


def estimate(prepared: Prepared) -> float:
    """Seconds that the fit will take, from its arithmetic and this machine's measured speed.

    Per token, a layer costs 2 operations a weight forwards and 4 backwards; frozen layers run forwards, once.
    """
    encoder, settings = prepared.network.encoder, prepared.recipe.train
    total = sum(weight.numel() for weight in encoder.parameters()) - encoder.words.weight.numel()
    free = 1 - frozen_layers(settings, encoder.depth) / max(1, encoder.depth)
    tokens = {split: int(table.rows.bounds[-1]) for split, table in prepared.tables.items()}
    count = epochs(settings, len(prepared.tables["train"].lengths))
    fit = tokens["train"] * count * 6 * total * free if METHODS[settings.method].gradient else 0.0
    looks = (
        tokens["train"] * (2 - free) + tokens["valid"] * (count * settings.evaluations * free + 2) + tokens["test"] * 2
    )
    rate = cpu_rate() if prepared.machine.device.type == "cpu" else ACCELERATOR
    return float((fit + looks * 2 * total) / (rate * EFFICIENCY))


def fit(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """Fits the network of a prepared run in place, or goes on from the checkpoint in `staged`."""
    fitted = Fitted()
    start = time.perf_counter()
    network = prepared.network
    with seeded(prepared.recipe.seed):
        if prepared.machine.rank == 0:
            _probe(prepared, fitted, watch)
        if METHODS[prepared.recipe.train.method].gradient:
            if prepared.recipe.train.head_start == "random":
                probe.restart(network)
            _descend(prepared, fitted, staged, watch)
        elif prepared.machine.rank == 0:
            _describe_probe(prepared, staged, watch)
    fitted.cost |= {
        "seconds": time.perf_counter() - start,
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }
    return fitted


def _probe(prepared: Prepared, fitted: Fitted, watch: Watch) -> None:
    """Fits all heads on the frozen encoder and keeps what they say of valid and test."""
    network, tables = prepared.network, prepared.tables
    train = _sample(tables["train"], prepared.recipe.seed)
    watch.stage("probe", len(train.lengths))
    found = probe.features(network, train, watch.tick)
    held = probe.features(network, tables["valid"])
    order = list(network.tasks)

    def answers(name: str) -> list[np.ndarray]:
        table, task = tables["valid"], network.tasks[name]
        rows = probe.logits(network, held, order.index(name), len(table.rows))
        return [task.merge([rows[row] for row in own], [table.encoding(row) for row in own]) for own in table.pieces()]

    def judge(name: str) -> float:
        return headline(prepared, "valid", {name: answers(name)})[name]

    fitted.penalties = probe.fit(network, found, prepared.loss_options(), judge if len(tables["valid"].rows) else None)
    fitted.embeddings, fitted.rows = probe.embeddings(found)
    fitted.probe = {"valid": {name: answers(name) for name in order}, "test": prepared.runtime.logits(tables["test"])}


def _sample(table: Table, seed: int) -> Table:
    """The table itself, or a sample of it where it is large."""
    if len(table.lengths) <= PROBE_ROWS:
        return table
    return table.subset(np.sort(np.random.default_rng(seed).choice(len(table.lengths), PROBE_ROWS, replace=False)))


def headline(prepared: Prepared, split: str, logits: Logits) -> dict[str, float]:
    """The headline metric of each head on a split, after a calibration of its own."""
    examples, found = prepared.dataset.examples[split], {}
    pieces = [[prepared.tables[split].encoding(row) for row in rows] for rows in prepared.tables[split].pieces()]
    for name, values in logits.items():
        there = [index for index, example in enumerate(examples) if name in example.targets]
        targets = golds(examples, name)
        task = copy.copy(prepared.heads[name])
        own = [values[index] for index in there], [pieces[index] for index in there]
        task.calibrate(own[0], targets, own[1])
        found[name] = float(task.headline(task.statistics(targets, task.decode(*own)).sum(axis=0))) if there else 0.0
    return found


def _descend(prepared: Prepared, fitted: Fitted, staged: Path, watch: Watch) -> None:
    """Drives the loop to its end: progress, tracker, checkpoints."""
    recipe, tables = prepared.recipe, prepared.tables
    weights = {name: head.weight for name, head in recipe.heads.items()}
    options = prepared.loss_options()
    job = Job(
        prepared.network,
        prepared.machine,
        tables["train"],
        tables["valid"],
        recipe.train,
        recipe.seed,
        options,
        weights,
    )

    def evaluate(attach: Attach) -> Mapping[str, float]:
        found = headline(prepared, "valid", prepared.runtime.logits(tables["valid"], attach))
        if recipe.train.metric == "loss":
            found["loss"] = validation_loss(job, attach)
            return {"metric": -found["loss"], **found}
        return {"metric": found.get(recipe.train.metric, float(np.mean(list(found.values())))), **found}

    folder, facts = staged / run.CHECKPOINT, _facts(prepared)
    frozen = frozen_layers(recipe.train, prepared.network.encoder.depth)
    if frozen:
        watch.stage("frozen layers", len(tables["train"].rows) + len(tables["valid"].rows))
    fit = assemble(job, evaluate if len(tables["valid"].rows) else None, folder, watch.tick)
    if checkpoint.read(fit, folder, facts):
        watch.say(f"Resuming at step {fit.state.step}.")
    prepared.machine.own_noise(recipe.seed + fit.state.step)
    watch.stage("fit", round(fit.settings.epochs * len(tables["train"].lengths) / prepared.machine.world))
    spent = _drive(prepared, fit, staged, watch)
    loop.restore_best(fit)
    fitted.cost |= {**spent, "steps": fit.state.step, "best_metric": fit.state.best_value}


def _drive(prepared: Prepared, fit: loop.Fit, staged: Path, watch: Watch) -> dict[str, float | None]:
    """Every step to the tracker and to whoever watches, a checkpoint every so often; returns what it cost."""
    settings, first = prepared.recipe.train, prepared.machine.rank == 0
    saved, examples, tokens, busy = time.monotonic(), 0, 0, 0.0
    base = settings.learning_rate or METHODS[settings.method].rate
    with Tracker(staged, fit.state.step, "metier" if settings.wandb else None, active=first) as tracker:
        for record in loop.steps(fit):
            record.rate *= base
            tracker.write(record)
            watch.step(record)
            examples, tokens, busy = examples + record.examples, tokens + record.tokens, busy + record.seconds
            if first and time.monotonic() - saved >= settings.checkpoint_seconds:
                tracker.flush()
                checkpoint.write(fit, staged / run.CHECKPOINT, _facts(prepared))
                saved = time.monotonic()
    return {
        "fit_seconds": busy,
        "examples_per_second": examples * prepared.machine.world / busy if busy else None,
        "tokens_per_second": tokens * prepared.machine.world / busy if busy else None,
    }


def _facts(prepared: Prepared) -> dict[str, Any]:
    """What must be the same for a fit to go on: recipe, data, backbone, libraries, threads."""
    return {
        "recipe": prepared.recipe.model_dump(mode="json"),
        "data": prepared.dataset.fingerprint,
        "backbone": prepared.backbone.sha256,
        "threads": prepared.machine.threads,
        "processes": prepared.machine.world,
        **versions(),
    }


def _describe_probe(prepared: Prepared, staged: Path, watch: Watch) -> None:
    """A method without steps still leaves a line of metrics."""
    found = headline(prepared, "valid", prepared.runtime.logits(prepared.tables["valid"]))
    value = float(np.mean(list(found.values())))
    record = loop.Record(0, 0, 1.0, 0.0, 0.0, 0.0, 0, 0, 0.0, {"metric": value, **found}, best=True)
    with Tracker(staged) as tracker:
        tracker.write(record)
    watch.step(record)
