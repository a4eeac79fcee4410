"""The states of frozen layers, computed once a text and kept on disk instead of once an epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from metier.data.batches import by_length
from metier.models.encoder import Encoder
from metier.models.network import Network
from metier.models.table import Batch, Table

FILE = "frozen.f32"


class Frozen:
    """A table whose batches carry the hidden states after the frozen layers of a network.

    States are flat float32, `(tokens, width)`, in a memory-mapped file. Frozen layers run without dropout.
    """

    def __init__(
        self, table: Table, network: Network, folder: Path, tick: Callable[[int], None] = lambda rows: None
    ) -> None:
        self.table, self.network = table, network
        self.width = network.encoder.width
        shape = (int(table.rows.bounds[-1]), self.width)
        folder.mkdir(parents=True, exist_ok=True)
        self.states = np.memmap(folder / FILE, dtype=np.float32, mode="w+", shape=shape)
        self._fill(tick)

    @torch.inference_mode()
    def _fill(self, tick: Callable[[int], None]) -> None:
        encoder = self.network.encoder
        assert isinstance(encoder, Encoder)
        self.network.eval()
        for rows in by_length(self.table.rows.lengths, size=256, tokens=4096):
            batch = self.table.plain(rows).to(self.network.device)
            hidden = encoder.prefix(batch.ids, batch.mask, batch.types, upto=self.network.frozen)
            flat = hidden[batch.mask].float().cpu().numpy()
            self.states[self._positions(rows)] = flat
            tick(len(rows))

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        bounds = self.table.rows.bounds
        return np.concatenate([np.arange(bounds[row], bounds[row + 1]) for row in rows])

    def batch(self, units: np.ndarray) -> Batch:
        """The table's batch with its cached states."""
        return self.attach(self.table.batch(units))

    def attach(self, batch: Batch) -> Batch:
        """Gives a batch of the table its cached states, `(rows, length, width)`."""
        hidden = np.zeros((*batch.mask.shape, self.width), dtype=np.float32)
        hidden[batch.mask.numpy()] = self.states[self._positions(batch.rows)]
        batch.hidden = torch.from_numpy(hidden)
        return batch
