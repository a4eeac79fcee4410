"""What a fit by gradient minimises: the loss of the heads, and what the recipe asks for beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from metier.errors import RecipeError
from metier.models.batch import Batch
from metier.models.machine import Machine
from metier.models.network import Network
from metier.recipe import Recipe, RegularisePart
from metier.tasks.task import IGNORE, Task
from metier.train import adversarial
from metier.train.distil import Teaching
from metier.train.methods import METHODS

Logits = Mapping[str, Tensor]


@dataclass(frozen=True)
class Terms:
    """What the objective is made of. `options` of each head's loss, `weights` of the heads (None: learned)."""

    network: Network
    machine: Machine
    options: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, float | None]
    regularise: RegularisePart = field(default_factory=RegularisePart)
    teacher: Teaching | None = None
    """Whose answers are learned as well."""


def objective(terms: Terms, batch: Batch) -> Iterator[Tensor]:
    """The losses of a batch; backward is to be done on each before the next is asked for."""
    attack = adversarial.ATTACKS.get(terms.regularise.adversarial)
    if attack is None:
        yield loss(terms, batch)
        return
    network = terms.network

    def answers(perturbation: Tensor) -> Logits:
        with terms.machine.autocast():
            found: Logits = network(replace(batch, perturbation=perturbation))
            return found

    def judge(logits: Logits) -> Tensor:
        return network.judge(logits, batch, terms.options, terms.weights)

    yield from attack(
        adversarial.Scene(
            network,
            terms.machine,
            batch,
            terms.regularise,
            learn=lambda perturbation: learned(terms, replace(batch, perturbation=perturbation)),
            answers=answers,
            judge=judge,
            apart=lambda logits, others: divergence(network, batch, logits, others),
        )
    )


def loss(terms: Terms, batch: Batch) -> Tensor:
    """The loss of the heads on a batch, with R-Drop, mixup and the supervised contrastive term where asked."""
    return learned(terms, batch)[0]


def learned(terms: Terms, batch: Batch) -> tuple[Tensor, Logits]:
    """`loss`, and what the heads say of the batch as it is."""
    network, settings = terms.network, terms.regularise
    with terms.machine.autocast():
        hidden = network.encode(batch)
        pooled = network.pool(hidden, batch.mask)
        logits = network.answer(hidden, batch, pooled)
        losses = network.losses(logits, batch, terms.options)
        if settings.mixup:
            losses |= _mixed(terms, batch, hidden, pooled)
        if settings.supcon:
            for name, contrast in _contrasts(network, batch, pooled, settings.supcon_temperature).items():
                losses[name] = (1.0 - settings.supcon) * losses[name] + settings.supcon * contrast
        found = network.joined(losses, terms.weights)
        if settings.r_drop:
            found = _twice(terms, batch, found, logits)
        if terms.teacher is not None:
            found = terms.teacher.loss(network, batch, logits, found)
    return found, logits


def _twice(terms: Terms, batch: Batch, found: Tensor, logits: Logits) -> Tensor:
    """R-Drop (Liang, Wu et al. 2021, eq. 4): a second pass, whose dropout is another, shall say the same.

    Half of the paper's sum `loss + loss + alpha * (KL + KL) / 2`, so that a loss stays as large as without it.
    """
    network = terms.network
    again = network(batch)
    second = network.judge(again, batch, terms.options, terms.weights)
    both = divergence(network, batch, logits, again) + divergence(network, batch, again, logits)
    return 0.5 * (found + second + terms.regularise.r_drop * 0.5 * both)


def divergence(network: Network, batch: Batch, logits: Logits, others: Logits) -> Tensor:
    """The mean divergence of two answers to a batch, over its rows, added up over the heads.

    Of a head that answers per token it is the mean over the tokens that it has to answer for: those with a target,
    and in rows without any all of them.
    """
    total = batch.mask.new_zeros((), dtype=torch.float32)
    for name, task in network.tasks.items():
        each = task.divergence(logits[name], others[name])
        total = total + (each[_asked(batch, name)].mean() if task.per_token else each.mean())
    return total


def _asked(batch: Batch, name: str) -> Tensor:
    """Where a head has to answer, `(rows, length)`."""
    there = batch.present.get(name)
    if there is None or not bool(there.any()):
        return batch.mask
    asked = batch.mask.clone()
    asked[there] &= batch.targets[name] != IGNORE
    return asked if bool(asked.any()) else batch.mask


def _mixed(terms: Terms, batch: Batch, hidden: Tensor, pooled: Tensor) -> dict[str, Tensor]:
    """Mixup (Zhang et al. 2018) of pooled vectors, just before the head (Guo et al. 2019), for heads that allow it.

    Row i becomes `share * i + (1 - share) * j`, its loss the same mixture of the losses against both targets, where j
    is another row that has a target for the head and `share` is drawn from Beta(alpha, alpha), once a batch.
    """
    alpha = torch.tensor(terms.regularise.mixup)
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    found = {}
    for (name, task), head in zip(terms.network.tasks.items(), terms.network.heads, strict=True):
        there = batch.present[name]
        if not mixes(task) or not bool(there.any()):
            continue
        rows, targets, options = pooled[there], batch.targets[name], terms.options[name]
        order = torch.randperm(len(rows)).to(rows.device)
        logits = head(hidden[there], batch.mask[there], share * rows + (1.0 - share) * rows[order])
        ours, theirs = task.loss(logits, targets, options), task.loss(logits, targets[order], options)
        found[name] = share * ours + (1.0 - share) * theirs
    return found


def _contrasts(network: Network, batch: Batch, pooled: Tensor, temperature: float) -> dict[str, Tensor]:
    """The supervised contrastive loss (Gunel et al. 2021, eq. 2-3) of every head with one class a row."""
    vectors = torch.nn.functional.normalize(pooled.float(), dim=-1)
    return {
        name: supervised_contrast(vectors[batch.present[name]], batch.targets[name], temperature)
        for name, task in network.tasks.items()
        if contrasts(task) and bool(batch.present[name].any())
    }


def supervised_contrast(vectors: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Khosla et al. (2020), eq. 2, of unit vectors `(rows, width)` with classes `(rows,)`; the mean over anchors.

    A row without a partner of its class is no anchor; without any anchor the loss is 0.
    """
    same = (targets[:, None] == targets[None, :]) & (targets >= 0)[:, None]
    return weighted_contrast(vectors, same.float(), temperature)


def weighted_contrast(vectors: Tensor, alike: Tensor, temperature: float) -> Tensor:
    """The same where partners are so by degrees, `alike` `(rows, rows)` in 0 to 1: each counts by its degree."""
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    similar = (vectors @ vectors.T / temperature).float().masked_fill(itself, -torch.inf)
    weights = alike.masked_fill(itself, 0.0)
    anchors = weights.sum(1) > 0
    if not bool(anchors.any()):
        return vectors.sum() * 0.0
    logged = similar.log_softmax(1).masked_fill(itself, 0.0)
    return -((weights * logged).sum(1)[anchors] / weights.sum(1)[anchors]).mean()


# -- what goes with what -----------------------------------------------------------------------------------------
def mixes(task: Task) -> bool:
    """Whether a head sees nothing but the pooled vector, and its loss is one of single rows."""
    return not task.per_token and not task.special_tokens and not task.separate


def contrasts(task: Task) -> bool:
    """Whether a row has one class."""
    return task.kind in ("classify", "relate")


def focuses(task: Task) -> bool:
    """Whether the loss is a cross entropy, over whose examples focal loss turns its eye."""
    return task.kind in ("classify", "relate", "multilabel", "mention") or (task.per_token and task.independent)


def asked(recipe: Recipe) -> list[str]:
    """The keys of the recipe that change what is minimised."""
    settings = recipe.regularise
    keys = {
        "regularise.adversarial": settings.adversarial != "none",
        "regularise.r_drop": settings.r_drop,
        "regularise.supcon": settings.supcon,
        "regularise.mixup": settings.mixup,
        "train.focal": recipe.train.focal,
    }
    return [key for key, on in keys.items() if on]


NEEDS = {
    "regularise.supcon": (contrasts, "classify or relate"),
    "regularise.mixup": (mixes, "classify, multilabel or score"),
    "train.focal": (focuses, "classify, relate, multilabel, mention or (without a CRF) tag"),
}
"""What a head must be like for a term to mean anything, and the kinds that are."""


CONTRASTED = ("classify", "relate", "multilabel", "score")
"""The tasks that have a vector a text, and targets by which texts are alike."""


def require_steps(recipe: Recipe) -> None:
    """Raises `RecipeError` for terms that the method of a recipe has no use for."""
    keys, method = asked(recipe), METHODS.get(recipe.train.method)
    if keys and method is not None and not method.joint:
        steep = ", ".join(name for name, one in METHODS.items() if one.joint)
        raise RecipeError(
            f"The method {method.name!r} has no use for {' and '.join(keys)}: its heads go without gradient steps.",
            expected=f"a method that goes by gradient: {steep}",
        )


def require_use(recipe: Recipe, heads: Mapping[str, Task]) -> None:
    """Raises `RecipeError` for terms that no head of a recipe has a use for."""
    unfit = [f"{name} ({task.kind})" for name, task in heads.items() if task.kind not in CONTRASTED]
    if recipe.train.method == "contrastive" and unfit:
        raise RecipeError(
            f"The method 'contrastive' cannot fit {', '.join(unfit)}.",
            expected=f"heads that answer for a text as a whole: {', '.join(CONTRASTED)}",
            hint="--method full",
        )
    keys = asked(recipe)
    idle = [key for key in keys if key in NEEDS and not any(NEEDS[key][0](task) for task in heads.values())]
    if idle:
        kinds = ", ".join(f"{name} ({task.kind})" for name, task in heads.items())
        raise RecipeError(
            f"{' and '.join(idle)} would do nothing: the heads are {kinds}.",
            expected="; ".join(f"for {key} a head of the kind {NEEDS[key][1]}" for key in idle),
        )
