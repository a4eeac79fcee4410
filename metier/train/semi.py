"""Learning from texts without labels: which guesses are taken for labels, and what else such texts can teach.

Pseudo-labels (Lee 2013) and self-training (Yarowsky 1995; Xie et al. 2020) take over what the model is sure of.
Consistency training (unsupervised data augmentation; Xie et al. 2020) asks that a text and a changed copy of it are
given the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import ceil

import numpy as np

from metier.recipe import SemiPart


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
