"""A network with fewer layers that is held to what a larger one says, and to what it thinks on the way.

Each layer of the student stands for one of the teacher's, whose hidden states it is to reproduce (Romero et al. 2015;
TinyBERT: Jiao et al. 2020, the mean squared error; DistilBERT: Sanh et al. 2019, the cosine). The teacher answers
batch by batch beside the student, so that no states are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.errors import BackboneError
from metier.models.batch import Batch
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.models.machine import Machine
from metier.models.network import Network
from metier.train.distil import LABELS, softened

Measure = Literal["mse", "cosine"]


class Tap:
    """The states after some layers of an encoder, `(tokens, width)`, as its next forward passes compute them.

    Args:
        encoder: whose layers are listened to until `close`.
        layers: their numbers; the first is 1.
        learning: whether only passes with gradients are of interest: those of a fit, not of an evaluation.
    """

    def __init__(self, encoder: Encoder | HubEncoder, layers: Sequence[int], *, learning: bool) -> None:
        stack, self.learning = layers_of(encoder), learning
        self._states: dict[int, Tensor] = {}
        self._hooks = [stack[layer - 1].register_forward_hook(self._hear(layer)) for layer in layers]

    def _hear(self, layer: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if torch.is_grad_enabled() or not self.learning:
                self._states[layer] = output[0] if isinstance(output, tuple) else output

        return hook

    def take(self, mask: Tensor) -> dict[int, Tensor]:
        """The states of the last pass over `mask`, `(rows, length)`, without padding; they are then forgotten."""
        found, self._states = self._states, {}
        return {layer: _real(states, mask) for layer, states in found.items()}

    def close(self) -> None:
        """Stops listening."""
        for hook in self._hooks:
            hook.remove()


def layers_of(encoder: Encoder | HubEncoder) -> nn.ModuleList:
    """The layers of an encoder. Raises `BackboneError` where they cannot be told apart."""
    if isinstance(encoder, Encoder):
        return encoder.layers
    stacks = [item for item in encoder.model.modules() if isinstance(item, nn.ModuleList) and len(item)]
    found = [item for item in stacks if len(item) == encoder.depth]
    if not found:
        raise BackboneError(f"The layers of a {encoder.model.config.model_type} cannot be told apart.")
    return found[0]


def _real(states: Tensor, mask: Tensor) -> Tensor:
    """The states of tokens alone: our encoder leaves padding out while it learns, and computes it otherwise."""
    flat, there = states.reshape(-1, states.shape[-1]), mask.reshape(-1)
    return flat[there] if len(flat) == len(there) else flat


@dataclass(frozen=True)
class Matching:
    """What is asked of a student.

    Args:
        hidden: the weight of the mean distance of its states from the teacher's; 0: only answers count.
        measure: of that distance; see `apart`.
        temperature: as of `Teacher`.
        labels: as of `Teacher`.
    """

    hidden: float = 1.0
    measure: Measure = "mse"
    temperature: float = 2.0
    labels: float = LABELS


class Tutor:
    """A teacher that sits beside its student: it answers every batch as it comes, and compares their hidden states.

    Args:
        teacher: stays as it is.
        student: of the same width and with the same heads.
        layers: of the teacher, counted from 1: the one that each layer of the student stands for.
        machine: where both compute.
        asked: what counts how much.
    """

    def __init__(
        self, teacher: Network, student: Network, layers: Sequence[int], machine: Machine, asked: Matching
    ) -> None:
        self.teacher, self.machine, self.asked = teacher.eval(), machine, asked
        self.pairs = list(enumerate(layers, 1))
        self._theirs = Tap(teacher.encoder, layers, learning=False)
        self._own = Tap(student.encoder, [own for own, _ in self.pairs], learning=True)

    def loss(self, network: Network, batch: Batch, logits: Mapping[str, Tensor], own: Tensor) -> Tensor:
        """As `Teacher.loss`, with `hidden` times the distance of the states of the pass that gave the logits."""
        with torch.no_grad(), self.machine.autocast():
            wanted = self.teacher(replace(batch, perturbation=None))
        theirs, states = self._theirs.take(batch.mask), self._own.take(batch.mask)
        total = softened(network.tasks, batch, (wanted, logits), own, self.asked)
        if not self.asked.hidden or not states:
            return total
        found = [apart(states[layer], theirs[other], self.asked.measure) for layer, other in self.pairs]
        return total + self.asked.hidden * torch.stack(found).mean()

    def close(self) -> None:
        """Ends the lesson: both networks are as they would be without it."""
        self._own.close()
        self._theirs.close()


def apart(states: Tensor, others: Tensor, measure: Measure) -> Tensor:
    """How far `states` are from those of the teacher, both `(tokens, width)`; 0 where they are the same.

    `mse`: the mean squared error as a share of the mean square of the teacher's states, so that its weight means the
    same in every layer and for every backbone. `cosine`: 1 minus the mean cosine.
    """
    mine, wanted = states.float(), others.float()
    if measure == "cosine":
        return (1.0 - F.cosine_similarity(mine, wanted, dim=-1)).mean()
    return F.mse_loss(mine, wanted) / wanted.square().mean().clamp_min(1e-12)
