"""What one forward pass of a network reads, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from metier.models.table import Arrays


@dataclass
class Batch:
    """One forward pass. `targets[head]` belong to the rows `present[head]`; `hidden`: states of frozen layers.

    `perturbation`, `(rows, length, width)`, is added to what enters the first layer that is computed.
    """

    rows: np.ndarray
    ids: Tensor
    mask: Tensor
    types: Tensor
    inputs: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    targets: dict[str, Tensor] = field(default_factory=dict)
    present: dict[str, Tensor] = field(default_factory=dict)
    hidden: Tensor | None = None
    perturbation: Tensor | None = None

    @classmethod
    def of(cls, arrays: Arrays) -> Batch:
        """Without targets."""
        inputs = {
            name: {key: torch.from_numpy(array) for key, array in own.items()} for name, own in arrays.inputs.items()
        }
        return cls(
            arrays.rows,
            torch.from_numpy(arrays.ids),
            torch.from_numpy(arrays.mask),
            torch.from_numpy(arrays.types),
            inputs,
        )

    def aim(self, head: str, present: np.ndarray, targets: np.ndarray) -> None:
        """Gives a head the targets of the rows that carry it."""
        self.present[head], self.targets[head] = torch.from_numpy(present), torch.from_numpy(targets)

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""

        def move(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

        return Batch(
            self.rows,
            self.ids.to(device, non_blocking=True),
            self.mask.to(device, non_blocking=True),
            self.types.to(device, non_blocking=True),
            {name: move(inputs) for name, inputs in self.inputs.items()},
            move(self.targets),
            move(self.present),
            None if self.hidden is None else self.hidden.to(device, non_blocking=True),
        )
