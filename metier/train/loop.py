"""The training loop: a generator that yields what happened. Whoever calls it draws, writes, saves, stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metier.models.batch import Batch
from metier.train.optimiser import Optimiser
from metier.train.schedule import cyclic, scale


class Source(Protocol):
    """Where batches come from: `plan` lays out an epoch, `batch` makes one of its batches."""

    def plan(self, epoch: int) -> list[np.ndarray]: ...
    def batch(self, units: np.ndarray) -> Batch: ...


class Remembering(Protocol):
    """What has a state: `load` takes what `state` gave."""

    def state(self) -> dict[str, Tensor]: ...
    def load(self, state: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How a fit runs. `evaluations` an epoch; `patience` evaluations without a better one end it (0: never).

    With several `cycles` the rate falls to 0 as often, along a cosine whatever `schedule` says.
    """

    epochs: float
    accumulate: int = 1
    clip: float = 1.0
    warmup: float = 0.1
    schedule: str = "linear"
    ema: float | None = None
    evaluations: int = 1
    patience: int = 0
    cycles: int = 1


@dataclass(slots=True)
class Record:
    """One step: `loss` and `norm` (of the gradient) as they were, `valid` where an evaluation followed.

    `ended` is the number of cycles that are over, where this step ended one.
    """

    step: int
    epoch: int
    progress: float
    loss: float
    norm: float
    rate: float
    examples: int
    tokens: int
    seconds: float
    valid: dict[str, float] | None = None
    best: bool = False
    ended: int | None = None


@dataclass(slots=True)
class State:
    """Where a fit stands: all that a checkpoint must hold beside weights, optimiser and generator."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    best_value: float = float("-inf")
    stale: int = 0
    stopped: bool = False
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Fit:
    """What a loop works on. `evaluate` returns figures with a `metric`.

    `objective` yields the scalar losses of a batch, one after the other: backward is done on each before the next is
    asked for, so that an objective can read gradients in between (adversarial training does). Their gradients add up.
    `before_step` is told of every update, with its progress and its gradients in place.
    `average_gradients` is called before each update (several processes share a fit); by default nothing happens.
    """

    network: nn.Module
    optimiser: Optimiser
    source: Source
    objective: Callable[[Batch], Iterable[Tensor]]
    evaluate: Callable[[], Mapping[str, float]] | None
    settings: Settings
    state: State = field(default_factory=State)
    average_gradients: Callable[[], None] = lambda: None
    before_step: Callable[[int, float], None] = lambda step, progress: None
    after_step: Callable[[int], None] = lambda step: None
    """Told of every update (from 0) when it is done, its gradients still in place."""
    beside: Remembering | None = None
    """What a method remembers from step to step and a checkpoint must hold."""


def steps(fit: Fit) -> Iterator[Record]:
    """Fits `fit.network`, one update a record. Resumes where `fit.state` stands.

    The equivalent plain loop::

        for epoch in epochs:
            for units in source.plan(epoch):
                for loss in objective(source.batch(units)):
                    loss.backward()
                optimiser.clip(...); optimiser.step(...); optimiser.zero_grad()

    After the last record `restore_best` gives the network its best weights.
    """
    settings, state = fit.settings, fit.state
    while state.epoch < settings.epochs and not state.stopped:
        batches = fit.source.plan(state.epoch)
        groups = [batches[at : at + settings.accumulate] for at in range(0, len(batches), settings.accumulate)]
        last = min(len(groups), max(1, round(len(groups) * (settings.epochs - state.epoch))))
        due = {round(last * (turn + 1) / settings.evaluations) - 1 for turn in range(settings.evaluations)}
        while state.position < last:
            position, epoch = state.position, state.epoch
            record = _update(fit, groups[position], (epoch + position / len(groups)) / settings.epochs)
            state.position += 1
            if position + 1 == last:
                state.epoch, state.position = epoch + 1, 0
            record.ended = _ended(settings, epoch + position / len(groups), state.epoch + state.position / len(groups))
            if position in due and fit.evaluate is not None:
                _judge(fit, record)
            yield record
            if state.stopped or state.epoch != epoch:
                break


def _ended(settings: Settings, before: float, after: float) -> int | None:
    """The number of cycles that are over, where the last of them ended between two points of a fit, in epochs."""
    cycle = settings.epochs / settings.cycles
    first, last = (int(min(point, settings.epochs) / cycle + 1e-9) for point in (before, after))
    return last if last > first else None


def updates(fit: Fit) -> int:
    """How many updates a fit will have: as many an epoch as the first one has."""
    batches = len(fit.source.plan(0))
    return max(1, round(fit.settings.epochs * -(-batches // fit.settings.accumulate)))


def restore_best(fit: Fit) -> None:
    """Ends a fit: the network gets the weights of its best evaluation, without any the averaged ones, if there are."""
    fit.optimiser.close()
    chosen = fit.state.best or fit.state.average
    if chosen:
        fit.network.load_state_dict(chosen, strict=False)


def _update(fit: Fit, group: list[np.ndarray], progress: float) -> Record:
    """Forward, backward and one optimiser step over a group of batches."""
    start = time.perf_counter()
    fit.network.train()
    loss, examples, tokens = 0.0, 0, 0
    for units in group:
        batch = fit.source.batch(units)
        for found in fit.objective(batch):
            part = found / len(group)
            part.backward()  # type: ignore[no-untyped-call]
            loss += float(part.detach())
        examples += len(batch.rows)
        tokens += int(batch.mask.sum())
    fit.average_gradients()
    fit.before_step(fit.state.step, progress)
    norm = fit.optimiser.clip(fit.settings.clip)
    rate = _rate(fit.settings, progress)
    fit.optimiser.step(rate)
    fit.after_step(fit.state.step)
    fit.optimiser.zero_grad()
    fit.state.step += 1
    _follow(fit)
    seconds = time.perf_counter() - start
    return Record(fit.state.step, fit.state.epoch, progress, loss, norm, rate, examples, tokens, seconds)


def _rate(settings: Settings, progress: float) -> float:
    """The factor of the learning rate."""
    if settings.cycles > 1:
        return cyclic(progress, warmup=settings.warmup, cycles=settings.cycles)
    return scale(progress, warmup=settings.warmup, shape=settings.schedule)


def _follow(fit: Fit) -> None:
    """Moves the exponential average of the weights, if one is kept, with a bias-corrected decay."""
    if fit.settings.ema is None:
        return
    fit.optimiser.flush()
    decay = min(fit.settings.ema, (1 + fit.state.step) / (10 + fit.state.step))
    with torch.no_grad():
        for name, weight in _trainable(fit.network).items():
            if name not in fit.state.average:
                fit.state.average[name] = weight.detach().clone()
            else:
                fit.state.average[name].lerp_(weight.detach(), 1.0 - decay)


def _judge(fit: Fit, record: Record) -> None:
    """Evaluates, keeps the best weights, counts evaluations that were no better."""
    assert fit.evaluate is not None
    fit.optimiser.flush()
    fit.network.eval()
    with torch.no_grad(), _averaged(fit):
        record.valid = dict(fit.evaluate())
        value, before = record.valid["metric"], fit.state.best_value
        record.best = value >= before  # of equals the later one, fitted at a lower rate
        fit.state.stale = 0 if value > before else fit.state.stale + 1
        if record.best:
            fit.state.best_value = value
            fit.state.best = {name: weight.detach().clone() for name, weight in _trainable(fit.network).items()}
    fit.state.stopped = bool(fit.settings.patience) and fit.state.stale >= fit.settings.patience


@contextmanager
def _averaged(fit: Fit) -> Iterator[None]:
    """Inside, the network has its averaged weights, if any are kept."""
    weights = _trainable(fit.network) if fit.state.average else {}
    current = {name: weight.detach().clone() for name, weight in weights.items()}
    for name, weight in weights.items():
        weight.copy_(fit.state.average[name])
    try:
        yield
    finally:
        for name, weight in weights.items():
            weight.copy_(current[name])


def _trainable(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
