"""The modules that tasks put on an encoder, and the losses that they share. Imported only to fit or to run in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from metier.tasks.task import IGNORE

DROPOUT = 0.1


class Pooled(nn.Module):
    """Dropout and one linear layer on the pooled vector: `(rows, width)` to `(rows, labels)`."""

    def __init__(self, width: int, labels: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, labels)

    def forward(self, hidden: Tensor, mask: Tensor, pooled: Tensor, **inputs: Tensor) -> Tensor:
        """Logits `(rows, labels)`."""
        logits: Tensor = self.out(self.dropout(pooled))
        return logits


def cross_entropy(logits: Tensor, targets: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Mean cross entropy of `(n, labels)` over the targets that are not `IGNORE`; 0 where there is none.

    `options` may hold `label_smoothing` (Szegedy et al. 2016) and `class_weights` `(labels,)`.
    """
    weights = weights_of(options, logits)
    smoothing = float(options.get("label_smoothing") or 0.0)
    total = functional.cross_entropy(
        logits.float(), targets, weight=weights, ignore_index=IGNORE, label_smoothing=smoothing, reduction="sum"
    )
    kept = (targets != IGNORE).float()
    if weights is not None:
        kept = kept * weights[targets.clamp_min(0)]
    return total / kept.sum().clamp_min(1e-12)


def weights_of(options: Mapping[str, Any], logits: Tensor) -> Tensor | None:
    """The class weights of `options` where the logits are, or `None`."""
    weights = options.get("class_weights")
    return None if weights is None else torch.as_tensor(weights, dtype=torch.float32, device=logits.device)
