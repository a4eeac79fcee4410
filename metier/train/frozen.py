"""The states of frozen layers, computed once a text and kept on disk instead of once an epoch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from metier.data.batches import by_length
from metier.errors import RunError
from metier.models.batch import Batch
from metier.models.encoder import Encoder
from metier.models.network import Network
from metier.models.table import Table

FILE = "frozen.f32"


def _reserve(file: Path, size: int) -> None:
    """A file of `size` bytes that are there: on a full disk, writing to a mapped hole would kill the process."""
    try:
        with file.open("wb") as stream:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        raise RunError(
            f"The states of frozen layers take {size / 2**20:.0f} MiB in {file.parent}: {error.strerror}.",
            hint="free some disk space, or use --method full",
        ) from error


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
        _reserve(folder / FILE, 4 * shape[0] * shape[1])
        self.states = np.memmap(folder / FILE, dtype=np.float32, mode="r+", shape=shape)
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
