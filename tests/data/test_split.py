"""Splitting: a partition, official parts untouched, labels in proportion, groups whole, time in order."""

import os
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metier.data.split import How, by_group, by_time, leakage, moment, split, stratified
from metier.errors import DataError
from metier.types import Document, Example, Span


def made(labels, *, splits=None, meta=None, head="label"):
    splits = splits or [None] * len(labels)
    meta = meta or [{}] * len(labels)
    return [
        Example(Document(f"text {i}", id=str(i), meta=note), {head: label} if label is not None else {}, part)
        for i, (label, part, note) in enumerate(zip(labels, splits, meta, strict=True))
    ]


fractions = st.sampled_from([(0.8, 0.1, 0.1), (0.7, 0.15, 0.15), (0.5, 0.5, 0.0), (0.9, 0.0, 0.1)])


@settings(max_examples=80)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=200), fractions, st.integers(0, 5))
def test_a_partition_with_every_class_in_train(labels, shares, seed):
    division = split(made(labels), How(shares), seed=seed)
    assert [example.document.id for example in division.examples] == [str(i) for i in range(len(labels))]
    assert {example.split for example in division.examples} <= {"train", "valid", "test"}
    assert {example.targets["label"] for example in division.part("train")} == set(labels)
    for name, share in zip(("train", "valid", "test"), shares, strict=True):
        assert abs(len(division.part(name)) - share * len(labels)) <= 5


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=4, unique=True), min_size=1, max_size=100))
@example([["a", "b"], ["a", "b", "c", "d"], ["a", "c"], ["a", "e"]])
def test_several_labels_are_all_trained(sets):
    division = split(made([tuple(sorted(one)) for one in sets]), seed=1)
    assert len(division.examples) == len(sets) and not division.ignored
    trained = {label for example in division.part("train") for label in example.targets["label"]}
    assert trained == {label for one in sets for label in one}


def several(seed, count=1000):
    """Label sets as they are in real data: some labels common, some rare, some that go together."""
    rng = np.random.default_rng(seed)
    chances = {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.05, "e": 0.02}
    rows = [{label for label, chance in chances.items() if rng.random() < chance} for _ in range(count)]
    return [tuple(sorted(row | {"f"} if "c" in row and rng.random() < 0.7 else row)) for row in rows]


@pytest.mark.parametrize("seed", range(5))
def test_several_labels_are_in_proportion(seed):
    rows = several(seed)
    division = split(made(rows), seed=seed)
    total = Counter(label for row in rows for label in row)
    for name, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        found = Counter(label for example in division.part(name) for label in example.targets["label"])
        for label, count in total.items():
            assert abs(found[label] - share * count) <= max(2, 0.02 * count), (name, label)


def equals():
    """Labels that are equally frequent, so that the order in which they are dealt out is open."""
    return [tuple(f"label {(i * step) % 7}" for step in (1, 2, 3)) for i in range(1, 211)]


def test_the_same_seed_gives_the_same_split_in_every_process():
    """The order of sets of strings depends on the process; no split may."""
    code = "import test_split as t; print([e.split for e in t.split(t.made(t.equals()), seed=3).examples])"
    found = set()
    for hash_seed in ("1", "2", "3"):
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_large_classes_are_in_exact_proportion():
    division = split(made(["a"] * 800 + ["b"] * 200), seed=1)
    for name, size in (("train", 800), ("valid", 100), ("test", 100)):
        counts = Counter(example.targets["label"] for example in division.part(name))
        assert len(division.part(name)) == size
        assert abs(counts["b"] - 0.2 * size) <= 2


def test_numbers_are_stratified_by_quantile():
    division = split(made([float(i) for i in range(1000)]), seed=3)
    for name in ("train", "valid", "test"):
        values = [example.targets["label"] for example in division.part(name)]
        assert abs(np.mean(values) - 499.5) < 30


def test_spans_are_stratified_by_label():
    rows = [(Span(0, 1, "X"),) if i % 10 == 0 else () for i in range(200)]
    assert len([e for e in split(made(rows)).part("test") if e.targets["label"]]) == 2


def test_the_seed_decides():
    rows = made(["a", "b"] * 100)
    one, same, other = (split(rows, seed=seed).examples for seed in (1, 1, 2))
    assert one == same != other


def test_official_parts_stay_and_valid_is_cut_from_train():
    rows = made(["a", "b"] * 100, splits=["train"] * 160 + ["test"] * 30 + ["unused"] * 8 + [None] * 2)
    division = split(rows)
    assert [example.document.id for example in division.part("test")] == [str(i) for i in range(160, 190)]
    assert division.ignored == {"unused": 8, "(empty)": 2}
    assert len(division.part("valid")) == 18 and len(division.part("train")) == 142
    assert division.made == {"train": "official", "valid": "stratified", "test": "official"}


def test_nothing_is_cut_where_all_is_official():
    rows = made(["a"] * 6, splits=["train", "train", "valid", "valid", "test", "test"])
    assert split(rows).examples == rows


def test_no_train():
    with pytest.raises(DataError, match="No row belongs to the training split"):
        split(made(["a", "a"], splits=["test", "unused"]))


def test_fractions_without_train():
    with pytest.raises(DataError, match="leave nothing to train on"):
        split(made(["a", "b"]), How((0.0, 0.5, 0.5)))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=150), st.integers(0, 3))
def test_groups_stay_whole(groups, seed):
    meta = [{"author": f"g{group}"} for group in groups]
    division = split(made(["a"] * len(groups), meta=meta), How(group="author"), seed=seed)
    where = {}
    for row in division.examples:
        where.setdefault(row.document.meta["author"], set()).add(row.split)
    assert all(len(parts) == 1 for parts in where.values())
    assert division.part("train")


def test_rows_without_a_group_are_groups_of_their_own():
    rows = made(["a"] * 100, meta=[{"author": None}] * 100)
    assert len(split(rows, How(group="author")).part("train")) == 80


def test_groups_come_out_at_their_shares():
    parts = by_group([i // 5 for i in range(1000)], np.array([0.8, 0.1, 0.1]), np.random.default_rng(0))
    assert Counter(parts.tolist()) == {0: 800, 1: 100, 2: 100}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=150))
def test_time_runs_forward(days):
    meta = [{"when": f"2024-01-{day + 1:02d}"} for day in days]
    division = split(made(["a"] * len(days), meta=meta), How(time="when"))
    times = {name: [e.document.meta["when"] for e in division.part(name)] for name in ("train", "valid", "test")}
    assert times["train"]
    for earlier, later in (("train", "valid"), ("valid", "test"), ("train", "test")):
        if times[earlier] and times[later]:
            assert max(times[earlier]) < min(times[later])


def test_time_shares():
    parts = by_time(list(range(100)), np.array([0.8, 0.1, 0.1]))
    assert Counter(parts.tolist()) == {0: 80, 1: 10, 2: 10}


def test_moments():
    assert moment("1970-01-02") == 86400 == moment(date(1970, 1, 2)) == moment("86400")
    assert moment("1970-01-01T01:00:00+01:00") == 0
    with pytest.raises(DataError, match="'soon' is no time"):
        split(made(["a"], meta=[{"when": "soon"}]), How(time="when"))


@given(st.lists(st.frozensets(st.integers(0, 5)), min_size=1, max_size=40), st.integers(0, 9))
def test_stratified_gives_every_row_a_part(labels, seed):
    parts = stratified(labels, np.array([0.6, 0.2, 0.2]), np.random.default_rng(seed))
    assert parts.shape == (len(labels),) and set(parts.tolist()) <= {0, 1, 2}


def test_leakage_is_removed_from_train_and_counted():
    texts = ["Good  Day", "other", "GOOD day", "third", "\uff27ood day"]
    parts = ["train", "train", "test", "valid", "train"]
    rows = [Example(Document(text), {}, part) for text, part in zip(texts, parts, strict=True)]
    kept, removed = leakage(rows)
    assert removed == 2
    assert [example.document.text for example in kept] == ["other", "GOOD day", "third"]


def test_leakage_of_pairs_needs_both_texts():
    rows = [Example(Document("a", "b"), {}, "train"), Example(Document("a", "c"), {}, "test")]
    assert leakage(rows)[1] == 0


def test_no_part_is_empty_where_every_label_is_rare():
    division = split(made([str(number) for number in range(60)]), How((0.8, 0.1, 0.1)), seed=1)
    assert [len(division.part(name)) for name in ("train", "valid", "test")] == [48, 6, 6]
