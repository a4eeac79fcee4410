"""Adversarial training: worst perturbations of the embeddings within a radius, and learning under them.

Every attack is a generator of losses. Backward is done on each before it goes on. Perturbations are measured by the
norm over all tokens of a row, in tenths of the mean norm of an embedding times the square root of the row's length, so
that one radius suits every backbone and every text. Where the states of frozen layers are cached, these are perturbed
in the place of embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from metier.models.batch import Batch
from metier.models.machine import Machine
from metier.models.network import Network
from metier.recipe import RegularisePart

Logits = Mapping[str, Tensor]
ASCENTS = {"pgd": 3, "freelb": 3, "vat": 1}
"""Where the recipe names none. Zhu et al. (2020) take 2 to 5 for FreeLB; one does for VAT (Miyato et al. 2018)."""


@dataclass(frozen=True)
class Scene:
    """What an attack works on.

    Args:
        learn: the whole loss of the batch under a perturbation (None: without), and what the heads say.
        answers: what the heads say under a perturbation.
        judge: the loss of the heads alone.
        apart: the divergence of two answers.
    """

    network: Network
    machine: Machine
    batch: Batch
    settings: RegularisePart
    learn: Callable[[Tensor | None], tuple[Tensor, Logits]]
    answers: Callable[[Tensor], Logits]
    judge: Callable[[Logits], Tensor]
    apart: Callable[[Logits, Logits], Tensor]

    @property
    def ascents(self) -> int:
        return self.settings.ascents or ASCENTS[self.settings.adversarial]

    @cached_property
    def states(self) -> Tensor:
        """What perturbations are added to, `(rows, length, width)`; some backbones embed in less than their width."""
        if self.batch.hidden is not None:
            return self.batch.hidden
        # The module is called, not its matrix read: rows of it may owe an update until they are looked up.
        with torch.no_grad():
            states: Tensor = self.network.encoder.words(self.batch.ids)
        return states

    @cached_property
    def radius(self) -> Tensor:
        """Of each row, `(rows, 1, 1)`."""
        norm = self.states[self.batch.mask].float().norm(dim=-1).mean()
        radius: Tensor = self.settings.radius * 0.1 * norm * self.batch.mask.sum(1).to(norm.dtype).sqrt()
        return radius[:, None, None]

    def inside(self) -> Tensor:
        """A random place in the ball: uniform in the cube that it touches with its corners (Zhu et al. 2020)."""
        cube = torch.rand(self.states.shape, device=self.batch.ids.device) * 2.0 - 1.0
        entries = (self.batch.mask.sum(1) * self.states.shape[2]).to(cube.dtype)[:, None, None]
        return (cube * self.batch.mask[..., None] * (self.radius / entries.sqrt())).requires_grad_(True)

    def direction(self) -> Tensor:
        """A random direction, as long as a tenth of the radius."""
        noise = torch.randn(self.states.shape, device=self.batch.ids.device) * self.batch.mask[..., None]
        return self.along(noise, 0.1).requires_grad_(True)

    def along(self, gradient: Tensor, share: float = 1.0) -> Tensor:
        """A direction at a share of the radius."""
        return gradient.detach() * (share * self.radius / _norm(gradient.detach()))

    def climb(self, perturbation: Tensor, gradient: Tensor) -> Tensor:
        """One step up the loss and back into the ball, as a new leaf; all steps together can cross the ball."""
        moved = perturbation.detach() + self.along(gradient, 1.5 / self.ascents)
        return (moved * torch.clamp(self.radius / _norm(moved), max=1.0)).requires_grad_(True)


def fgm(scene: Scene) -> Iterator[Tensor]:
    """The fast gradient method (Miyato, Dai & Goodfellow 2017): one step of full length up the loss.

    The gradient comes with the backward pass of the clean loss, to which the loss after the step is added.
    """
    still = torch.zeros(scene.states.shape, device=scene.batch.ids.device, requires_grad=True)
    yield scene.learn(still)[0]
    yield scene.judge(scene.answers(scene.along(_left(still))))


def pgd(scene: Scene) -> Iterator[Tensor]:
    """Projected gradient descent (Madry et al. 2018): several steps up the loss, each put back into the ball.

    The loss at their end is added to the clean one, as `fgm` does. All passes but the clean one drop the same units, so
    that what one climbs is what the next one stands on.
    """
    yield scene.learn(None)[0]
    perturbation, noise = scene.inside(), scene.machine.noise()
    for _ in range(scene.ascents):
        scene.machine.repeat(noise)
        gradient = _slope(scene.judge(scene.answers(perturbation)), perturbation)
        perturbation = scene.climb(perturbation, gradient)
    scene.machine.repeat(noise)
    yield scene.judge(scene.answers(perturbation.detach()))


def freelb(scene: Scene) -> Iterator[Tensor]:
    """Free large-batch training (Zhu et al. 2020, algorithm 1): every step up the loss is learned from.

    As there, dropout draws one mask for all steps of a batch.
    """
    perturbation, noise = scene.inside(), scene.machine.noise()
    for _ in range(scene.ascents):
        scene.machine.repeat(noise)
        yield scene.learn(perturbation)[0] / scene.ascents
        perturbation = scene.climb(perturbation, _left(perturbation))


def vat(scene: Scene) -> Iterator[Tensor]:
    """Virtual adversarial training (Miyato et al. 2018): the direction that changes answers most, by power iteration.

    Its loss, the divergence from the clean answer, is added to the clean loss. It needs no labels: rows without a
    target are learned from as well. All passes drop the same units: other masks would change answers more than a small
    perturbation does.
    """
    noise = scene.machine.noise()
    loss, clean = scene.learn(None)
    logits = {name: found.detach() for name, found in clean.items()}
    yield loss
    after, perturbation = scene.machine.noise(), scene.direction()
    for _ in range(scene.ascents):
        scene.machine.repeat(noise)
        gradient = _slope(scene.apart(logits, scene.answers(perturbation)), perturbation)
        perturbation = scene.along(gradient, 0.1).requires_grad_(True)
    scene.machine.repeat(noise)
    worst = scene.apart(logits, scene.answers(scene.along(perturbation)))
    scene.machine.repeat(after)
    yield worst


ATTACKS: dict[str, Callable[[Scene], Iterator[Tensor]]] = {"fgm": fgm, "pgd": pgd, "freelb": freelb, "vat": vat}


def _slope(loss: Tensor, perturbation: Tensor) -> Tensor:
    """The gradient of a loss, without those of the weights; zeros where no row has a target."""
    (gradient,) = torch.autograd.grad(loss, perturbation, allow_unused=True)
    return torch.zeros_like(perturbation) if gradient is None else gradient


def _left(perturbation: Tensor) -> Tensor:
    """The gradient that backward left; zeros where no row had a target."""
    return torch.zeros_like(perturbation) if perturbation.grad is None else perturbation.grad


def _norm(perturbation: Tensor) -> Tensor:
    """Of each row, over tokens and width, `(rows, 1, 1)`."""
    norm: Tensor = perturbation.flatten(1).norm(dim=1).clamp_min(1e-20)
    return norm[:, None, None]
