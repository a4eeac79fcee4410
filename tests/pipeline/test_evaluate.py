"""A run on other data, and on its own."""

import polars as pl
import pytest
import toy

import metier
from metier.errors import DataError

QUICK = {"method": "probe", "baselines": False, "suspects": False, "resamples": 20, "threads": 1, "max_length": 16}


def rows(n=60):
    return [{"text": f"{toy.PLACES[at % 3]} {toy.FILLER[at % 7]} {at}", "label": toy.PLACES[at % 3]} for at in range(n)]


@pytest.fixture(scope="module")
def fitted(toy_backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    data = toy.lines(folder / "data.jsonl", rows())
    return metier.train(data, label="label", backbone=str(toy_backbone), out=folder / "run", **QUICK), data


def test_of_its_own_data_only_the_held_out_rows_count(fitted):
    model, data = fitted
    assert model.evaluate(data)["label"]["test"]["documents"] == 6
    assert model.evaluate(data, split="dev")["label"]["valid"]["documents"] == 6
    assert model.evaluate(pl.DataFrame(rows(40)))["label"]["test"]["documents"] == 40


def test_the_split_column_of_the_recipe_is_remembered(toy_backbone, tmp_path):
    table = pl.DataFrame([{**row, "fold": ("train", "train", "test")[at // 2 % 3]} for at, row in enumerate(rows())])
    model = metier.train(table, label="label", split="fold", backbone=str(toy_backbone), out=tmp_path / "run", **QUICK)
    found = model.evaluate(table.with_columns(text="new " + pl.col("text")))
    assert found["label"]["test"]["documents"] == (table["fold"] == "test").sum()


def test_a_split_that_is_not_there_is_named_with_those_that_are(fitted):
    model, data = fitted
    with pytest.raises(DataError, match="split 'nope' has a label. The labelled rows are test, train, valid"):
        model.evaluate(data, split="nope")


def test_what_a_model_reads(fitted):
    model, _ = fitted
    for odd in ([{"text": "a"}], [1], [None], [("a", "b")]):
        with pytest.raises(DataError, match="a string"):
            model.predict(odd)
    for heads, found in (["nope"], "no head 'nope'"), ([], "No head"):
        with pytest.raises(metier.MetierError, match=found):
            model.predict(["a"], heads=heads)
