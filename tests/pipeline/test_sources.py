"""Heads whose examples come from files of their own."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import fits
import numpy as np
import pytest
import tomli_w
import toy
from commands import metier, refused

from metier import load
from metier.errors import MetierError
from metier.pipeline.dataset import read_dataset
from metier.pipeline.sources import fingerprint
from metier.pipeline.watch import Silent
from metier.recipe import Recipe
from metier.train.sampling import drawn, shares

MOODS, CITIES = 90, 45


def moods(path: Path) -> Path:
    return toy.news(path, rows=MOODS)


def cities(path: Path, rows: int = CITIES) -> Path:
    """Places of texts, of the file's own column names and without a split."""
    rng = random.Random(8)
    found = [
        {"body": f"{toy.PLACES[at % 3]} {toy.sentence(rng, toy.GOOD)}", "where": toy.PLACES[at % 3]}
        for at in range(rows)
    ]
    return toy.lines(path, found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    moods(tmp_path / "a.csv")
    cities(tmp_path / "b.jsonl")
    return tmp_path


HEADS = {"sentiment": {"column": "sentiment"}, "place": {"column": "where", "path": "b.jsonl"}}


def written(folder: Path, backbone: Path | str = "minilm", heads: dict[str, Any] = HEADS, **train: Any) -> Path:
    return fits.recipe(folder / "r.toml", Path("a.csv"), heads, Path(backbone), **train)


def found(folder: Path, heads: dict[str, Any] = HEADS) -> Any:
    recipe = Recipe.read(written(folder, heads=heads))
    return recipe, read_dataset(recipe, recipe.data.path, Silent())


def test_an_example_carries_the_heads_of_its_source(folder):
    recipe, dataset = found(folder)
    everything = [example for part in dataset.examples.values() for example in part]
    assert Counter(tuple(example.targets) for example in everything) == {("sentiment",): MOODS, ("place",): CITIES}
    assert dataset.kinds == {"sentiment": "classify", "place": "classify"}
    assert len({example.document.id for example in everything}) == MOODS + CITIES
    sources = dataset.summary["sources"]
    assert [one["source"] for one in sources] == ["a.csv", "b.jsonl"]
    assert [one["rows"]["train"] for one in sources] == [54, 36]
    assert sources[0]["split"]["test"] == "official" and sources[1]["split"]["test"] == "stratified"
    assert dataset.summary["rows"] == {"train": 90, "valid": 18 + 5, "test": 18 + 4}
    resolved = dataset.resolve(recipe)
    assert resolved.heads["place"].text == ("body",) and resolved.data.text == ("text",)
    again = read_dataset(resolved, resolved.data.path, Silent())
    assert again.examples == dataset.examples and again.fingerprint == dataset.fingerprint


def test_the_fingerprint_is_of_all_sources(folder):
    recipe, dataset = found(folder)
    assert dataset.fingerprint == fingerprint(recipe, recipe.data.path)
    cities(folder / "b.jsonl", rows=CITIES - 1)
    assert fingerprint(recipe, recipe.data.path) != dataset.fingerprint


def test_a_text_that_another_source_tests_is_not_learned(folder):
    _, before = found(folder)
    tested = before.examples["test"][0].document.text
    rows = [json.loads(line) for line in (folder / "b.jsonl").read_text().splitlines()]
    parts = ["train"] * 30 + ["test"] * 15
    rows = [{**row, "split": part} for row, part in zip(rows, parts, strict=True)]
    toy.lines(folder / "b.jsonl", [*rows, {"body": tested.upper(), "where": "Berlin", "split": "train"}])
    _, dataset = found(folder)
    texts = {split: [one.document.text.lower() for one in part] for split, part in dataset.examples.items()}
    assert tested.lower() not in texts["train"] and tested.lower() in texts["test"]
    own = sum(one["rows"]["train"] for one in dataset.summary["sources"])
    assert dataset.summary["leaked_between"] == dataset.summary["leaked"] == 1 == own - len(texts["train"])


def test_heads_of_one_file_are_read_once(folder):
    heads = {
        "sentiment": {"column": "sentiment"},
        "place": {"column": "where", "path": "b.jsonl", "text": ("body",)},
        "again": {"column": "where", "path": "b.jsonl"},
        "here": {"column": "place", "path": "a.csv"},
    }
    _, dataset = found(folder, heads)
    assert Counter(tuple(example.targets) for part in dataset.examples.values() for example in part) == {
        ("sentiment", "here"): MOODS,
        ("place", "again"): CITIES,
    }


def test_no_head_needs_the_data_of_the_recipe(folder):
    recipe = Recipe.parse({"heads": {"place": {**HEADS["place"], "path": str(folder / "b.jsonl")}}})
    assert len(read_dataset(recipe, recipe.data.path, Silent()).examples["train"]) == 36


MISTAKES = {
    "pairs beside single texts": (
        {"place": {"column": "where", "path": "b.jsonl", "text": ("body", "where2")}},
        "a.csv has single texts and b.jsonl has pairs of texts",
    ),
    "different texts of one file": (
        {
            "place": {"column": "where", "path": "b.jsonl", "text": ("body",)},
            "other": {"column": "where", "path": "b.jsonl", "text": ("where2",)},
        },
        "different text columns are named",
    ),
    "a file that is not there": ({"place": {"column": "where", "path": "c.jsonl"}}, "There is no file .*c.jsonl"),
    "a column that is not there": ({"place": {"column": "were", "path": "b.jsonl"}}, "no column 'were'.*where"),
    "text without a path": ({"place": {"column": "place", "text": ("body",)}}, "has text but no path"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case, folder):
    heads, said = MISTAKES[case]
    rows = [json.loads(line) for line in (folder / "b.jsonl").read_text().splitlines()]
    toy.lines(folder / "b.jsonl", [{**row, "where2": f"so {row['body']}"} for row in rows])
    with pytest.raises(MetierError, match=said):
        found(folder, {"sentiment": {"column": "sentiment"}, **heads})


# -- whole runs --------------------------------------------------------------------------------------------------
def test_fit_evaluate_and_predict(folder, toy_backbone):
    recipe = written(folder, toy_backbone, epochs=4, sampling=5.0)
    result = metier("train", recipe, "--out", folder / "run", "--json")
    assert result.code == 0, result.err
    assert "a.csv: 54 train" in result.err and "b.jsonl: 36 train" in result.err
    heads = json.loads((folder / "run" / "evaluation.json").read_text())["heads"]
    assert heads["sentiment"]["test"]["documents"] == 18 and heads["place"]["test"]["documents"] == 4
    for name, file, documents in (("sentiment", "a.csv", 18), ("place", "b.jsonl", 4)):
        said = metier("evaluate", folder / "run", folder / file, "--json")
        assert said.code == 0, said.err
        figures = said.json["heads"]
        assert list(figures) == [name], "of a file that the run was fitted on, its own heads, on what they did not see"
        assert figures[name]["test"]["documents"] == documents
        assert figures[name]["test"]["headline"]["value"] == heads[name]["test"]["headline"]["value"]
    other = cities(folder / "b2.jsonl", rows=12)
    said = metier("evaluate", folder / "run", other, "--json")
    assert said.code == 0 and said.json["heads"]["place"]["test"]["documents"] == 12
    assert set(load(folder / "run").predict("Berlin gains")[0]) == {"sentiment", "place"}
    page = (folder / "run" / "report.html").read_text()
    assert "a.csv, b.jsonl" in page


def test_marks_are_asked_of_their_own_source_alone(folder, toy_backbone):
    fits.relations(folder / "c.jsonl", rows=40)
    heads = {"sentiment": {"column": "sentiment"}, "relation": {"column": "label", "task": "relate", "path": "c.jsonl"}}
    result = metier("train", written(folder, toy_backbone, heads, epochs=1), "--out", folder / "run")
    assert result.code == 0, result.err
    long = " ".join(["Berlin gains today"] * 30)
    assert load(folder / "run").recipe.heads["relation"].path == str(folder / "c.jsonl")
    with pytest.raises(MetierError, match="does not mark its two entities"):
        load(folder / "run").predict(long)


def test_gone_on_with_from_elsewhere(folder, toy_backbone, monkeypatch):
    from metier.pipeline import descend
    from metier.train import loop

    recipe = written(folder, toy_backbone, checkpoint_seconds=0.0, sampling=3.0, epochs=2)
    monkeypatch.chdir(folder)
    assert metier("train", recipe.name, "--out", folder / "whole").code == 0
    real = loop.steps

    def some(fit):
        for record in real(fit):
            if record.step == 7:
                raise KeyError("cut")
            yield record

    monkeypatch.setattr(descend.loop, "steps", some)
    with pytest.raises(KeyError, match="cut"):
        metier("train", recipe.name, "--out", folder / "torn")
    monkeypatch.setattr(descend.loop, "steps", real)
    monkeypatch.chdir(folder.parent)
    resumed = metier("train", "--resume", folder / "torn")
    assert resumed.code == 0 and "Resuming at step 6" in resumed.err
    assert fits.weights(folder / "torn") == fits.weights(folder / "whole")


def test_a_changed_file_of_a_head_is_refused(folder, toy_backbone, monkeypatch):
    from metier.pipeline import descend

    recipe = written(folder, toy_backbone, checkpoint_seconds=0.0, epochs=1)
    real = descend.loop.steps

    def some(fit):
        for record in real(fit):
            if record.step == 3:
                raise KeyError("cut")
            yield record

    monkeypatch.setattr(descend.loop, "steps", some)
    with pytest.raises(KeyError):
        metier("train", recipe, "--out", folder / "run")
    monkeypatch.setattr(descend.loop, "steps", real)
    cities(folder / "b.jsonl", rows=CITIES + 1)
    assert "another data" in refused("train", "--resume", folder / "run")


def test_several_seeds_know_their_data(folder, toy_backbone):
    command = ("train", written(folder, toy_backbone, epochs=1), "--seeds", "2", "--out", folder / "runs")
    assert metier(*command).code == 0
    again = metier(*command)
    assert again.code == 0 and again.err.count("there already") == 2


# -- sampling ----------------------------------------------------------------------------------------------------
def test_shares():
    assert shares([900, 100], 1.0) == pytest.approx([0.9, 0.1])
    assert shares([900, 100], 5.0) == pytest.approx(np.array([900, 100]) ** 0.2 / (900**0.2 + 100**0.2))
    assert shares([900, 100], 100.0) == pytest.approx([0.5, 0.5], abs=0.01)


def test_every_row_has_its_turn():
    groups = np.array([0] * 90 + [1] * 10)
    epochs = [drawn(groups, 5.0, seed=3, epoch=epoch) for epoch in range(6)]
    wanted = round(shares([90, 10], 5.0)[0] * 100)
    counts = np.zeros(100, dtype=int)
    for units in epochs:
        assert len(units) == 100 and int((units < 90).sum()) == wanted
        counts += np.bincount(units, minlength=100)
    for part in (counts[:90], counts[90:]):
        assert part.max() - part.min() <= 1
    assert np.array_equal(epochs[2], drawn(groups, 5.0, seed=3, epoch=2))
    assert not np.array_equal(np.sort(epochs[0]), np.sort(drawn(groups, 5.0, seed=4, epoch=0)))


@pytest.mark.parametrize("text", ["sampling = 0.5", "sampling = 'even'"])
def test_temperatures_that_are_none(text, folder):
    (folder / "r.toml").write_text(tomli_w.dumps({"heads": HEADS}) + f"\n[train]\n{text}\n")
    assert "train.sampling" in refused("train", folder / "r.toml")
