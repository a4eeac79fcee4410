"""Adversarial training: worst perturbations of the embeddings within a radius, and learning under them.

Every attack is a generator of losses. Backward is done on each before it goes on. Perturbations are measured by the
norm over all tokens of a row, in tenths of the mean norm of an embedding times the square root of the row's length, so
that one radius suits every backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metier.models.network import Network
from metier.models.table import Batch
from metier.recipe import RegularisePart


@dataclass(frozen=True)
class Scene:
    """What an attack works on.

    `under` gives the loss of the batch under a perturbation (None: without), `moved` the divergence of what the heads
    say under one from given logits.
    """

    network: Network
    batch: Batch
    settings: RegularisePart
    under: Callable[[Tensor | None], Tensor]
    moved: Callable[[Tensor, Mapping[str, Tensor]], Tensor]

    def radius(self) -> Tensor:
        """Of each row, `(rows, 1, 1)`."""
        width = self.network.encoder.words.weight
        norm = width[self.batch.ids[self.batch.mask]].detach().norm(dim=-1).mean()
        if self.batch.hidden is not None:
            norm = self.batch.hidden[self.batch.mask].norm(dim=-1).mean()
        lengths = self.batch.mask.sum(1).to(norm.dtype)
        radius: Tensor = self.settings.radius * 0.1 * norm * lengths.sqrt()
        return radius[:, None, None]

    def start(self, share: float) -> Tensor:
        """A random perturbation of `share` of the radius, which wants a gradient."""
        shape = (*self.batch.ids.shape, self.network.encoder.width)
        noise = torch.randn(shape, device=self.batch.ids.device) * self.batch.mask[..., None]
        return (noise * (share * self.radius() / _norm(noise))).requires_grad_(True)

    def project(self, perturbation: Tensor) -> Tensor:
        """Back into the ball, as a new leaf."""
        norm, radius = _norm(perturbation), self.radius()
        return (perturbation * torch.clamp(radius / norm, max=1.0)).detach().requires_grad_(True)


def fgm(scene: Scene) -> Iterator[Tensor]:
    """The fast gradient method (Miyato, Dai & Goodfellow 2017): one step of full length up the loss."""
    still = _still(scene)
    yield scene.under(still)
    gradient = _taken(still)
    yield scene.under(gradient * (scene.radius() / _norm(gradient)))


def pgd(scene: Scene) -> Iterator[Tensor]:
    """Projected gradient descent (Madry et al. 2018): several steps up the loss, each put back into the ball."""
    yield scene.under(None)
    perturbation = scene.start(0.5)
    for _ in range(scene.settings.ascents):
        (gradient,) = torch.autograd.grad(scene.under(perturbation), perturbation)
        perturbation = scene.project(_up(scene, perturbation, gradient))
    yield scene.under(perturbation.detach())


def freelb(scene: Scene) -> Iterator[Tensor]:
    """Free large-batch training (Zhu et al. 2020, algorithm 1): every step up the loss is learned from.

    As there, dropout draws one mask for all steps of a batch: torch's generator starts each from the same state.
    """
    steps = scene.settings.ascents
    perturbation = scene.start(0.5)
    generator = torch.get_rng_state()
    for _ in range(steps):
        torch.set_rng_state(generator)
        yield scene.under(perturbation) / steps
        perturbation = scene.project(_up(scene, perturbation, _taken(perturbation)))


def vat(scene: Scene) -> Iterator[Tensor]:
    """Virtual adversarial training (Miyato et al. 2018): the direction that changes answers most, by power iteration.

    It needs no labels: rows without a target are learned from as well.
    """
    yield scene.under(None)
    with torch.no_grad():
        logits = {name: found.detach() for name, found in scene.network(scene.batch).items()}
    perturbation = scene.start(0.1)
    for _ in range(max(1, scene.settings.ascents - 1)):
        (gradient,) = torch.autograd.grad(scene.moved(perturbation, logits), perturbation)
        perturbation = (gradient * (scene.radius() * 0.1 / _norm(gradient))).requires_grad_(True)
    worst = perturbation.detach() * (scene.radius() / _norm(perturbation.detach()))
    yield scene.moved(worst, logits)


ATTACKS: dict[str, Callable[[Scene], Iterator[Tensor]]] = {"fgm": fgm, "pgd": pgd, "freelb": freelb, "vat": vat}


def _still(scene: Scene) -> Tensor:
    """A perturbation of nothing whose gradient is that of the embeddings."""
    shape = (*scene.batch.ids.shape, scene.network.encoder.width)
    return torch.zeros(shape, device=scene.batch.ids.device, requires_grad=True)


def _up(scene: Scene, perturbation: Tensor, gradient: Tensor) -> Tensor:
    """One step along the gradient, of such a length that all steps together can cross the ball."""
    length = scene.radius() * (1.5 / scene.settings.ascents)
    return perturbation.detach() + gradient * (length / _norm(gradient))


def _taken(perturbation: Tensor) -> Tensor:
    """The gradient that backward left, on nothing that the next pass will touch."""
    return torch.zeros_like(perturbation) if perturbation.grad is None else perturbation.grad.detach()


def _norm(perturbation: Tensor) -> Tensor:
    """Of each row, over tokens and width, `(rows, 1, 1)`."""
    norm: Tensor = perturbation.flatten(1).norm(dim=1).clamp_min(1e-12)
    return norm[:, None, None]
