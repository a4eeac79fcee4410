"""A fit by gradient, assembled: batches, frozen layers, optimiser, objective, loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metier.data.batches import by_length, shuffled
from metier.data.source import ORIGIN
from metier.models.batch import Batch
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.table import Table
from metier.recipe import Recipe, TrainPart
from metier.train import loop
from metier.train.contrastive import Pairs, contrast
from metier.train.distil import Teaching
from metier.train.frozen import Frozen
from metier.train.methods import METHODS, epochs, frozen_layers
from metier.train.objective import Terms, objective
from metier.train.optimiser import Optimiser
from metier.train.sampling import drawn
from metier.train.semi import Beside, Joint, heard

Attach = Callable[[Batch], Batch]
"""Gives a batch of the validation table the states of its frozen layers, where these are cached."""
Evaluate = Callable[[Attach], Mapping[str, float]]


@dataclass(frozen=True)
class Job:
    """What is fitted on what, with `options` of each head's loss."""

    network: Network
    machine: Machine
    train: Table
    valid: Table
    recipe: Recipe
    options: Mapping[str, Mapping[str, Any]]
    teacher: Teaching | None = None
    """What is to be said of every row of `train`, beside its labels."""
    beside: Beside | None = None
    """Texts without labels."""

    @property
    def settings(self) -> TrainPart:
        """How parameters are fitted."""
        return self.recipe.train

    @property
    def weights(self) -> dict[str, float | None]:
        """Of each head's loss; `None`: learned."""
        return {name: head.weight for name, head in self.recipe.heads.items()}


def share_of(batches: list[np.ndarray], rank: int, world: int) -> list[np.ndarray]:
    """The batches of one process. All have as many, or they would wait for each other: some come a second time."""
    rounds = -(-len(batches) // world)
    return [batches[(turn * world + rank) % len(batches)] for turn in range(rounds)]


def sources_of(table: Table) -> np.ndarray:
    """The number of the source of each unit, `(units,)`, where documents say which one they are from."""
    names = [str(document.meta.get(ORIGIN, "")) for document in table.documents]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[names[owner]] for owner in table.owners.tolist()], dtype=np.int64)


class Batches:
    """Batches of a table, laid out anew for every epoch and shared out among the processes of a fit."""

    def __init__(self, job: Job, frozen: Frozen | None) -> None:
        self.job, self.frozen = job, frozen
        self.groups = sources_of(job.train) if job.settings.sampling > 1 else np.zeros(0, dtype=np.int64)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch that are this process's; every process has as many."""
        settings, machine = self.job.settings, self.job.machine
        seed = self.job.recipe.seed * 1_000_003 + epoch
        lengths = self.job.train.lengths
        units = np.arange(len(lengths))
        if len(self.groups):
            units = drawn(self.groups, settings.sampling, seed=self.job.recipe.seed, epoch=epoch)
        batches = [
            units[batch]
            for batch in shuffled(lengths[units], size=settings.batch_size, tokens=settings.batch_tokens, seed=seed)
        ]
        return share_of(batches, machine.rank, machine.world)

    def batch(self, units: np.ndarray) -> Batch:
        """One batch where the network is."""
        source = self.job.train if self.frozen is None else self.frozen
        return source.batch(units).to(self.job.machine.device)


def assemble(job: Job, evaluate: Evaluate | None, folder: Path, tick: Callable[[int], None]) -> loop.Fit:
    """The loop of a job, ready to run or to be resumed.

    Args:
        job: what is fitted on what.
        evaluate: figures on the validation table, with a `metric`.
        folder: where states of frozen layers are kept.
        tick: told of every row whose frozen layers are done.
    """
    job.machine.share(job.network.state_dict().values())
    train_cache, valid_cache = _freeze(job, folder, tick)
    settings, network = job.settings, job.network
    cycles = job.recipe.ensemble.members if job.recipe.ensemble.kind == "snapshot" else 1
    optimiser = _optimiser(job)
    if settings.compile:
        network.encoder.compile(dynamic=True)

    terms = Terms(network, job.machine, job.options, job.weights, job.recipe.regularise, job.teacher)

    def judge() -> Mapping[str, float]:
        assert evaluate is not None
        found = evaluate(_same if valid_cache is None else valid_cache.attach) if job.machine.rank == 0 else {}
        return _agreed(job, found)

    source, learn = _learned(job, terms, Batches(job, train_cache))
    return loop.Fit(
        network=network,
        optimiser=optimiser,
        source=source,
        objective=learn,
        evaluate=None if evaluate is None else judge,
        settings=loop.Settings(
            epochs=epochs(settings, len(job.train.lengths)),
            accumulate=settings.accumulate,
            clip=settings.clip,
            warmup=settings.warmup,
            schedule=settings.schedule,
            ema=settings.ema,
            evaluations=settings.evaluations,
            patience=0 if cycles > 1 else settings.patience,
            cycles=cycles,
        ),
        average_gradients=lambda: _average(job),
    )


def _learned(job: Job, terms: Terms, labelled: Batches) -> tuple[loop.Source, Callable[[Batch], Iterable[Tensor]]]:
    """The batches of a job and the losses of one, with unlabelled texts where there are some."""
    if job.settings.method == "contrastive":
        part = job.recipe.contrastive
        pairs = Pairs(job.train, part.texts, job.recipe.seed, job.machine)
        return pairs, partial(contrast, job.network, job.machine, part.temperature)
    learn = partial(objective, terms)
    if job.beside is None:
        return labelled, learn
    units = len(job.train.lengths)
    joint = Joint(labelled, units, job.beside, epochs(job.settings, units), job.recipe.seed)
    return joint, partial(heard, terms, joint, learn)


def validation_loss(job: Job, attach: Attach) -> float:
    """The mean loss over the batches of the validation table, without dropout."""
    losses, weights = [], []
    with torch.no_grad():
        for units in by_length(job.valid.lengths, size=64, tokens=4096):
            batch = attach(job.valid.batch(units)).to(job.machine.device)
            losses.append(float(job.network.loss(batch, job.options, job.weights)))
            weights.append(len(units))
    return float(np.average(losses, weights=weights))


def _same(batch: Batch) -> Batch:
    return batch


def _average(job: Job) -> None:
    """The mean of the gradients of all processes; a weight without one (a head that no row carried) counts as 0."""
    if job.machine.world == 1:
        return
    for weight in job.network.parameters():
        if weight.requires_grad and weight.grad is None:
            weight.grad = weight.new_zeros(weight.shape)
    job.machine.average([weight.grad for weight in job.network.parameters() if weight.grad is not None])


def _agreed(job: Job, figures: Mapping[str, float]) -> Mapping[str, float]:
    """The figures of the first process in all of them, so that all keep the same weights and stop at the same step."""
    if job.machine.world == 1:
        return figures
    names = ["metric", *job.network.tasks]
    values = torch.tensor([figures.get(name, 0.0) for name in names], dtype=torch.float64, device=job.machine.device)
    job.machine.share([values])
    return dict(zip(names, values.tolist(), strict=True))


def _freeze(job: Job, folder: Path, tick: Callable[[int], None]) -> tuple[Frozen | None, Frozen | None]:
    """Freezes the lowest layers and computes their states once, where the encoder can be entered in the middle."""
    network = job.network
    layers = frozen_layers(job.settings, network.encoder.depth)
    network.frozen = 0
    if not layers:
        return None, None
    network.freeze(layers)
    if not isinstance(network.encoder, Encoder):
        return None, None
    rank = job.machine.rank
    return (
        Frozen(job.train, network, folder / f"frozen-train-{rank}", tick),
        Frozen(job.valid, network, folder / f"frozen-valid-{rank}", tick) if len(job.valid.rows) else None,
    )


def _optimiser(job: Job) -> Optimiser:
    settings, network = job.settings, job.network
    method = METHODS[settings.method]
    words = network.encoder.words
    by_rows = not isinstance(network.encoder, HubEncoder) and job.machine.world == 1
    return Optimiser(
        network,
        lr=settings.learning_rate or method.rate,
        head_lr=settings.head_learning_rate or method.head_rate,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        row_modules=[words] if by_rows and isinstance(words, torch.nn.Embedding) else [],
    )
