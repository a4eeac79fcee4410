"""A run in a program's hands."""

import polars as pl
import pytest

import metier
from metier.errors import DataError, RunError

QUICK = {"epochs": 1.0, "baselines": False, "suspects": False, "resamples": 20, "threads": 1, "max_length": 32}


def test_describe(toy_run):
    model = metier.load(toy_run)
    said = model.describe()
    assert said["name"] == "run" and len(said["version"]) == 12 and said["method"] == "full" and not said["pair"]
    assert set(said["heads"]) == {"sentiment", "place"}
    assert said["heads"]["sentiment"]["labels"] == ["negative", "positive"]
    assert said["heads"]["sentiment"]["headline"]["name"] == "accuracy"
    assert model.run == toy_run and model.report().is_file() and set(model.heads) == {"sentiment", "place"}


@pytest.mark.parametrize("kind", ["polars", "pandas", "dictionaries"])
def test_train_from_memory(toy_news, toy_backbone, tmp_path, kind):
    frame = pl.read_csv(toy_news)
    source = {"polars": frame, "pandas": frame.to_pandas(), "dictionaries": frame.to_dicts()}[kind]
    model = metier.train(source, label="place", backbone=str(toy_backbone), out=tmp_path / "run", **QUICK)
    assert model.predict("Berlin gains")[0]["place"].label in ("Berlin", "Paris", "Lima")
    assert not (tmp_path / "run" / "data.parquet").exists(), "the data are not part of a run"
    assert model.evaluate(source)["place"]["test"]["documents"] == 24


def test_heads_with_names_of_their_own(toy_news, toy_backbone, tmp_path):
    weights = metier.train(toy_news, label={"where": "place"}, backbone=str(toy_backbone), out=tmp_path / "r", **QUICK)
    assert set(weights.predict("Berlin")[0]) == {"where"}


def test_evaluate_needs_labels(toy_run, tmp_path):
    model = metier.load(toy_run)
    (tmp_path / "d.csv").write_text("text\nBerlin\n")
    with pytest.raises(DataError, match="'sentiment'"):
        model.evaluate(tmp_path / "d.csv")
    (tmp_path / "e.csv").write_text("text,place\nBerlin,\n")
    with pytest.raises(DataError, match="has a label"):
        model.evaluate(tmp_path / "e.csv")
    (tmp_path / "f.csv").write_text("text,place\nBerlin gains,Berlin\nLima falls,Lima\nParis falls,Atlantis\n")
    assert set(model.evaluate(tmp_path / "f.csv")) == {"place"}


def test_no_run(tmp_path):
    with pytest.raises(RunError, match="There is no run"):
        metier.load(tmp_path / "none")
