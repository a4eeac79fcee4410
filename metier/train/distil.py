"""One network that is fitted to what others say (Hinton, Vinyals & Dean 2015).

The teacher's answers are arrays, row by row: who gave them, an ensemble or a larger network, does not matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
        """`labels * own + (1 - labels) * T^2 * divergence`, summed over the heads.

        The square keeps the size of the gradients when T changes (section 2.1). The divergence is each task's own: of
        distributions, of numbers, of vectors; the last two have no temperature.
        """
        total = own * self.labels
        for name, task in network.tasks.items():
            heat = self.temperature if _has_probabilities(task) else 1.0
            wanted = self.rows(name, batch, logits[name])
            each = task.divergence(wanted / heat, logits[name].float() / heat)
            mean = each[batch.mask].mean() if task.per_token else each.mean()
            total = total + (1.0 - self.labels) * heat**2 * mean
        return total

    def rows(self, head: str, batch: Batch, like: Tensor) -> Tensor:
        """The teacher's logits of a batch, padded with 0 to the shape of the network's."""
        wanted = np.zeros(tuple(like.shape), dtype=np.float32)
        for at, row in enumerate(batch.rows):
            found = self.logits[head][row]
            wanted[at][tuple(map(slice, found.shape))] = found
        return torch.from_numpy(wanted).to(like.device)


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
