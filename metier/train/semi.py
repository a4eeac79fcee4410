"""Learning from texts without labels: which guesses are taken for labels, and what else such texts can teach.

Pseudo-labels (Lee 2013) and self-training (Yarowsky 1995; Xie et al. 2020) take over what the model is sure of.
Consistency training (unsupervised data augmentation; Xie et al. 2020) asks that a text and a changed copy of it are
given the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from metier.data.batches import by_length
from metier.models.batch import Batch
from metier.models.table import Table
from metier.recipe import SemiPart
from metier.train.loop import Source
from metier.train.objective import Terms, loss
from metier.types import Example, Target

RATIO = 3
"""Unlabelled texts for each labelled one in a batch, at most."""
SHARP = 0.4
"""The temperature of what is said of a text before its copy is held to it; the paper's."""


def confidence(settings: SemiPart, done: float) -> float:
    """The score that a guess needs when the share `done` of the rounds or epochs is over."""
    return settings.confidence + (settings.confidence_end - settings.confidence) * min(1.0, max(0.0, done))


def sure(
    scores: np.ndarray, threshold: float, guesses: Sequence[Hashable] = (), known: Sequence[Hashable] = ()
) -> np.ndarray:
    """The places `(k,)` of the guesses that may be taken for labels, in their order.

    A class gets no more of them than its share of the labelled texts, the surest first: else the classes that are easy
    would grow with every round, and take over.

    Args:
        scores: how probably each guess is right, `(n,)`.
        threshold: the score that one needs.
        guesses: the class of each; without them there is no share.
        known: the classes of the labelled texts.
    """
    found = np.flatnonzero(scores >= threshold)
    if not len(guesses):
        return found
    counts = Counter(known)
    room = {label: max(1, ceil(count / len(known) * len(found))) for label, count in counts.items()}
    taken: Counter[Hashable] = Counter()
    kept = []
    for place in found[np.argsort(-scores[found], kind="stable")].tolist():
        if taken[guesses[place]] < room.get(guesses[place], 1):
            taken[guesses[place]] += 1
            kept.append(place)
    return np.array(sorted(kept), dtype=np.int64)


@dataclass(frozen=True)
class Beside:
    """Texts without labels that a fit by gradient hears of, and how.

    Args:
        table: the texts.
        settings: `pseudo` or `uda`, and when a guess counts.
        size: rows and tokens of a batch at most.
        label: for `pseudo`, the targets that the network as it is gives each text at the beginning of an epoch.
        change: for `uda`, a batch of changed copies of some rows, whose every token stands for the same token where a
            head answers per token; the second argument is a seed.
    """

    table: Table
    settings: SemiPart
    size: tuple[int, int]
    label: Callable[[int, float], Sequence[Mapping[str, Target]]]
    change: Callable[[np.ndarray, int], Batch]


@dataclass
class Accompanied(Batch):
    """A labelled batch with batches of unlabelled texts, each with its changed copy or, for `pseudo`, its guesses."""

    others: Sequence[tuple[Batch, Batch | None]] = ()


class Joint:
    """The batches of a fit with unlabelled texts dealt out to them: up to `RATIO` for each labelled one.

    Where there are more of them than an epoch can take, another sample of them comes with every epoch.

    Args:
        labelled: the batches of the labelled texts.
        units: how many there are: in a plan, numbers from here on are rows of the other table.
        beside: the other texts.
        epochs: of the whole fit.
        seed: of the recipe.
    """

    def __init__(self, labelled: Source, units: int, beside: Beside, epochs: float, seed: int) -> None:
        self.labelled, self.units, self.beside, self.epochs, self.seed = labelled, units, beside, epochs, seed
        self.threshold = beside.settings.confidence
        """The score that a guess needs in the epoch that was planned last."""

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The labelled batches of an epoch, each followed by its share of the unlabelled rows."""
        self.threshold = confidence(self.beside.settings, epoch / max(1.0, self.epochs - 1.0))
        batches = self.labelled.plan(epoch)
        chosen = np.random.default_rng((self.seed, epoch)).permutation(self._chosen(epoch)) + self.units
        each = min(RATIO * self.beside.size[0], -(-len(chosen) // len(batches)))
        return [np.concatenate([own, chosen[at * each : (at + 1) * each]]) for at, own in enumerate(batches)]

    def _chosen(self, epoch: int) -> np.ndarray:
        table = self.beside.table
        if self.beside.settings.method == "uda":  # a changed copy is compared window by window: with the first alone
            return np.unique(table.rows.owner, return_index=True)[1]
        targets = self.beside.label(epoch, self.threshold)
        table.label([Example(document, own) for document, own in zip(table.documents, targets, strict=True)])
        return np.flatnonzero(np.any(list(table.present.values()), axis=0))

    def batch(self, units: np.ndarray) -> Accompanied:
        """One labelled batch with what is beside it, where the network is."""
        rows = units[units >= self.units] - self.units
        first = self.labelled.batch(units[units < self.units])
        device, table = first.ids.device, self.beside.table
        others: list[tuple[Batch, Batch | None]] = []
        size, tokens = self.beside.size
        for part in by_length(table.lengths[rows], size=size, tokens=tokens):
            plain = table.batch(rows[part]).to(device)
            changed = None
            if self.beside.settings.method == "uda":
                seed = int(torch.randint(2**31, ()))  # from the generator that a checkpoint holds
                changed = self.beside.change(rows[part], seed).to(device)
            others.append((plain, changed))
        return Accompanied(**vars(first), others=others)


def heard(terms: Terms, joint: Joint, first: Callable[[Batch], Iterable[Tensor]], batch: Batch) -> Iterator[Tensor]:
    """The losses of the labelled batch as they would be without others, then those of the others."""
    yield from first(batch)
    assert isinstance(batch, Accompanied)
    for plain, changed in batch.others:
        found = loss(terms, plain) if changed is None else consistency(terms, plain, changed, joint.threshold)
        yield joint.beside.settings.weight / len(batch.others) * found


def consistency(terms: Terms, plain: Batch, changed: Batch, threshold: float) -> Tensor:
    """How far what is said of changed copies is from what is said of the texts, where that is sure (Xie et al. 2020).

    Of the texts' answers no gradient is taken; they are sharpened. The mean is over all rows, sure or not.
    """
    network = terms.network
    with terms.machine.autocast():
        with torch.no_grad():
            said = network(plain)
        again = network(changed)
    total = plain.mask.new_zeros((), dtype=torch.float32)
    for name, task in network.tasks.items():
        wanted = said[name] / (SHARP if task.labels else 1.0)
        apart = task.divergence(wanted, again[name]) * (task.sureness(said[name]) >= threshold)
        total = total + (apart[plain.mask].mean() if task.per_token else apart.mean())
    return total


def blanked(batch: Batch, spared: Sequence[int], blank: int, share: float, seed: int) -> Batch:
    """A copy of a batch in which the id `blank` stands for a share of the tokens, but for those of the ids `spared`."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(batch.ids.shape, generator=generator) < share
    kept = torch.isin(batch.ids, torch.tensor(spared, dtype=batch.ids.dtype))
    return replace(batch, ids=torch.where(drawn & batch.mask & ~kept, blank, batch.ids))
