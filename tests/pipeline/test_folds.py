"""Folds: every row validates once, labels and numbers are spread, groups stay together."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from metier.data.read import Columns
from metier.errors import DataError
from metier.pipeline.dataset import Dataset
from metier.pipeline.search import folds
from metier.recipe import Recipe
from metier.types import Document, Example

RECIPE = Recipe.parse({"heads": {"mood": {"column": "mood"}}})


def dataset(rows=40, valid=10):
    examples = [
        Example(
            Document(f"text number {row}", id=str(row), meta={"writer": f"w{row // 4}"}),
            {"mood": "rare" if row % 8 == 0 else "good" if row % 2 else "bad"},
            "train" if row < rows - valid else "valid",
        )
        for row in range(rows)
    ]
    parts = {name: [one for one in examples if one.split == name] for name in ("train", "valid")}
    columns = Columns(text=("text",), labels={"mood": ("mood", "classify")})
    return Dataset({**parts, "test": [Example(Document("held out", id="t"), {"mood": "bad"}, "test")]},
                   {"mood": "classify"}, columns, "print", {})  # fmt: skip


def test_every_row_validates_once_and_no_test_row_ever():
    found = folds.folds(RECIPE, dataset(), 5)
    held = [one.document.id for part in found for one in part.examples["valid"]]
    assert sorted(held, key=int) == [str(row) for row in range(40)]
    for part in found:
        assert not part.examples["test"] and len(part.examples["train"]) == 32
        assert {one.split for one in part.examples["valid"]} == {"valid"}
        counts = Counter(one.targets["mood"] for one in part.examples["valid"])
        assert counts == {"rare": 1, "good": 4, "bad": 3}


def test_the_same_seed_cuts_the_same_folds():
    first, again = (folds.folds(RECIPE, dataset(), 4) for _ in range(2))
    other = folds.folds(RECIPE.but(data={"seed": 99}), dataset(), 4)
    assert [part.examples for part in first] == [part.examples for part in again]
    assert [part.examples["valid"] for part in first] != [part.examples["valid"] for part in other]


def test_one_fold_is_the_split_without_its_test():
    data = dataset()
    (found,) = folds.folds(RECIPE, data, 1)
    assert found.examples["valid"] == data.examples["valid"] and not found.examples["test"]


def test_groups_are_not_torn_apart():
    found = folds.folds(RECIPE.but(data={"group": "writer"}), dataset(), 5)
    writers = [{one.document.meta["writer"] for one in part.examples["valid"]} for part in found]
    assert sum(len(one) for one in writers) == 10 and len(set().union(*writers)) == 10


def test_numbers_are_spread_by_size():
    labels = [frozenset({("price", float(value))}) for value in range(50)]
    parts = folds.dealt(labels, 5, np.random.default_rng(0))
    means = [np.flatnonzero(parts == part).mean() for part in range(5)]
    assert max(means) - min(means) <= 4.0 and set(np.bincount(parts)) == {10}


def test_texts_that_occur_twice_do_not_leak():
    data = dataset()
    twin = replace(data.examples["train"][0], document=replace(data.examples["train"][0].document, id="twin"))
    doubled = replace(data, examples={**data.examples, "train": [*data.examples["train"], twin]})
    for part in folds.folds(RECIPE, doubled, 5):
        texts = {one.document.text for one in part.examples["train"]}
        assert not texts & {one.document.text for one in part.examples["valid"]}


def test_how_many():
    data = dataset()
    assert folds.chosen(RECIPE, data, None) == folds.FEW and folds.chosen(RECIPE, data, 3) == 3
    assert folds.chosen(RECIPE, dataset(folds.SMALL + 20, 20), None) == 1
    timed = RECIPE.but(data={"time": "day"})
    assert folds.chosen(timed, data, None) == 1 and folds.chosen(timed, data, 1) == 1
    with pytest.raises(DataError, match="newer"):
        folds.chosen(timed, data, 2)
    with pytest.raises(DataError, match="41 folds cannot be made of 40 rows"):
        folds.chosen(RECIPE, data, 41)
