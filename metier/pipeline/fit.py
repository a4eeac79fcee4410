"""The stage that fits: the probe, then the recipe's method from where the probe stands."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metier.models.machine import cpu_rate, seeded
from metier.models.table import Table
from metier.pipeline.augment import augment, growth
from metier.pipeline.descend import descend
from metier.pipeline.naming import add_names, named
from metier.pipeline.prepare import Prepared, headline
from metier.pipeline.prompting import ask
from metier.pipeline.watch import Watch
from metier.predict.runtime import Logits
from metier.recipe import Recipe
from metier.train import loop, probe
from metier.train.contrastive import keep
from metier.train.methods import METHODS, PROMPTING, epochs, frozen_layers
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

    Per token, a layer costs 2 operations a weight forwards and 4 backwards, 2 where its weights have no gradient;
    layers that are frozen with all below them run forwards, once.
    """
    encoder, settings = prepared.network.encoder, prepared.recipe.train
    total = sum(weight.numel() for weight in encoder.parameters()) - encoder.words.weight.numel()
    free = 1 - frozen_layers(settings, encoder.depth) / max(1, encoder.depth)
    tokens = {split: int(table.rows.bounds[-1]) for split, table in prepared.tables.items()}
    more, method = growth(prepared.recipe), METHODS[settings.method]
    rows, names = _of_names(prepared)
    tokens["train"] = tokens["train"] * more + names
    count = epochs(settings, len(prepared.tables["train"].lengths) * more + rows)
    fit = tokens["train"] * count * (4 if method.adapter else 6) * total * free if method.gradient else 0.0
    fit *= _fits(prepared.recipe)
    passes = 2 - free if method.gradient else 1.0  # the probe's, and that through the layers that are frozen
    looks = tokens["train"] * passes + tokens["valid"] * (count * settings.evaluations * free + 2) + tokens["test"] * 2
    rate = cpu_rate() if prepared.machine.device.type == "cpu" else ACCELERATOR
    return float((fit + looks * 2 * total) / (rate * EFFICIENCY))


def _of_names(prepared: Prepared) -> tuple[int, int]:
    """How many rows, and tokens in them, the names of labels will bring to the training table."""
    wanted, runtime = prepared.recipe.augment.names, prepared.runtime
    if prepared.named or not (prepared.recipe.train.method == "contrastive" if wanted is None else wanted):
        return 0, 0
    texts = [example.document for example in named(prepared)]
    lengths = Table.of(texts, runtime.tokeniser, runtime.tasks).lengths if texts else np.zeros(0, dtype=np.int64)
    return len(lengths), int(lengths.sum())


def _fits(recipe: Recipe) -> int:
    """How many fits a recipe is at least: members of an ensemble and who learns from them, rounds of self-training."""
    rounds = 1 + recipe.semi.rounds if recipe.data.unlabelled and recipe.semi.method == "self_training" else 1
    deep = recipe.ensemble.members if recipe.ensemble.kind == "deep" else 1
    return deep * rounds + recipe.ensemble.distil


def fit(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """Fits the network of a prepared run in place, or goes on from the checkpoint in `staged`."""
    fitted = Fitted()
    start, busy = time.perf_counter(), time.process_time()
    network = prepared.network
    with seeded(prepared.recipe.seed):
        _begin(prepared, fitted, watch)
        if METHODS[prepared.recipe.train.method].gradient:
            probe.restart(network, prepared.blank())
            if METHODS[prepared.recipe.train.method].solved:
                fitted.cost |= _contrast(prepared, staged, watch)
            else:
                fitted.cost |= descend(prepared, staged, watch)
        elif prepared.machine.rank == 0:
            _describe_probe(prepared, staged, watch)
    fitted.cost |= {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - busy,
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "trained": _trained(prepared),
    }
    return fitted


def _trained(prepared: Prepared) -> int:
    """How many weights the method changes."""
    network = prepared.network
    part = network if METHODS[prepared.recipe.train.method].gradient else network.heads
    return sum(weight.numel() for weight in part.parameters() if weight.requires_grad)


def look(prepared: Prepared, watch: Watch) -> Fitted:
    """What a fit begins with, alone: copies of texts, and the probe; the encoder stays as it is."""
    fitted = Fitted()
    with seeded(prepared.recipe.seed):
        _begin(prepared, fitted, watch)
    return fitted


def _begin(prepared: Prepared, fitted: Fitted, watch: Watch) -> None:
    names, method = prepared.recipe.augment.names, prepared.recipe.train.method
    if names:
        add_names(prepared)
    augment(prepared, watch, judged=False)
    if prepared.machine.rank == 0:
        if prepared.recipe.train.method in PROMPTING:
            ask(prepared, watch)
        else:
            _probe(prepared, fitted, watch)
    if augment(prepared, watch, judged=True) and prepared.recipe.train.method == "probe":
        _probe(prepared, fitted, watch)
    if names is None and method == "contrastive":
        add_names(prepared)


def _probe(prepared: Prepared, fitted: Fitted, watch: Watch) -> None:
    """The probe: heads on the encoder as it came. What they say of valid and test is kept to compare with."""
    found, fitted.penalties, valid = _solve(prepared, watch)
    fitted.embeddings, fitted.rows = probe.embeddings(found)
    if prepared.recipe.evaluate.baselines:
        fitted.probe = {"valid": valid, "test": prepared.runtime.logits(prepared.tables["test"])}


def _solve(prepared: Prepared, watch: Watch) -> tuple[probe.Features, dict[str, float], Logits]:
    """Fits all heads on the encoder as it stands: features of the training rows, penalties, logits of valid."""
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

    penalties = probe.fit(network, found, prepared.loss_options(), judge if len(tables["valid"].rows) else None)
    return found, penalties, {name: answers(name) for name in order}


def _contrast(prepared: Prepared, staged: Path, watch: Watch) -> dict[str, Any]:
    """Fits the encoder by comparing texts, then solves for the heads."""
    network = prepared.network
    before = {name: weight.clone() for name, weight in network.encoder.state_dict().items()}
    cost = descend(prepared, staged, watch)
    if prepared.machine.rank == 0:
        keep(network, before, prepared.recipe.contrastive.keep)
        _solve(prepared, watch)
        _describe_probe(prepared, staged, watch, int(cost["steps"]))
    return cost


def _sample(table: Table, seed: int) -> Table:
    """The table itself, or a sample of it where it is large."""
    if len(table.lengths) <= PROBE_ROWS:
        return table
    return table.subset(np.sort(np.random.default_rng(seed).choice(len(table.lengths), PROBE_ROWS, replace=False)))


def _describe_probe(prepared: Prepared, staged: Path, watch: Watch, step: int = 0) -> None:
    """Heads that were solved for leave a line of metrics, behind those of the steps before them, if texts validate."""
    if not len(prepared.tables["valid"].rows):
        return
    found = headline(prepared, "valid", prepared.runtime.logits(prepared.tables["valid"]))
    value = float(np.mean(list(found.values())))
    record = loop.Record(step, 0, 1.0, 0.0, 0.0, 0.0, 0, 0, 0.0, {"metric": value, **found}, best=True)
    with Tracker(staged, step) as tracker:
        tracker.write(record)
    watch.step(record)
