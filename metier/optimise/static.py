"""A student without layers: a text is the weighted mean of the vectors of its tokens (and of pairs of them).

The vectors start as what the teacher says of each token alone (model2vec: Tulkens & van Dongen 2024), with fewer
dimensions (principal components) and weights by frequency (SIF: Arora, Liang & Ma 2017). Then all of it is fitted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.errors import RecipeError
from metier.models.bags import Bags
from metier.models.batch import Batch
from metier.models.encoder import Encoder
from metier.models.network import Network
from metier.models.table import Arrays, Table
from metier.models.tokeniser import Tokeniser
from metier.tasks.heads import Pooled, Same
from metier.tasks.task import Task

EPS = 1e-6
CHUNK = 1024


@dataclass(frozen=True)
class Plan:
    """What a static student is made of.

    Args:
        width: of the vectors; 0: as wide as the teacher's.
        buckets: for pairs of neighbouring tokens; 0: the order of words does not count.
        hidden: units of a hidden layer between the mean and the heads; 0: none.
        drop: the share of a text's tokens and pairs that are left out of the mean while it is fitted (Iyyer et al.
            2015).
        sif: `a` of the weight `a / (a + p)` that a token of the probability p has at first; ten times the authors',
            for the texts of a trade have fewer words than the language.
    """

    width: int = 256
    buckets: int = 32_768
    hidden: int = 256
    drop: float = 0.1
    sif: float = 1e-2


class Static(nn.Module):
    """Token ids to one vector a text, with the interface of an encoder whose rows have one state.

    The weighted mean of vectors is brought to a mean square of 1; then comes `x + W relu(U x)` where there is a hidden
    layer. What the sum of no vectors would be is 0.
    """

    def __init__(self, plan: Plan, bags: Bags) -> None:
        super().__init__()
        self.plan, self.bags, self.width = plan, bags, plan.width
        self.words = nn.Embedding(bags.rows, plan.width)
        self.weights = nn.Parameter(torch.zeros(bags.rows))
        """Logarithms of what each vector counts."""
        self.widen = nn.Linear(plan.width, plan.hidden) if plan.hidden else None
        self.narrow = nn.Linear(plan.hidden, plan.width, bias=False) if plan.hidden else None
        self.depth, self.window, self.adapter = 0, 1 << 30, None
        with torch.no_grad():
            self.words.weight.zero_()
            if self.narrow is not None:
                self.narrow.weight.zero_()

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None = None, perturbation: None = None) -> Tensor:
        """`(rows, length)` to `(rows, 1, width)`."""
        lengths = mask.sum(1).numpy()
        flat, bounds = self.bags(ids[mask].numpy(), np.concatenate([[0], np.cumsum(lengths)]))
        rows = torch.from_numpy(np.repeat(np.arange(len(lengths)), np.diff(bounds)))
        places = torch.from_numpy(flat.astype(np.int64))
        counted = self.weights[places].exp()
        if self.training and self.plan.drop:
            counted = counted * (torch.rand(len(counted)) >= self.plan.drop)
        vectors = self.words(places) * counted[:, None]
        zeros = vectors.new_zeros(len(lengths), self.width)
        total = counted.new_zeros(len(lengths)).index_add(0, rows, counted)
        mean = zeros.index_add(0, rows, vectors) / total.clamp_min(EPS)[:, None]
        mean = mean / (mean.square().mean(-1, keepdim=True) + EPS).sqrt()
        if self.widen is not None and self.narrow is not None:
            mean = mean + self.narrow(F.relu(self.widen(mean)))
        states: Tensor = mean[:, None]
        return states


def require(tasks: dict[str, Task]) -> None:
    """Raises `RecipeError` for heads that need more than one vector a text."""
    unfit = [f"{name} ({task.kind})" for name, task in tasks.items() if task.per_token or task.special_tokens]
    apart = [f"{name} ({task.kind})" for name, task in tasks.items() if task.separate]
    if unfit or apart:
        raise RecipeError(
            f"A static student has one vector a text and cannot answer for {', '.join(unfit + apart)}.",
            expected="heads of the kinds classify, multilabel and score",
            hint="distil a student with layers",
        )


def static(
    teacher: Network,
    tokeniser: Tokeniser,
    plan: Plan,
    counts: np.ndarray,
    tick: Callable[[int], None] = lambda tokens: None,
) -> Network:
    """A static student before its fit; its heads mean nothing yet.

    Args:
        teacher: whose encoder gives the vectors.
        tokeniser: the teacher's.
        plan: of the student. Its width is the teacher's at most.
        counts: how often each token occurs in the texts, `(vocabulary,)`.
        tick: told of every token that has its vector.
    """
    require(teacher.tasks)
    width = min(plan.width or teacher.encoder.width, teacher.encoder.width)
    plan = replace(plan, width=width)
    layout = tokeniser.layout
    around = np.unique(np.concatenate([layout.before, layout.between, layout.after])).tolist()
    encoder = Static(plan, Bags(teacher.encoder.vocabulary, plan.buckets, tuple(around)))
    vectors = components(token_vectors(teacher, tokeniser, tick), width)
    with torch.no_grad():
        encoder.words.weight[: len(vectors)] = torch.from_numpy(vectors)
        encoder.weights[: len(counts)] = torch.from_numpy(np.log(sif(counts, plan.sif))).float()
    tasks = {name: copy.copy(task) for name, task in teacher.tasks.items()}
    # It has what a network asks of an encoder: a width, and a state a row, which is that of the only "token".
    return Network(cast("Encoder", encoder), tasks, pooling="cls")


@torch.no_grad()
def token_vectors(teacher: Network, tokeniser: Tokeniser, tick: Callable[[int], None]) -> np.ndarray:
    """What the teacher says of each token alone, pooled as texts are: `(vocabulary, width)`."""
    teacher.eval()
    layout, size = tokeniser.layout, teacher.encoder.vocabulary
    found = np.zeros((size, teacher.encoder.width), dtype=np.float32)
    before, after = layout.before.tolist(), layout.after.tolist()
    for start in range(0, size, CHUNK):
        tokens = np.arange(start, min(start + CHUNK, size))
        ids = np.array([[*before, token, *after] for token in tokens.tolist()], dtype=np.int64)
        mask = np.ones(ids.shape, dtype=bool)
        batch = Batch.of(Arrays(tokens, ids, mask, np.zeros_like(ids), {})).to(teacher.device)
        found[tokens] = teacher.pool(teacher.encode(batch), batch.mask).float().cpu().numpy()
        tick(len(tokens))
    return found


def components(vectors: np.ndarray, width: int) -> np.ndarray:
    """The first principal components of vectors, `(n, width)`, of a mean square of 1 altogether."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    kept = centred @ directions[:, ::-1][:, :width]
    scaled: np.ndarray = (kept / max(float(np.sqrt(np.mean(kept**2))), 1e-12)).astype(np.float32)
    return scaled


def sif(counts: np.ndarray, a: float) -> np.ndarray:
    """`a / (a + p)` of every token, `(vocabulary,)`, where p is its share of the texts, none of which is 0."""
    share = (counts + 1.0) / (counts.sum() + len(counts))
    weights: np.ndarray = a / (a + share)
    return weights


def counted(tables: Sequence[Table], vocabulary: int) -> np.ndarray:
    """How often each token occurs in the rows of some tables, `(vocabulary,)`."""
    found = np.zeros(vocabulary, dtype=np.int64)
    for table in tables:
        found += np.bincount(table.rows.ids, minlength=vocabulary)[:vocabulary]
    return found


def arrays(network: Network) -> dict[str, np.ndarray]:
    """The weights of a fitted static student as its runtime reads them.

    `vectors` `(rows, width)` in half precision, `weights` `(rows,)`, `widen`, `widen_bias`, `narrow` where there is a
    hidden layer, and `heads.I`, `heads.I.bias` of every head in order.
    """
    encoder = cast("Static", network.encoder)
    found = {"vectors": encoder.words.weight.half(), "weights": encoder.weights.exp()}
    if encoder.widen is not None and encoder.narrow is not None:
        found |= {"widen": encoder.widen.weight, "widen_bias": encoder.widen.bias, "narrow": encoder.narrow.weight}
    for at, head in enumerate(network.heads):
        if isinstance(head, Pooled):
            found |= {f"heads.{at}": head.out.weight, f"heads.{at}.bias": head.out.bias}
        else:
            assert isinstance(head, Same)
    return {name: np.ascontiguousarray(tensor.detach().cpu().numpy()) for name, tensor in found.items()}
