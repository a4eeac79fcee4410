"""Where a probability becomes a yes: thresholds that maximise micro-F1 on held-out data, with a guard against luck."""

from __future__ import annotations

import numpy as np

from metier.tasks.tables import f1_of

ENOUGH = 10
"""Held-out positives that a label needs for a threshold of its own; also the weight of the common one."""
LOWEST, HIGHEST = 0.02, 0.98


def tune(probabilities: np.ndarray, golds: np.ndarray) -> np.ndarray:
    """A threshold for each label, `(labels,)`, from held-out probabilities and golds `(n, labels)`.

    Thresholds of their own are given to labels only when, tuned on one half of the data, they beat the common
    threshold on the other half, both ways round; a label with few positives keeps the common one in any case.
    """
    if not golds.any():
        return np.full(golds.shape[1], 0.5)
    halves = np.random.default_rng(0).permutation(len(golds)) % 2 == 0
    gain = 0.0
    for here in (halves, ~halves):
        if golds[here].any() and golds[~here].any():
            shared = common(probabilities[here], golds[here])
            own = each(probabilities[here], golds[here], shared)
            gain += micro_f1(probabilities[~here], golds[~here], own)
            gain -= micro_f1(probabilities[~here], golds[~here], np.full(golds.shape[1], shared))
    shared = common(probabilities, golds)
    return each(probabilities, golds, shared) if gain > 0 else np.full(golds.shape[1], shared)


def micro_f1(probabilities: np.ndarray, golds: np.ndarray, thresholds: np.ndarray) -> float:
    """Micro-F1 of the sets that `thresholds` choose."""
    found = probabilities >= thresholds
    return float(f1_of((found & golds).sum(), found.sum(), golds.sum()))


def common(probabilities: np.ndarray, golds: np.ndarray) -> float:
    """The one threshold with the best micro-F1."""
    order, scores = descending(probabilities.ravel())
    hits = np.cumsum(golds.ravel()[order])
    return cut(scores, f1_of(hits, np.arange(1, len(hits) + 1), hits[-1]))


def each(probabilities: np.ndarray, golds: np.ndarray, shared: float) -> np.ndarray:
    """A threshold a label, drawn towards the common one where positives are few.

    Micro-F1 is a ratio of sums over labels, so its maximum is found label by label at a fixed exchange rate between
    right answers and answers, and the rate is the F1 that results (Dinkelbach 1967).
    """
    thresholds = np.full(golds.shape[1], shared)
    support = golds.sum(axis=0)
    sorted_labels = {int(at): descending(probabilities[:, at]) for at in np.flatnonzero(support >= ENOUGH)}
    for _ in range(4):
        rate = micro_f1(probabilities, golds, thresholds)
        for at, (order, scores) in sorted_labels.items():
            hits = np.cumsum(golds[order, at])
            best = cut(scores, 2.0 * hits - rate * np.arange(1, len(hits) + 1))
            thresholds[at] = (support[at] * best + ENOUGH * shared) / (support[at] + ENOUGH)
    return thresholds


def descending(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order that sorts `scores` from the highest down, and the sorted scores."""
    order = np.argsort(-scores, kind="stable")
    return order, scores[order]


def cut(scores: np.ndarray, value: np.ndarray) -> float:
    """The threshold half way below the best place to stop; equal scores are never separated."""
    following = np.append(scores[1:], 0.0)
    best = int(np.argmax(np.where(scores > following, value, -np.inf)))
    return float(np.clip((scores[best] + following[best]) / 2, LOWEST, HIGHEST))
