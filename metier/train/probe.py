"""The probe: heads fitted to convergence on a frozen encoder.

For a linear head the problem is convex (multinomial logistic regression for `classify`, ridge regression for `score`),
so L-BFGS (Liu & Nocedal 1989) finds its one solution; the strength of the L2 penalty is chosen on validation texts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metier.data.batches import by_length
from metier.models.batch import Batch
from metier.models.network import Network
from metier.models.table import Table
from metier.tasks.heads import mention_means
from metier.tasks.task import IGNORE, Task

PENALTIES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Candidates for the L2 penalty, relative to the mean square of a feature; strong first, each starts from the last."""
ITERATIONS = 60


@dataclass
class Features:
    """What heads see of some rows: batches with the hidden states of the last layer, and their pooled vectors."""

    batches: list[Batch]
    hidden: list[Tensor | None]
    pooled: list[Tensor]


@torch.no_grad()
def features(network: Network, table: Table, tick: Callable[[int], None] = lambda rows: None) -> Features:
    """One pass of the encoder over a table. Hidden states are kept only where a head needs more than pooled vectors."""
    deep = any(task.per_token or task.special_tokens for task in network.tasks.values())
    network.eval()
    found = Features([], [], [])
    for units in by_length(table.lengths, size=128, tokens=4096):
        batch = table.batch(units).to(network.device)
        hidden = network.encode(batch)
        found.batches.append(batch)
        found.hidden.append(hidden if deep else None)
        found.pooled.append(network.pool(hidden, batch.mask))
        tick(len(units))
    return found


def logits(network: Network, found: Features, index: int, rows: int) -> list[np.ndarray]:
    """What head number `index` says of every row, `(labels,)` or `(length, labels)`."""
    task = list(network.tasks.values())[index]
    name = list(network.tasks)[index]
    kept: list[np.ndarray] = [np.zeros(0)] * rows
    with torch.no_grad():
        for batch, hidden, pooled in zip(found.batches, found.hidden, found.pooled, strict=True):
            answers = (
                network.heads[index](hidden, batch.mask, pooled, **batch.inputs.get(name, {})).float().cpu().numpy()
            )
            for row, answer, length in zip(batch.rows, answers, batch.mask.sum(1).tolist(), strict=True):
                kept[row] = answer[:length] if task.per_token else answer
    return kept


def embeddings(found: Features) -> tuple[np.ndarray, np.ndarray]:
    """The pooled vectors `(rows, width)` and the rows that they belong to."""
    vectors: np.ndarray = torch.cat(found.pooled).float().cpu().numpy()
    return vectors, np.concatenate([batch.rows for batch in found.batches])


def restart(network: Network, names: Sequence[str]) -> None:
    """Fresh random weights for the linear layers of some heads."""
    for name, head in zip(network.tasks, network.heads, strict=True):
        for part in head.modules() if name in names else ():
            if isinstance(part, nn.Linear):
                part.reset_parameters()


def fit(
    network: Network,
    train: Features,
    options: Mapping[str, Mapping[str, Any]],
    judge: Callable[[str], float] | None,
) -> dict[str, float]:
    """Fits every head of the network in place and returns the penalty of each.

    Args:
        network: its encoder stays as it is.
        train: features of the training rows.
        options: of each head's loss.
        judge: the validation metric of a head as it is now, more is better; without it one penalty is taken.
    """
    chosen = {}
    for index, (name, task) in enumerate(network.tasks.items()):
        best_value, best_state = float("-inf"), None
        head = network.heads[index].eval()
        scale = float(torch.cat(train.pooled).square().mean())
        for penalty in PENALTIES if judge is not None else PENALTIES[2:3]:
            _solve(name, task, head, train, dict(options[name]), penalty * scale)
            value = judge(name) if judge is not None else 0.0
            if value > best_value:
                best_value, best_state = value, copy.deepcopy(head.state_dict())
                chosen[name] = penalty
        if best_state is not None:
            head.load_state_dict(best_state)
    return chosen


def _solve(name: str, task: Task, head: nn.Module, train: Features, options: dict[str, Any], penalty: float) -> None:
    """Minimises the mean loss over all training rows plus `penalty / 2` times the squared weights."""
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if not parameters:
        return
    options["label_smoothing"] = 0.0
    solver = torch.optim.LBFGS(parameters, max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe")
    parts = _parts(name, task, train)
    total = sum(weight for _, _, weight in parts)
    if not total:
        return

    def closure() -> float:
        solver.zero_grad()
        value = 0.0
        for run, targets, weight in parts:
            loss = task.loss(run(head), targets, options) * (weight / total)
            loss.backward()  # type: ignore[no-untyped-call]
            value += float(loss.detach())
        decay = sum((item.square().sum() for item in parameters if item.ndim > 1), torch.zeros(())) * (0.5 * penalty)
        if decay.requires_grad:
            decay.backward()  # type: ignore[no-untyped-call]
        return value + float(decay.detach())

    solver.step(closure)  # type: ignore[no-untyped-call]
    solver.zero_grad()  # or the first update of a fit, new or resumed, would add these gradients to its own


def _parts(name: str, task: Task, train: Features) -> list[tuple[Callable[[nn.Module], Tensor], Tensor, int]]:
    """Pieces of the training set for one head: how to compute its logits, its targets, its share of the mean."""
    if task.independent:
        return [_tokens(name, train)]
    if task.kind == "mention":
        return [_mentions(name, task, train)]
    if task.per_token or task.special_tokens:
        return [
            (_deep(batch, hidden, pooled, name), batch.targets[name], int(batch.present[name].sum()))
            for batch, hidden, pooled in zip(train.batches, train.hidden, train.pooled, strict=True)
            if hidden is not None and bool(batch.present[name].any())
        ]
    pairs = [(pooled, batch) for pooled, batch in zip(train.pooled, train.batches, strict=True)]
    if task.separate:
        return []
    pooled = torch.cat([vectors[batch.present[name]] for vectors, batch in pairs])
    targets = torch.cat([batch.targets[name] for _, batch in pairs if len(batch.targets[name])])
    nothing = torch.zeros(0)
    return [(lambda head: head(nothing, nothing, pooled), targets, len(pooled))]


def _tokens(name: str, train: Features) -> tuple[Callable[[nn.Module], Tensor], Tensor, int]:
    """All tokens that have a target as one row of `(1, tokens, width)`: no padding, one matrix product."""
    states, targets = [], []
    for batch, hidden in zip(train.batches, train.hidden, strict=True):
        if hidden is not None and len(batch.targets[name]):
            wanted = batch.targets[name] != IGNORE
            states.append(hidden[batch.present[name]][wanted])
            targets.append(batch.targets[name][wanted])
    if not states:
        return (lambda head: torch.zeros(0)), torch.zeros(0), 0
    row, nothing = torch.cat(states).unsqueeze(0), torch.zeros(0)
    return (lambda head: head(row, nothing, nothing)), torch.cat(targets).unsqueeze(0), row.shape[1]


def _mentions(name: str, task: Task, train: Features) -> tuple[Callable[[nn.Module], Tensor], Tensor, int]:
    """All mentions as rows of one token each, their mean states: what a linear head says of these is what it says."""
    states, pools, targets = [], [], []
    for batch, hidden, pooled in zip(train.batches, train.hidden, train.pooled, strict=True):
        if hidden is not None and len(batch.targets[name]):
            there = batch.present[name]
            means, wanted, rows = mention_means(hidden[there], batch.targets[name], len(task.labels))
            states.append(means)
            pools.append(pooled[there][rows])
            targets.append(wanted)
    count = sum(map(len, targets))
    if not count:
        return (lambda head: torch.zeros(0)), torch.zeros(0), 0
    nothing, mean, context = torch.zeros(0), torch.cat(states).unsqueeze(1), torch.cat(pools)
    return (lambda head: head(mean, nothing, context)), torch.cat(targets).unsqueeze(1), count


def _deep(batch: Batch, hidden: Tensor, pooled: Tensor, name: str) -> Callable[[nn.Module], Tensor]:
    there = batch.present[name]

    def run(head: nn.Module) -> Tensor:
        logits: Tensor = head(hidden, batch.mask, pooled, **batch.inputs.get(name, {}))
        return logits[there]

    return run
