"""Parts of the training texts that a race fits on, and the texts that it judges by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metier.data import split as splitting
from metier.pipeline.dataset import Dataset
from metier.recipe import Recipe
from metier.types import Example

SHARES = (0.25, 0.5, 1.0)
FEWEST = 2.0
"""Texts a class, on average, that a part must have."""
JUDGED = 2000
"""Training texts outside of a part that it is judged by, at most."""
ENOUGH, REPEATS = 300, 4
"""Fewer texts to judge by than this: other halves are drawn as well, until there are as many, at most so often."""


@dataclass(frozen=True)
class Cut:
    """A share of the training texts.

    `rest` are training texts outside of it, the same for every share of a draw, which judge beside the validation
    split: a small validation split alone could not tell one method from the next.
    """

    share: float
    dataset: Dataset
    rest: list[Example]

    @property
    def rows(self) -> int:
        """Training texts."""
        return len(self.dataset.examples["train"])

    @property
    def judged(self) -> list[Example]:
        """What is judged by: the validation split first."""
        return [*self.dataset.examples["valid"], *self.rest]


def cuts(recipe: Recipe, dataset: Dataset) -> dict[float, list[Cut]]:
    """Nested, stratified shares of the training texts; several draws of each where there is little to judge by.

    A share that would have less than two texts a class is left out. Texts that belong together by `data.group`, or
    come later by `data.time`, do not judge each other: then the validation split judges alone.
    """
    train = dataset.examples["train"]
    sealed = {**dataset.examples, "test": []}
    apart = recipe.data.group is None and recipe.data.time is None
    found = {1.0: [Cut(1.0, replace(dataset, examples=sealed), [])]}
    least = FEWEST * _classes(train)
    judged = len(sealed["valid"]) + (min(JUDGED, len(train) // 2) if apart else 0)
    repeats = 1 if judged >= ENOUGH or not apart else min(REPEATS, -(-ENOUGH // max(1, judged)))
    for repeat in range(repeats):
        parts = _parts(train, recipe.data.seed + repeat)
        rest = [train[row] for row in np.flatnonzero(parts == 2)]
        rest = _some(rest, recipe.data.seed) if apart else []
        for share, highest in ((0.25, 0), (0.5, 1)):
            rows = np.flatnonzero(parts <= highest)
            if len(rows) >= least:
                part = replace(dataset, examples={**sealed, "train": [train[row] for row in rows]})
                found.setdefault(share, []).append(Cut(share, part, rest))
    return dict(sorted(found.items()))


def _parts(train: Sequence[Example], seed: int) -> np.ndarray:
    """0, 1 or 2 `(n,)` for each example: the first quarter, which has all classes, the second, the other half."""
    labels = [splitting.label_set(example.targets) for example in train]
    return splitting.stratified(labels, np.array([0.25, 0.25, 0.5]), np.random.default_rng(seed))


def _some(rest: list[Example], seed: int) -> list[Example]:
    if len(rest) <= JUDGED:
        return rest
    chosen = np.sort(np.random.default_rng(seed).choice(len(rest), JUDGED, replace=False))
    return [rest[row] for row in chosen]


def per_class(train: Sequence[Example]) -> float:
    """Texts for each label of the head that has most labels; the number of texts where there are no labels."""
    return len(train) / _classes(train)


def _classes(train: Sequence[Example]) -> int:
    """Labels of the head that has most of them; 1 for numbers."""
    found: dict[str, set[object]] = {}
    for example in train:
        for pair in splitting.label_set(example.targets):
            if isinstance(pair, tuple) and not isinstance(pair[1], float):
                found.setdefault(pair[0], set()).add(pair[1])
    return max((len(labels) for labels in found.values()), default=1) or 1
