"""Documents to predictions in torch: tokenise, sort by length, one pass for all heads, merge windows, decode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from metier.data.batches import by_length
from metier.models.batch import Batch
from metier.models.ensemble import Ensemble
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.tasks.task import Task
from metier.types import Document, Prediction

Logits = dict[str, list[np.ndarray]]
"""Of every head, the merged logits of each document."""
BATCH_TOKENS = {"cpu": 1536, "cuda": 65536, "mps": 16384}


class Runtime:
    """A network ready to answer.

    Args:
        network: encoder and heads, with their weights, or several of them.
        tokeniser: the one that it was fitted with.
        machine: where to compute.
        floors: of each head, the calibrated score under which it abstains.
    """

    def __init__(
        self, network: Network | Ensemble, tokeniser: Tokeniser, machine: Machine, floors: Mapping[str, float]
    ) -> None:
        self.network: Network | Ensemble = network
        self.tokeniser, self.machine, self.floors = tokeniser, machine, floors
        self.tokens = BATCH_TOKENS.get(machine.device.type, 4096)

    @property
    def tasks(self) -> dict[str, Task]:
        """The heads by name."""
        return self.network.tasks

    def predict(self, documents: Sequence[Document], heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """One prediction a head for every document."""
        if not documents:
            return []
        table = Table.of(documents, self.tokeniser, self.tasks)
        return self.decode(table, self.logits(table), heads)

    @torch.inference_mode()
    def logits(
        self,
        table: Table,
        prepare: Callable[[Batch], Batch] = lambda batch: batch,
        tick: Callable[[int], None] = lambda rows: None,
    ) -> Logits:
        """The merged logits of every document of a table. `prepare` may add cached states to a batch."""
        rows: dict[str, list[np.ndarray]] = {name: [np.zeros(0)] * len(table.rows) for name in self.tasks}
        self.network.eval()
        for chosen in by_length(table.rows.lengths, size=512, tokens=self.tokens):
            batch = prepare(table.plain(chosen)).to(self.machine.device)
            with self.machine.autocast():
                answers = self.network(batch)
            for name, task in self.tasks.items():
                _keep(rows[name], chosen, answers[name].float().cpu().numpy(), table if task.per_token else None)
            tick(len(chosen))
        pieces = table.pieces()
        return {name: _merged(task, rows[name], table, pieces) for name, task in self.tasks.items()}

    def decode(self, table: Table, logits: Logits, heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """Predictions from merged logits."""
        pieces = [[table.encoding(row) for row in rows] for rows in table.pieces()]
        wanted = [name for name in self.tasks if heads is None or name in heads]
        found = {name: self._floored(name, self.tasks[name].decode(logits[name], pieces)) for name in wanted}
        return [dict(zip(wanted, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def _floored(self, head: str, predictions: list[Prediction]) -> list[Prediction]:
        floor = self.floors.get(head, 0.0)
        return [item if item.score >= floor else replace(item, abstain=True) for item in predictions]


def _keep(kept: list[np.ndarray], rows: np.ndarray, answers: np.ndarray, table: Table | None) -> None:
    """Files the logits of some rows; those per token without their padding."""
    for row, answer in zip(rows, answers, strict=True):
        kept[row] = answer if table is None else answer[: int(table.rows.bounds[row + 1] - table.rows.bounds[row])]


def _merged(task: Task, rows: list[np.ndarray], table: Table, pieces: list[list[int]]) -> list[np.ndarray]:
    return [
        rows[own[0]]
        if len(own) == 1 and not task.per_token
        else task.merge([rows[row] for row in own], [table.encoding(row) for row in own])
        for own in pieces
    ]
