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
import torch
from torch import Tensor, nn

from metier import run
from metier.data.batches import shuffled
from metier.models.encoder import Encoder
from metier.models.machine import product_rate, seeded
from metier.models.table import Batch, Table, golds
from metier.pipeline.prepare import Prepared, can_cache
from metier.pipeline.track import Tracker
from metier.pipeline.watch import Watch
from metier.predict.runtime import Logits
from metier.train import checkpoint, loop, probe
from metier.train.frozen import Frozen
from metier.train.methods import METHODS, epochs, frozen_layers
from metier.train.optimiser import Optimiser

PROBE_ROWS = 40_000
"""The probe sees at most this many training rows."""
EFFICIENCY = 0.5
"""The share of the machine's matrix-product rate that a fit is expected to reach, for the estimate of its time."""


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
    share = frozen_layers(settings, encoder.depth) / max(1, encoder.depth)
    tokens = {split: int(table.rows.bounds[-1]) for split, table in prepared.tables.items()}
    count = epochs(settings, len(prepared.tables["train"].lengths))
    fit = tokens["train"] * count * 6 * total * (1 - share) if METHODS[settings.method].gradient else 0.0
    looks = (
        tokens["valid"] * (count * settings.evaluations * (1 - share) + 2)
        + tokens["test"] * 2
        + tokens["train"] * (1 + share)
    )
    rate = product_rate(torch.float32, 512, 384, 1536) if prepared.machine.device.type == "cpu" else 5e13
    return float((fit + looks * 2 * total) / (rate * EFFICIENCY))


def fit(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """Fits the network of a prepared run in place, or goes on from the checkpoint in `staged`."""
    fitted = Fitted()
    start = time.perf_counter()
    settings, network = prepared.recipe.train, prepared.network
    with seeded(prepared.recipe.seed):
        network.freeze(network.encoder.depth)
        _probe(prepared, fitted, watch)
        network.requires_grad_(True)
        if METHODS[settings.method].gradient:
            if settings.head_start == "random":
                for head in network.heads:
                    _restart(head)
            _descend(prepared, fitted, staged, watch)
        else:
            _describe_probe(prepared, staged, watch)
    fitted.cost |= {
        "seconds": time.perf_counter() - start,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }
    return fitted


def _restart(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.reset_parameters()


def _probe(prepared: Prepared, fitted: Fitted, watch: Watch) -> None:
    """Fits all heads on the frozen encoder and keeps what they say of valid and test."""
    network, runtime, tables = prepared.network, prepared.runtime, prepared.tables
    train = _sample(tables["train"], prepared.recipe.seed)
    watch.stage("probe", len(train.lengths))
    found = probe.features(network, train, watch.tick)
    held = probe.features(network, tables["valid"])

    def judge(name: str, head: nn.Module) -> float:
        return _judge_probe(prepared, held, name, head)

    fitted.penalties = probe.fit(network, found, prepared.loss_options(), judge if len(tables["valid"].rows) else None)
    fitted.embeddings = torch.cat(found.pooled).float().cpu().numpy()
    fitted.rows = np.concatenate([batch.rows for batch in found.batches])
    for split in ("valid", "test"):
        fitted.probe[split] = runtime.logits(tables[split])


def _sample(table: Table, seed: int) -> Table:
    """The table itself, or the rows of a sample of it where it is large."""
    if len(table.lengths) <= PROBE_ROWS:
        return table
    chosen = copy.copy(table)
    keep = np.sort(np.random.default_rng(seed).choice(len(table.lengths), PROBE_ROWS, replace=False))
    return _Subset(chosen, keep)


class _Subset(Table):
    """Some units of a table, seen as a table."""

    def __init__(self, table: Table, keep: np.ndarray) -> None:
        self.__dict__.update(table.__dict__)
        self.whole, self.keep = table, keep

    @property
    def lengths(self) -> np.ndarray:
        lengths: np.ndarray = self.whole.lengths[self.keep]
        return lengths

    def batch(self, units: np.ndarray) -> Batch:
        return self.whole.batch(self.keep[units])


def _judge_probe(prepared: Prepared, held: probe.Features, name: str, head: nn.Module) -> float:
    """The validation metric of one head on cached features."""
    table, task = prepared.tables["valid"], prepared.heads[name]
    rows: list[np.ndarray] = [np.zeros(0)] * len(table.rows)
    with torch.inference_mode():
        for batch, hidden, pooled in zip(held.batches, held.hidden, held.pooled, strict=True):
            answer = head(hidden, batch.mask, pooled, **batch.inputs.get(name, {}))
            for row, values, length in zip(
                batch.rows, answer.float().cpu().numpy(), batch.mask.sum(1).tolist(), strict=True
            ):
                rows[row] = values[:length] if task.per_token else values
    merged = [task.merge([rows[row] for row in own], [table.encoding(row) for row in own]) for own in table.pieces()]
    return headline(prepared, "valid", {name: merged})[name]


def headline(prepared: Prepared, split: str, logits: Logits) -> dict[str, float]:
    """The headline metric of each head on a split, after a calibration of its own."""
    examples, found = prepared.dataset.examples[split], {}
    pieces = [[prepared.tables[split].encoding(row) for row in rows] for rows in prepared.tables[split].pieces()]
    for name, values in logits.items():
        there = [index for index, example in enumerate(examples) if name in example.targets]
        targets = golds(examples, name)
        task = copy.copy(prepared.heads[name])
        task.calibrate([values[index] for index in there], targets, [pieces[index] for index in there])
        predictions = task.decode([values[index] for index in there], [pieces[index] for index in there])
        found[name] = float(task.headline(task.statistics(targets, predictions).sum(axis=0))) if there else 0.0
    return found


class _Source:
    """Batches of the training table, laid out anew for every epoch."""

    def __init__(self, prepared: Prepared, frozen: Frozen | None) -> None:
        self.table, self.frozen, self.machine = prepared.tables["train"], frozen, prepared.machine
        self.settings, self.seed = prepared.recipe.train, prepared.recipe.seed

    def plan(self, epoch: int) -> list[np.ndarray]:
        settings = self.settings
        lengths = self.table.lengths
        seed = self.seed * 1_000_003 + epoch
        batches = shuffled(lengths, size=settings.batch_size, tokens=settings.batch_tokens, seed=seed)
        world = self.machine.world
        even = len(batches) - len(batches) % world
        return batches[self.machine.rank : max(even, world) : world] if world > 1 else batches

    def batch(self, units: np.ndarray) -> Batch:
        source = self.table if self.frozen is None else self.frozen
        return source.batch(units).to(self.machine.device)


def _descend(prepared: Prepared, fitted: Fitted, staged: Path, watch: Watch) -> None:
    """Fits by gradient: builds the loop, resumes it, drives it to its end."""
    recipe, network = prepared.recipe, prepared.network
    frozen = frozen_layers(recipe.train, network.encoder.depth)
    train_cache, valid_cache = _freeze(prepared, frozen, staged, watch)
    fit = _loop(prepared, train_cache, valid_cache)
    facts = _facts(prepared)
    resumed = checkpoint.read(fit, staged / run.CHECKPOINT, facts)
    if resumed:
        watch.say(f"Resuming at step {fit.state.step}.")
    total = round(fit.settings.epochs * len(prepared.tables["train"].lengths))
    watch.stage("fit", total)
    saved, seen, tokens, busy = time.monotonic(), 0, 0, 0.0
    with Tracker(staged, fit.state.step, "metier" if recipe.train.wandb else None) as tracker:
        for record in loop.steps(fit):
            tracker.write(record)
            watch.step(record)
            seen, tokens, busy = seen + record.examples, tokens + record.tokens, busy + record.seconds
            if time.monotonic() - saved >= recipe.train.checkpoint_seconds and prepared.machine.rank == 0:
                checkpoint.write(fit, staged / run.CHECKPOINT, facts)
                saved = time.monotonic()
    loop.restore_best(fit)
    fitted.cost |= {"steps": fit.state.step, "fit_seconds": busy, "examples_per_second": seen / busy if busy else None}
    fitted.cost |= {"tokens_per_second": tokens / busy if busy else None, "best_metric": fit.state.best_value}


def _freeze(prepared: Prepared, layers: int, staged: Path, watch: Watch) -> tuple[Frozen | None, Frozen | None]:
    """Freezes the lowest layers and computes their states once, where the encoder allows it."""
    network = prepared.network
    if not layers:
        network.frozen = 0
        return None, None
    network.freeze(layers)
    if not can_cache(network):
        watch.say("This architecture cannot be entered in the middle: frozen layers are computed in every epoch.")
        return None, None
    found = []
    for split in ("train", "valid"):
        watch.stage(f"frozen layers ({split})", len(prepared.tables[split].rows))
        found.append(Frozen(prepared.tables[split], network, staged / run.CHECKPOINT / f"frozen-{split}", watch.tick))
    return found[0], found[1]


def _loop(prepared: Prepared, train_cache: Frozen | None, valid_cache: Frozen | None) -> loop.Fit:
    settings, network = prepared.recipe.train, prepared.network
    optimiser = _optimiser(prepared)
    options = prepared.loss_options()
    weights = {name: head.weight for name, head in prepared.recipe.heads.items()}

    def objective(batch: Batch) -> Tensor:
        with prepared.machine.autocast():
            return network.loss(batch, options, weights)

    def evaluate() -> Mapping[str, float]:
        attach = valid_cache.attach if valid_cache is not None else lambda batch: batch
        found = headline(prepared, "valid", prepared.runtime.logits(prepared.tables["valid"], attach))
        return {"metric": float(np.mean(list(found.values()))), **found}

    return loop.Fit(
        network=network,
        optimiser=optimiser,
        source=_Source(prepared, train_cache),
        objective=objective,
        evaluate=evaluate if len(prepared.tables["valid"].rows) else None,
        settings=loop.Settings(
            epochs=epochs(settings, len(prepared.tables["train"].lengths)),
            accumulate=settings.accumulate,
            clip=settings.clip,
            warmup=settings.warmup,
            schedule=settings.schedule,
            ema=settings.ema,
            evaluations=settings.evaluations,
            patience=settings.patience,
        ),
    )


def _optimiser(prepared: Prepared) -> Optimiser:
    settings, network = prepared.recipe.train, prepared.network
    method = METHODS[settings.method]
    rows = [network.encoder.words] if isinstance(network.encoder, Encoder) and prepared.machine.world == 1 else []
    return Optimiser(
        network,
        lr=settings.learning_rate or method.rate,
        head_lr=settings.head_learning_rate or method.head_rate,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        row_modules=rows,
    )


def _facts(prepared: Prepared) -> dict[str, Any]:
    """What must be the same for a fit to go on: recipe, data, backbone, libraries, threads."""
    return {
        "recipe": prepared.recipe.model_dump(mode="json"),
        "data": prepared.dataset.fingerprint,
        "backbone": prepared.backbone.sha256,
        "torch": torch.__version__,
        "threads": prepared.machine.threads,
    }


def _describe_probe(prepared: Prepared, staged: Path, watch: Watch) -> None:
    """A method without steps still leaves a line of metrics."""
    found = headline(prepared, "valid", prepared.runtime.logits(prepared.tables["valid"]))
    value = float(np.mean(list(found.values())))
    record = loop.Record(0, 0, 1.0, 0.0, 0.0, 0.0, 0, 0, 0.0, {"metric": value, **found}, best=True)
    with Tracker(staged) as tracker:
        tracker.write(record)
    watch.step(record)
