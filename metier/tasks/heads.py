"""The modules that tasks put on an encoder, and the losses that they share. Imported only to fit or to run in torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
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
    if options.get("focal"):
        return _focal(logits.float(), targets, weights, smoothing, float(options["focal"]))
    total = functional.cross_entropy(
        logits.float(), targets, weight=weights, ignore_index=IGNORE, label_smoothing=smoothing, reduction="sum"
    )
    kept = (targets != IGNORE).float()
    if weights is not None:
        kept = kept * weights[targets.clamp_min(0)]
    return total / kept.sum().clamp_min(1e-12)


def _focal(logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float, gamma: float) -> Tensor:
    """Cross entropy in which an example that has the probability p counts `(1 - p) ** gamma` (Lin et al. 2017)."""
    each = functional.cross_entropy(
        logits, targets, weight=weights, ignore_index=IGNORE, label_smoothing=smoothing, reduction="none"
    )
    known = targets != IGNORE
    right = logits.softmax(-1).gather(-1, targets.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    kept = known.float() if weights is None else known * weights[targets.clamp_min(0)]
    return (_wrong(1.0 - right, gamma) * each)[known].sum() / kept.sum().clamp_min(1e-12)


def _wrong(share: Tensor, gamma: float) -> Tensor:
    """`share ** gamma`, whose slope stays finite at 0, where a probability of 1 rounds to, for a gamma below 1."""
    return share.clamp_min(1e-7) ** gamma


def kullback_leibler(logits: Tensor, others: Tensor) -> Tensor:
    """KL(softmax(logits) || softmax(others)) over the last axis, which it takes away."""
    first, second = logits.float().log_softmax(-1), others.float().log_softmax(-1)
    return (first.exp() * (first - second)).sum(-1)


def bernoulli_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """The mean over the last axis of KL between the Bernoulli distributions of two logits."""
    first, second = logits.float(), others.float()
    share = first.sigmoid()
    said = functional.binary_cross_entropy_with_logits(second, share, reduction="none")
    own = functional.binary_cross_entropy_with_logits(first, share, reduction="none")
    return (said - own).mean(-1)


def mean_softmax(members: Tensor) -> Tensor:
    """The logarithm of the mean over the first axis of the softmax over the last."""
    return members.float().log_softmax(-1).logsumexp(0) - log(len(members))


def mean_sigmoid(members: Tensor) -> Tensor:
    """The logit of the mean over the first axis of the logistic function."""
    logits = members.float()
    return functional.logsigmoid(logits).logsumexp(0) - functional.logsigmoid(-logits).logsumexp(0)


def weights_of(options: Mapping[str, Any], logits: Tensor) -> Tensor | None:
    """The class weights of `options` where the logits are, or `None`."""
    weights = options.get("class_weights")
    return None if weights is None else torch.as_tensor(weights, dtype=torch.float32, device=logits.device)


def binary_cross_entropy(logits: Tensor, targets: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Mean binary cross entropy of `(rows, labels)`; `class_weights` `(labels,)` multiply the loss of positives."""
    smoothing = float(options.get("label_smoothing") or 0.0)
    wanted = targets.float() * (1.0 - smoothing) + 0.5 * smoothing
    if options.get("focal"):  # Lin et al. 2017, a label at a time
        wrong = (targets.float() - logits.float().sigmoid()).abs()
        each = functional.binary_cross_entropy_with_logits(
            logits.float(), wanted, pos_weight=weights_of(options, logits), reduction="none"
        )
        return (_wrong(wrong, float(options["focal"])) * each).mean()
    return functional.binary_cross_entropy_with_logits(logits.float(), wanted, pos_weight=weights_of(options, logits))


class Tokens(nn.Module):
    """Dropout and one linear layer on every hidden state: `(rows, length, width)` to `(rows, length, tags)`.

    With `transitions`, the scores of a linear chain (Lample et al. 2016) follow the tags on the last axis, the same at
    every place: whoever has the logits has the whole model of the sequence.
    """

    def __init__(self, width: int, tags: int, transitions: bool = False, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, tags)
        self.transitions = nn.Parameter(torch.zeros(tags, tags)) if transitions else None

    def forward(self, hidden: Tensor, mask: Tensor, pooled: Tensor, **inputs: Tensor) -> Tensor:
        """Logits `(rows, length, tags)`, or `(rows, length, tags + tags * tags)`."""
        logits: Tensor = self.out(self.dropout(hidden))
        if self.transitions is None:
            return logits
        moves = self.transitions.to(logits.dtype).flatten().expand(*logits.shape[:2], -1)
        return torch.cat([logits, moves], dim=-1)


class Mentions(nn.Module):
    """One linear layer on every hidden state beside the pooled vector: `(rows, length, width)` to `(.., labels)`.

    Being linear, the mean of its logits over some tokens is the logits of their mean hidden state: which tokens a
    mention has need not be known before the pass.
    """

    def __init__(self, width: int, labels: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, labels)
        self.context = nn.Linear(width, labels, bias=False)

    def forward(self, hidden: Tensor, mask: Tensor, pooled: Tensor, **inputs: Tensor) -> Tensor:
        """Logits `(rows, length, labels)`."""
        context: Tensor = self.context(self.dropout(pooled.to(hidden.dtype)))
        logits: Tensor = self.out(self.dropout(hidden)) + context.unsqueeze(1)
        return logits


def mention_means(states: Tensor, targets: Tensor, labels: int) -> tuple[Tensor, Tensor, Tensor]:
    """The mean over the tokens of each mention of a batch `(mentions, width)`, its label and its row, `(mentions,)`.

    Args:
        states: hidden states or logits, `(rows, length, width)`.
        targets: `(rows, length)`: of each token `mention * labels + label`, or `IGNORE`.
        labels: how many there are.
    """
    there = targets != IGNORE
    codes = targets[there]
    span = int(codes.max()) + 1 if codes.numel() else 1
    keys, place = torch.unique(there.nonzero()[:, 0] * span + codes, return_inverse=True)
    sums = states.new_zeros(len(keys), states.shape[-1], dtype=torch.float32)
    sums = sums.index_add(0, place, states[there].float())
    counts = torch.bincount(place, minlength=len(keys)).unsqueeze(1)
    return sums / counts, keys % span % labels, keys // span


def chain_loss(logits: Tensor, targets: Tensor, tags: int) -> Tensor:
    """Negative log-likelihood a word of the gold sequences (forward algorithm; Lafferty et al. 2001).

    Args:
        logits: `(rows, length, tags + tags * tags)` from `Tokens` with transitions.
        targets: `(rows, length)`; places that are `IGNORE` are not part of the sequence.
        tags: the number of tags.
    """
    there = targets != IGNORE
    longest = int(there.sum(dim=1).max()) if there.numel() else 0
    if not longest:
        return logits.sum() * 0.0
    # The words of each row move to its front, in order, so that neighbours in the chain are neighbours in memory.
    order = torch.argsort((~there).to(torch.uint8), dim=1, stable=True)[:, :longest]
    gold = targets.gather(1, order).clamp_min(0)
    there = there.gather(1, order)
    moves = logits[0, 0, tags:].float().view(tags, tags)
    scores = logits[..., :tags].float().gather(1, order.unsqueeze(-1).expand(-1, -1, tags))
    path = (scores.gather(2, gold.unsqueeze(-1)).squeeze(-1) * there).sum()
    path = path + (moves[gold[:, :-1], gold[:, 1:]] * there[:, 1:]).sum()
    sums = scores[:, 0]
    for step in range(1, longest):
        following = torch.logsumexp(sums.unsqueeze(2) + moves, dim=1) + scores[:, step]
        sums = torch.where(there[:, step : step + 1], following, sums)
    whole = (torch.logsumexp(sums, dim=1) * there[:, 0]).sum()
    return (whole - path) / there.sum()


class Marked(nn.Module):
    """Two hidden states and the pooled vector through one hidden layer: `(rows, labels)`.

    Entity start (Baldini Soares et al. 2019): the state of an opening mark stands for the entity that follows it.
    """

    def __init__(self, width: int, labels: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.inner = nn.Linear(3 * width, width)
        self.out = nn.Linear(width, labels)

    def forward(self, hidden: Tensor, mask: Tensor, pooled: Tensor, **inputs: Tensor) -> Tensor:
        """Logits `(rows, labels)`; `inputs["marks"]` `(rows, 2)` are places, -1 where a mark is in another window."""
        joined = self.joined(hidden, pooled, **inputs)
        logits: Tensor = self.out(self.dropout(torch.tanh(self.inner(self.dropout(joined)))))
        return logits

    def joined(self, hidden: Tensor, pooled: Tensor, marks: Tensor) -> Tensor:
        """What the hidden layer sees of a row: both marks and the pooled vector, `(rows, 3 * width)`."""
        marks = marks.long()
        places = marks.clamp_min(0).unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
        states = hidden.gather(1, places) * (marks >= 0).unsqueeze(-1).to(hidden.dtype)
        return torch.cat([states.flatten(1), pooled.to(hidden.dtype)], dim=-1)


class Same(nn.Module):
    """The pooled vector as it is."""

    def forward(self, hidden: Tensor, mask: Tensor, pooled: Tensor, **inputs: Tensor) -> Tensor:
        """`pooled`, `(rows, width)`."""
        return pooled


SHARPNESS = 20.0
"""What cosines are multiplied by before they are compared; the value of both papers' authors."""


def cosent(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """A pair that is more alike than another shall have the larger cosine (CoSENT; Su 2022).

    `log(1 + sum of exp(20 * (cosine of j - cosine of i)))` over all pairs i, j of the batch where i is more alike.
    """
    cosines = SHARPNESS * functional.cosine_similarity(first, second, dim=-1)
    gaps = cosines.unsqueeze(0) - cosines.unsqueeze(1)
    wrong_order = gaps.masked_fill(targets.unsqueeze(1) <= targets.unsqueeze(0), float("-inf"))
    return torch.logsumexp(torch.cat([wrong_order.new_zeros(1), wrong_order.flatten()]), dim=0)


def multiple_negatives(first: Tensor, second: Tensor) -> Tensor:
    """Each first text shall prefer its partner to all other second texts of the batch (Henderson et al. 2017)."""
    cosines = functional.normalize(first, dim=-1) @ functional.normalize(second, dim=-1).T
    return functional.cross_entropy(SHARPNESS * cosines, torch.arange(len(first), device=first.device))
