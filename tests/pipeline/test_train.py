"""A recipe to a run: what the stages hand on to each other."""

import json

import fits
import numpy as np
import pytest
import toy

import metier
from metier.pipeline.train import fresh
from metier.recipe import Recipe

QUICK = {"epochs": 1.0, "baselines": False, "suspects": False, "resamples": 20, "threads": 1, "max_length": 16}


def evaluation(run):
    return json.loads((run / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def long_texts(tmp_path_factory):
    rows = []
    for at in range(60):
        filler = " ".join(toy.FILLER[: at % 15] * 3)
        rows.append({"text": f"{filler} {toy.PLACES[at % 3]} {at}", "label": toy.PLACES[at % 3]})
    return toy.lines(tmp_path_factory.mktemp("long") / "long.jsonl", rows)


@pytest.mark.parametrize("long", ["window", "truncate"])
def test_long_texts_are_never_cut_in_silence(long_texts, toy_backbone, tmp_path, long):
    model = metier.train(
        long_texts, label="label", backbone=str(toy_backbone), out=tmp_path / "r", long=long, stride=4, **QUICK
    )
    found = evaluation(model.run)
    notes = found["heads"]["label"]["notes"]
    if long == "window":
        assert found["data"]["truncated"] == 0 and not notes
    else:
        assert 0.3 < found["data"]["truncated"] < 1 and notes[0]["split"] == "train"
        report = (model.run / "report.html").read_text()
        assert "split were cut at 16 tokens" in report and "在 16 个词元处被截断" in report
        assert "split were cut at 16 tokens" in (model.run / "card.md").read_text()
    assert len(model.predict([" ".join(toy.FILLER * 9)])) == 1


def test_examples_that_carry_only_some_labels(toy_backbone, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for at in range(90):
        mood, place = ["negative", "positive"][at % 2], toy.PLACES[at % 3]
        words = toy.GOOD if at % 2 else toy.BAD
        row = {"text": f"{place} {rng.choice(words)} {rng.choice(words)} {at}", "mood": mood, "place": place}
        if at % 3 == 1:
            row["mood"] = None
        if at % 3 == 2 and at % 2:
            row["place"] = ""
        rows.append(row)
    model = metier.train(
        rows, label=["mood", "place"], backbone=str(toy_backbone), out=tmp_path / "r", **{**QUICK, "epochs": 4.0}
    )
    found = evaluation(model.run)["heads"]
    assert found["mood"]["test"]["documents"] < found["place"]["test"]["documents"]
    assert set(model.predict("Berlin gains")[0]) == {"mood", "place"}


def test_a_head_without_valid_or_test_labels(toy_backbone, tmp_path, toy_news):
    import polars as pl

    frame = pl.read_csv(toy_news).with_columns(
        place=pl.when(pl.col("split") == "train").then(pl.col("place")).otherwise(None)
    )
    model = metier.train(
        frame,
        label=["sentiment", "place"],
        backbone=str(toy_backbone),
        out=tmp_path / "r",
        **{**QUICK, "baselines": True},
    )
    found = evaluation(model.run)["heads"]
    assert found["place"]["test"] == {} and found["sentiment"]["test"]["documents"] == 24


def test_early_stopping_and_metrics(toy_news, toy_backbone, tmp_path):
    recipe = fits.recipe(
        tmp_path / "r.toml", toy_news, {"place": {"column": "place"}}, toy_backbone, epochs=20, patience=2
    )
    model = metier.train(Recipe.read(recipe), out=tmp_path / "run")
    lines = [json.loads(line) for line in (model.run / "metrics.jsonl").read_text().splitlines()]
    judged = [line["valid"]["metric"] for line in lines if line["valid"]]
    best = judged.index(max(judged))
    assert len(judged) == min(20, best + 3), "two evaluations that were no better end it"
    assert list((model.run / "tensorboard").iterdir())


def test_settings_that_change_the_fit(toy_news, toy_backbone, tmp_path):
    weights = set()
    for number, settings in enumerate(
        [{}, {"class_weights": "balanced"}, {"label_smoothing": 0.2}, {"pooling": "cls"}, {"head_start": "random"}]
    ):
        if settings.get("class_weights"):  # balanced already: the same numbers
            continue
        model = metier.train(
            toy_news, label="place", backbone=str(toy_backbone), out=tmp_path / str(number), **QUICK, **settings
        )
        weights.add(fits.weights(model.run))
    assert len(weights) == 4


def test_a_free_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.parse({"data": {"path": "x/news.csv.gz"}, "heads": {"a": {"column": "a"}}})
    first = fresh(recipe)
    first.mkdir(parents=True)
    second = fresh(recipe)
    assert first.name.startswith("news-") and second != first


def test_a_probe_of_texts_that_all_train_has_no_steps_to_show(long_texts, toy_backbone, tmp_path):
    model = metier.train(
        long_texts, label="label", method="probe", fractions=(1.0, 0.0, 0.0), backbone=str(toy_backbone),
        out=tmp_path / "r", **QUICK,
    )  # fmt: skip
    assert model.report().is_file()
    assert model.predict(["one text"])[0]["label"].label in toy.PLACES
