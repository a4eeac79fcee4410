"""Duplicates: exact ones are all found, near ones nearly all, and different texts are left alone."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.data.dedup import (
    NearIndex,
    batches,
    deduplicate,
    first_of_each,
    signatures,
    similarities,
    text_keys,
)
from metier.types import Document, Example

LETTERS = "abcdefghijklmnopqrstuvwxyz"
HAN = [chr(code) for code in range(0x4E00, 0x5600)]


def words(rng, count):
    return ["".join(rng.choices(LETTERS, k=rng.randint(3, 9))) for _ in range(count)]


def pairs(texts, **options):
    index = NearIndex()
    for batch in batches(texts):
        index.add(batch)
    later, earlier = index.pairs(**options)
    return set(zip(later.tolist(), earlier.tolist(), strict=True))


def test_keys_ignore_case_width_and_blanks():
    keys = text_keys(["Good  day", "good day", "\uff27\uff4f\uff4f\uff44\u3000day", "GOODDAY\n", "bad day"])
    assert len(set(keys[:4].tolist())) == 1 and keys[4] != keys[0]


@given(st.lists(st.integers(0, 5), min_size=1))
def test_first_of_each(values):
    first = first_of_each(np.array(values, dtype=np.uint64))
    assert first.tolist() == [values.index(value) for value in values]


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.booleans())
def test_edited_texts_are_found(seed, chinese):
    rng = random.Random(seed)
    texts, edited = [], []
    for _ in range(60):
        tokens = rng.choices(HAN, k=90) if chinese else words(rng, 60)
        glue = "" if chinese else " "
        texts.append(glue.join(tokens))
        tokens[rng.randrange(len(tokens))] = "\u9f9f" if chinese else "edited"
        edited.append(glue.join(tokens).upper() + "!!")
    found = pairs(texts + edited)
    recall = sum((60 + i, i) in found for i in range(60)) / 60
    assert recall >= 0.9
    assert all(late - 60 == early for late, early in found)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_different_texts_are_left_alone(seed):
    rng = random.Random(seed)
    shared = words(rng, 400)
    texts = [" ".join(rng.choices(shared, k=rng.randint(6, 40))) for _ in range(300)]
    assert pairs(texts) == set()


def test_texts_with_nothing_to_compare():
    assert pairs(["", " ", "", "a", "\U0001f600", "\U0001f601"]) == set()
    assert pairs(["\U0001f600 \U0001f600", "\U0001f600 \U0001f600"]) == {(1, 0)}


def test_signatures_do_not_depend_on_the_batch():
    texts = ["one two three four", "\u4e2d\u56fd\u4eba\u6c11\u94f6\u884c", "x", "five six"]
    together = signatures(texts)
    for row, text in enumerate(texts):
        assert (signatures([text])[0] == together[row]).all()


def test_similarities_are_those_of_the_sets():
    ones = ["a b c d", "a b", "", "\u4e2d\u56fd\u4eba\u6c11"] * 150
    others = ["a b c e", "a b", "x", "\u4e2d\u56fd\u4eba\u58eb"] * 150
    assert similarities(ones, others).tolist() == [2 / 4, 1.0, 0.0, 1 / 3] * 150


def test_many_copies_cost_no_square():
    later, _ = zip(*pairs(["the very same sentence again and again"] * 20_000), strict=True)
    assert len(set(later)) == 19_999


# -- examples ----------------------------------------------------------------------------------------------------
def example(text, label="x", split=None, pair=None):
    return Example(Document(text, pair), {"label": label}, split)


def test_only_repetitions_with_the_same_target_go():
    rows = [example("Same text"), example("same  text"), example("same text", "y"), example("other")]
    kept, removed = deduplicate(rows)
    assert removed == 1 and kept == [rows[0], rows[2], rows[3]]


def test_off():
    rows = [example("a"), example("a")]
    assert deduplicate(rows, "off") == (rows, 0)
    assert deduplicate([], "near") == ([], 0)


def test_official_valid_and_test_are_left_alone():
    rows = [example("a", split=part) for part in ("train", "train", "valid", "valid", "test")]
    kept, removed = deduplicate(rows)
    assert removed == 1 and [row.split for row in kept] == ["train", "valid", "valid", "test"]


def test_pairs_repeat_only_together():
    rows = [example("a", pair="b"), example("a", pair="c"), example("a", pair="b")]
    assert deduplicate(rows)[1] == 1


@pytest.mark.parametrize("how", ["exact", "near"])
def test_near(how):
    rng = random.Random(4)
    tokens = words(rng, 60)
    changed = [*tokens[:-1], "changed"]
    rows = [example(" ".join(tokens)), example(" ".join(changed)), example(" ".join(changed), "y")]
    kept, removed = deduplicate(rows, how)
    assert removed == (how == "near")
    assert kept == ([rows[0], rows[2]] if how == "near" else rows)


def test_near_needs_the_same_second_text():
    tokens = words(random.Random(4), 60)
    rows = [example(" ".join(tokens), pair="a"), example(" ".join([*tokens, "more"]), pair="b")]
    assert deduplicate(rows, "near")[1] == 0
