"""One network that is fitted to what others say (Hinton, Vinyals & Dean 2015).

The teacher's answers are arrays, row by row: who gave them, an ensemble or a larger network, does not matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metier.data.batches import by_length
from metier.models.batch import Batch
from metier.models.network import Network
from metier.models.table import Table
from metier.tasks.task import Task

LABELS = 0.3
"""The share of the labels' own loss where a teacher speaks, too: the smaller one, as the authors advise."""


class Teaching(Protocol):
    """Whoever adds to the loss of a batch what it has to say of it."""

    def loss(self, network: Network, batch: Batch, logits: Mapping[str, Tensor], own: Tensor) -> Tensor:
        """The whole loss, from the one `own` of the labels."""


@dataclass(frozen=True)
class Teacher:
    """What is to be said of every row of a table.

    Args:
        logits: of every head, `(labels,)` a row, or `(length, labels)` of one that answers per token.
        temperature: what both sides' logits are divided by, so that the less likely classes are heard.
        labels: the share of the labels' own loss.
    """

    logits: Mapping[str, list[np.ndarray]]
    temperature: float = 2.0
    labels: float = LABELS

    def loss(self, network: Network, batch: Batch, logits: Mapping[str, Tensor], own: Tensor) -> Tensor:
        """As `softened`, with what the teacher said before."""
        wanted = {name: self.rows(name, batch, logits[name]) for name in network.tasks}
        return softened(network.tasks, batch, (wanted, logits), own, self)

    def rows(self, head: str, batch: Batch, like: Tensor) -> Tensor:
        """The teacher's logits of a batch, padded with 0 to the shape of the network's."""
        wanted = np.zeros(tuple(like.shape), dtype=np.float32)
        for at, row in enumerate(batch.rows):
            found = self.logits[head][row]
            wanted[at][tuple(map(slice, found.shape))] = found
        return torch.from_numpy(wanted).to(like.device)


class Shares(Protocol):
    """How much of a loss is whose; see `Teacher`."""

    @property
    def temperature(self) -> float: ...
    @property
    def labels(self) -> float: ...


def softened(
    tasks: Mapping[str, Task],
    batch: Batch,
    answers: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    own: Tensor,
    shares: Shares,
) -> Tensor:
    """`labels * own + (1 - labels) * T^2 * divergence`, summed over the heads.

    The square keeps the size of the gradients when T changes (section 2.1). The divergence is each task's own: of
    distributions, of numbers, of vectors; the last two have no temperature.

    Args:
        tasks: the heads.
        batch: the rows.
        answers: the teacher's logits of every head, and the student's.
        own: the loss of the labels.
        shares: T, and the share of `own`.
    """
    total = own * shares.labels
    for name, task in tasks.items():
        heat = shares.temperature if _has_probabilities(task) else 1.0
        wanted, said = answers[0][name], answers[1][name]
        each = task.divergence(wanted.float() / heat, said.float() / heat)
        mean = each[batch.mask].mean() if task.per_token else each.mean()
        total = total + (1.0 - shares.labels) * heat**2 * mean
    return total


def taught(network: nn.Module, tasks: Mapping[str, Task], table: Table, tick: Callable[[int], None]) -> Teacher:
    """What a network, or an ensemble, says of every row of a table."""
    found: dict[str, list[np.ndarray]] = {name: [np.zeros(0)] * len(table.rows) for name in tasks}
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        for rows in by_length(table.rows.lengths, size=256, tokens=4096):
            answers = network(table.plain(rows).to(device))
            for name, task in tasks.items():
                lengths = table.rows.lengths[rows].tolist()
                for row, answer, length in zip(rows, answers[name].float().cpu().numpy(), lengths, strict=True):
                    found[name][row] = (answer[:length] if task.per_token else answer).copy()
            tick(len(rows))
    return Teacher(found)


def _has_probabilities(task: Task) -> bool:
    """Whether the logits of a task are those of a distribution: it has labels."""
    return bool(task.labels)
