"""One encoder, several heads, one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metier.models.batch import Batch
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.models.table import VECTOR
from metier.tasks.task import Task


class Network(nn.Module):
    """An encoder with the heads of some tasks on top.

    Args:
        encoder: the backbone.
        tasks: the heads by name; their order is the order of the weights.
        pooling: `mean` over the tokens of a row, or `cls`, its first token.
    """

    def __init__(self, encoder: Encoder | HubEncoder, tasks: Mapping[str, Task], *, pooling: str = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.tasks = dict(tasks)
        self.pooling = pooling
        self.heads = nn.ModuleList(task.head(encoder.width) for task in tasks.values())
        self.log_variance = nn.Parameter(torch.zeros(len(tasks)))
        self.frozen = 0
        """Layers whose states come from `Batch.hidden`, where a batch has them."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Logits of every head, `(rows, labels)` or `(rows, length, labels)`."""
        return self.answer(self.encode(batch), batch)

    def encode(self, batch: Batch) -> Tensor:
        """Hidden states of the last layer, `(rows, length, width)`."""
        if batch.hidden is None:
            hidden: Tensor = self.encoder(batch.ids, batch.mask, batch.types, perturbation=batch.perturbation)
            return hidden
        entering = batch.hidden if batch.perturbation is None else batch.hidden + batch.perturbation
        hidden = self.encoder(batch.ids, batch.mask, batch.types, start=self.frozen, hidden=entering)
        return hidden

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """`(rows, length, width)` to `(rows, width)`."""
        if self.pooling == "cls":
            return hidden[:, 0]
        weights = mask.to(hidden.dtype)
        summed = torch.bmm(weights.unsqueeze(1), hidden).squeeze(1)
        return summed / weights.sum(dim=1, keepdim=True)

    def answer(self, hidden: Tensor, batch: Batch, pooled: Tensor | None = None) -> dict[str, Tensor]:
        """The logits of every head from hidden states, and from other pooled vectors than theirs where given.

        Beside them, as `VECTOR`, the pooled vectors themselves, `(rows, width)`.
        """
        pooled = self.pool(hidden, batch.mask) if pooled is None else pooled
        found = {
            name: head(hidden, batch.mask, pooled, **batch.inputs.get(name, {}))
            for name, head in zip(self.tasks, self.heads, strict=True)
        }
        return {**found, VECTOR: pooled}

    def loss(
        self, batch: Batch, options: Mapping[str, Mapping[str, Any]], weights: Mapping[str, float | None]
    ) -> Tensor:
        """The loss of a batch over the heads for which it has targets."""
        return self.judge(self(batch), batch, options, weights)

    def judge(
        self,
        logits: Mapping[str, Tensor],
        batch: Batch,
        options: Mapping[str, Mapping[str, Any]],
        weights: Mapping[str, float | None],
    ) -> Tensor:
        """The loss of logits against the targets of their batch: `losses`, `joined`."""
        return self.joined(self.losses(logits, batch, options), weights)

    def losses(
        self, logits: Mapping[str, Tensor], batch: Batch, options: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Tensor]:
        """The loss of every head that the batch has a target for."""
        found = {}
        for name, task in self.tasks.items():
            there = batch.present[name]
            if bool(there.any()):
                rows = logits[name] if bool(there.all()) else logits[name][there]
                found[name] = task.loss(rows, batch.targets[name], options[name])
        return found

    def joined(self, losses: Mapping[str, Tensor], weights: Mapping[str, float | None]) -> Tensor:
        """The losses of heads as one.

        Heads without a weight of their own are balanced by the uncertainty of their task (Kendall, Gal & Cipolla
        2018, eq. 7 in its log-variance form): `exp(-s) * loss + s / 2` with a learned `s`.
        """
        parts = []
        for index, name in enumerate(self.tasks):
            if name not in losses:
                continue
            loss, weight = losses[name], weights[name]
            if weight is None and len(self.tasks) > 1:
                loss = torch.exp(-self.log_variance[index]) * loss + 0.5 * self.log_variance[index]
            parts.append(loss if weight is None else weight * loss)
        return torch.stack(parts).sum() if parts else self.log_variance.sum() * 0.0

    def freeze(self, layers: int) -> None:
        """Stops gradients of the embeddings and of the lowest `layers` layers (all: of the whole encoder)."""
        self.frozen = layers
        if isinstance(self.encoder, HubEncoder):
            self.encoder.freeze(layers) if layers < self.encoder.depth else self.encoder.requires_grad_(False)
            return
        for part in (self.encoder.words, self.encoder.places, self.encoder.kinds, self.encoder.norm):
            if part is not None:
                part.requires_grad_(False)
        for layer in self.encoder.layers[:layers]:
            layer.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.log_variance.device
