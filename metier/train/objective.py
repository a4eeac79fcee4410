"""What a fit by gradient minimises: the loss of the heads, and what the recipe asks for beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.table import Batch
from metier.recipe import RegularisePart
from metier.tasks.task import Task
from metier.train import adversarial


@dataclass(frozen=True)
class Terms:
    """What the objective is made of. `options` of each head's loss, `weights` of the heads (None: learned)."""

    network: Network
    machine: Machine
    options: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, float | None]
    regularise: RegularisePart = field(default_factory=RegularisePart)


def objective(terms: Terms, batch: Batch) -> Iterator[Tensor]:
    """The losses of a batch; backward is to be done on each before the next is asked for."""
    attack = adversarial.ATTACKS.get(terms.regularise.adversarial)
    if attack is None:
        yield loss(terms, batch)
        return

    def under(perturbation: Tensor | None) -> Tensor:
        return loss(terms, replace(batch, perturbation=perturbation))

    def moved(perturbation: Tensor, logits: Mapping[str, Tensor]) -> Tensor:
        with terms.machine.autocast():
            return divergence(terms.network, batch, logits, terms.network(replace(batch, perturbation=perturbation)))

    yield from attack(adversarial.Scene(terms.network, batch, terms.regularise, under, moved))


def loss(terms: Terms, batch: Batch) -> Tensor:
    """The loss of the heads on a batch, with R-Drop, mixup and the supervised contrastive term where asked."""
    network, settings = terms.network, terms.regularise
    with terms.machine.autocast():
        hidden = network.encode(batch)
        pooled = network.pool(hidden, batch.mask)
        logits = network.answer(hidden, batch, pooled)
        found = network.judge(logits, batch, terms.options, terms.weights)
        if settings.mixup:
            found = 0.5 * (found + _mixed(terms, batch, hidden, pooled))
        if settings.supcon:
            contrast = _contrast(network, batch, pooled, settings.supcon_temperature)
            found = (1.0 - settings.supcon) * found + settings.supcon * contrast
        if settings.r_drop:
            again = network(batch)
            found = 0.5 * (found + network.judge(again, batch, terms.options, terms.weights))
            both = divergence(network, batch, logits, again) + divergence(network, batch, again, logits)
            found = found + settings.r_drop * 0.5 * both
    return found


def divergence(network: Network, batch: Batch, logits: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Tensor:
    """The mean divergence of two answers to a batch: over its rows, of heads that answer per token over its tokens."""
    total = batch.mask.new_zeros((), dtype=torch.float32)
    for name, task in network.tasks.items():
        each = task.divergence(logits[name], others[name])
        total = total + (each[batch.mask].mean() if task.per_token else each.mean())
    return total


def _mixed(terms: Terms, batch: Batch, hidden: Tensor, pooled: Tensor) -> Tensor:
    """Mixup of pooled vectors (Zhang et al. 2018; in hidden space: Verma et al. 2019, Guo et al. 2019).

    Row i becomes `share * i + (1 - share) * j`, its loss the same mixture of the losses against both targets. Heads
    that read more than the pooled vector, and rows without a target, take no part.
    """
    network = terms.network
    alpha = torch.tensor(terms.regularise.mixup)
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    order = torch.randperm(len(pooled), device=pooled.device)
    logits = network.answer(hidden, batch, share * pooled + (1.0 - share) * pooled[order])
    losses = [pooled.sum() * 0.0]
    for name, task in network.tasks.items():
        if not _reads_pooled(task) or not bool(batch.present[name].all()):
            continue
        targets, options = batch.targets[name], terms.options[name]
        losses.append(share * task.loss(logits[name], targets, options))
        losses.append((1.0 - share) * task.loss(logits[name], targets[order], options))
    return torch.stack(losses).sum()


def _reads_pooled(task: Task) -> bool:
    return not task.per_token and not task.special_tokens and not task.separate


def _contrast(network: Network, batch: Batch, pooled: Tensor, temperature: float) -> Tensor:
    """The supervised contrastive loss of Gunel et al. (2021, eq. 2-3), over every head with one class a row.

    A row without a partner of its class in the batch has no term; without any partner the loss is 0.
    """
    vectors = torch.nn.functional.normalize(pooled.float(), dim=-1)
    losses = [pooled.sum() * 0.0]
    for name, task in network.tasks.items():
        if task.kind not in ("classify", "relate"):
            continue
        there, targets = batch.present[name], batch.targets[name]
        losses.append(supervised_contrast(vectors[there], targets, temperature))
    return torch.stack(losses).sum()


def supervised_contrast(vectors: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Khosla et al. (2020), eq. 2, of unit vectors `(rows, width)` with classes `(rows,)`; the mean over anchors."""
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    similar = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
    partners = (targets[:, None] == targets[None, :]) & ~itself & (targets >= 0)[:, None]
    anchors = partners.any(1)
    if not bool(anchors.any()):
        return vectors.sum() * 0.0
    logged = similar.log_softmax(1).masked_fill(~partners, 0.0)
    return -(logged.sum(1)[anchors] / partners.sum(1)[anchors]).mean()
