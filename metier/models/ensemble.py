"""Several networks with the same heads that answer as one (deep ensembles; Lakshminarayanan et al. 2017)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from metier.models.batch import Batch
from metier.models.network import Network
from metier.models.table import VECTOR
from metier.tasks.task import Task


class Ensemble(nn.Module):
    """Networks whose answers are averaged, head by head, as each task averages.

    Members with the same encoder share it: it is in memory once and computed once.

    Args:
        members: at least one; they get the tasks of the first.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        first = members[0]
        for member in members[1:]:
            member.tasks = first.tasks
            if _same(member.encoder, first.encoder):
                member.encoder = first.encoder
        self.members = nn.ModuleList(members)

    @property
    def networks(self) -> list[Network]:
        """The members, the first before all."""
        return [member for member in self.members if isinstance(member, Network)]

    @property
    def tasks(self) -> dict[str, Task]:
        """The heads by name."""
        return self.networks[0].tasks

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.networks[0].device

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The logits of every head, of the shape that a single network's have, and the vectors of the first member."""
        answers, first = [], self.networks[0]
        hidden = first.encode(batch)
        for member in self.networks:
            own = hidden if member.encoder is first.encoder else member.encode(batch)
            answers.append(member.answer(own, batch))
        found = {
            name: task.average(torch.stack([answer[name] for answer in answers])) for name, task in self.tasks.items()
        }
        return {**found, VECTOR: answers[0][VECTOR]}


def networks_of(whole: Network | Ensemble) -> list[Network]:
    """The members of an ensemble, or the one network that there is."""
    return whole.networks if isinstance(whole, Ensemble) else [whole]


def own_weights(first: Network, member: Network) -> dict[str, Tensor]:
    """The weights of a member that are not those of the first, by name, where a file can take them."""
    shared = first.state_dict()
    differing = {name: own for name, own in member.state_dict().items() if not torch.equal(own, shared[name])}
    return {name: own.detach().cpu().contiguous() for name, own in differing.items()}


def assembled(first: Network, others: Iterable[Mapping[str, Tensor]]) -> Ensemble:
    """The ensemble of a network and of copies of it with the weights that `own_weights` named.

    A copy shares the memory of all other weights with the first.
    """
    shared, members = first.state_dict(), [first]
    for own in others:
        member = copy.deepcopy(first)
        here = {name: tensor.to(first.device) for name, tensor in own.items()}
        member.load_state_dict({**shared, **here}, assign=True)
        members.append(member)
    return Ensemble(members)


def _same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
