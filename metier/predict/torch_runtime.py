"""A run's logits from a network in torch: what fits and evaluates, and the engine on GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from metier.data.batches import by_length
from metier.models.batch import Batch
from metier.models.ensemble import Ensemble
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.predict.runtime import Answers, Logits, Runtime, Tick
from metier.tasks.task import Task

BATCH_TOKENS = {"cpu": 1536, "cuda": 65536, "mps": 16384}


class TorchRuntime(Runtime):
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
        super().__init__({}, tokeniser, floors)
        self.network: Network | Ensemble = network
        self.machine = machine
        self.tokens = BATCH_TOKENS.get(machine.device.type, 4096)

    @property
    def tasks(self) -> dict[str, Task]:
        """The heads by name."""
        return self.network.tasks

    @torch.inference_mode()
    def logits(
        self,
        table: Table,
        prepare: Callable[[Batch], Batch] = lambda batch: batch,
        tick: Tick = lambda rows: None,
        vectors: bool = False,
    ) -> Logits:
        """As `Runtime.logits`. `prepare` may add cached states to a batch."""
        answers = Answers(table, self.tasks, vectors)
        self.network.eval()
        for chosen in by_length(table.rows.lengths, size=512, tokens=self.tokens):
            batch = prepare(table.plain(chosen)).to(self.machine.device)
            with self.machine.autocast():
                found = self.network(batch)
            answers.keep(chosen, {name: logits.float().cpu().numpy() for name, logits in found.items()})
            tick(len(chosen))
        return answers.merged()

    def describe(self) -> dict[str, object]:
        """As `Runtime.describe`."""
        machine = self.machine
        return {
            "engine": "torch",
            "precision": machine.precision,
            "threads": machine.threads,
            "device": str(machine.device),
        }
