"""Small data judged several times over: every row of train and valid validates once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from metier.data import split as splitting
from metier.errors import DataError
from metier.pipeline.dataset import Dataset
from metier.recipe import Recipe
from metier.types import Example

SMALL, FEW = 500, 5
"""Training rows under which a search validates by folds, and in how many."""


def chosen(recipe: Recipe, dataset: Dataset, asked: int | None) -> int:
    """How many folds a search of this data uses; 1: the validation split that there is.

    Raises `DataError` where the folds that were asked for cannot be made.
    """
    rows = len(dataset.examples["train"]) + len(dataset.examples["valid"])
    if asked is None:
        small = len(dataset.examples["train"]) < SMALL and not recipe.data.time
        return min(FEW, rows) if small and rows >= FEW else 1
    if asked > 1 and recipe.data.time:
        raise DataError(
            f"{asked} folds would train on rows that are newer than those they are judged by (data.time is set).",
            hint="--folds 1",
        )
    if asked > rows:
        raise DataError(f"{asked} folds cannot be made of {rows} rows.", hint="fewer --folds")
    return asked


def folds(recipe: Recipe, dataset: Dataset, count: int) -> list[Dataset]:
    """The data sets of a `count`-fold cross-validation over train and valid, without a test split.

    Folds are cut by whole groups where the recipe names `data.group`, else stratified by the labels of all heads. The
    seed is that of the split.
    """
    if count == 1:
        return [replace(dataset, examples={**dataset.examples, "test": []})]
    pool = [*dataset.examples["train"], *dataset.examples["valid"]]
    rng = np.random.default_rng(recipe.data.seed)
    group = recipe.data.group
    if group:
        names = [example.document.meta.get(group) or f"\0{row}" for row, example in enumerate(pool)]
        parts = splitting.by_group(names, np.full(count, 1 / count), rng)
    else:
        parts = dealt([splitting.label_set(example.targets) for example in pool], count, rng)
    return [_fold(dataset, pool, parts == part) for part in range(count)]


def dealt(labels: Sequence[frozenset[Hashable]], count: int, rng: np.random.Generator) -> np.ndarray:
    """Folds `(n,)` from 0 to `count - 1`: rows are ordered by their labels, the rarest first, and dealt out in turn.

    Every label is spread to within one row where rows have one label each; of several labels a row the rarest is.
    Numbers are ordered by their size, so that every fold has small and large ones.
    """
    counts = Counter(label for one in labels for label in one)

    def place(label: Any) -> tuple[str, int, float, str]:
        head, value = label
        number = isinstance(value, float)
        return head, 0 if number else counts[label], value if number else 0.0, "" if number else repr(value)

    keys = [sorted((place(label) for label in one), key=lambda item: (item[1], item)) for one in labels]
    order = sorted(rng.permutation(len(labels)).tolist(), key=lambda row: keys[row])
    parts = np.zeros(len(labels), dtype=np.int64)
    parts[order] = np.arange(len(labels)) % count
    return parts


def _fold(dataset: Dataset, pool: Sequence[Example], held: np.ndarray) -> Dataset:
    named = [replace(one, split="valid" if out else "train") for one, out in zip(pool, held, strict=True)]
    clean, _ = splitting.leakage(named)
    examples = {name: [one for one in clean if one.split == name] for name in ("train", "valid")}
    return replace(dataset, examples={**examples, "test": []})
