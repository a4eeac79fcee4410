"""Sentiment for each name in a text: from a column of names to answers, in one pass with the other heads."""

from __future__ import annotations

import csv
import json
import random

import numpy as np
import polars as pl
import pytest
import toy
from commands import metier as command
from commands import refused

import metier
from metier.errors import DataError, RecipeError
from metier.models.encoder import Encoder
from metier.pipeline.optimise.optimise import optimise
from metier.pipeline.watch import Silent
from metier.recipe import Recipe
from metier.types import Document

FIT = {"epochs": 10, "batch_size": 16, "learning_rate": 3e-3, "max_length": 32, "threads": 1, "suspects": False}


def said_of(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """A text with a place that does well and another that does badly, in either order, and the moods of both.

    Some places always do well: a network of random weights learns that in seconds, but not who is next to what.
    """
    pairs = rng.sample([(rng.choice(toy.PLACES[:3]), "up"), (rng.choice(toy.PLACES[3:]), "down")], 2)
    words = [rng.choice(toy.GOOD if mood == "up" else toy.BAD) for _, mood in pairs]
    parts = [f"{place} {word}" for (place, _), word in zip(pairs, words, strict=True)]
    return f"{parts[0]} as {parts[1]} after {rng.randrange(10**6)}", pairs


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng, file = random.Random(4), tmp_path_factory.mktemp("mentions") / "names.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "who", "mood", "first", "split"])
        for at in range(120):
            text, pairs = said_of(rng)
            split = "train" if at < 80 else "valid" if at < 100 else "test"
            writer.writerows([text, place, mood, pairs[0][0], split] for place, mood in pairs)
    return file


@pytest.fixture(scope="module")
def run(table, toy_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("mentions") / "run"
    mention = {"mood": "who"}
    model = metier.train(table, label=["mood", "first"], mention=mention, backbone=str(toy_backbone), out=out, **FIT)
    return model.run


@pytest.fixture(scope="module")
def documents():
    rng = random.Random(9)
    found = []
    for _ in range(30):
        text, pairs = said_of(rng)
        places = [(text.index(place), text.index(place) + len(place)) for place, _ in pairs]
        found.append((Document(text, mentions=tuple(places)), [mood for _, mood in pairs]))
    return found


def test_what_was_learned(run):
    findings = json.loads((run / "evaluation.json").read_text())
    head = findings["heads"]["mood"]
    assert findings["data"]["rows"] == {"train": 80, "valid": 20, "test": 20}
    assert head["task"] == "mention" and head["test"]["mentions"] == 40 and head["test"]["documents"] == 20
    assert head["test"]["headline"]["value"] > 0.9
    # whoever does not know which name is meant is right half of the time
    assert head["baselines"]["majority"]["headline"]["value"] == 0.5
    assert "lexical" in head["baselines"] and "probe" in head["baselines"]
    assert sum(map(sum, head["confusion"]["matrix"])) == 40
    assert "Each mention of a text counts" in (run / "report.html").read_text()


def test_two_names_one_pass(run, documents, monkeypatch):
    model, rows = metier.load(run, threads=1), []
    forward = Encoder.forward

    def counted(self, ids, *rest, **more):
        rows.append(len(ids))
        return forward(self, ids, *rest, **more)

    monkeypatch.setattr(Encoder, "forward", counted)
    found = model.predict([document for document, _ in documents])
    assert sum(rows) == len(documents)
    right = [
        [span.label for span in row["mood"].label] == moods for row, (_, moods) in zip(found, documents, strict=True)
    ]
    assert np.mean(right) > 0.8
    for row, (document, _) in zip(found, documents, strict=True):
        assert set(row) == {"mood", "first"}
        assert tuple((span.start, span.end) for span in row["mood"].label) == document.mentions
        assert all(sum(span.probabilities.values()) == pytest.approx(1) for span in row["mood"].label)


def test_a_graph_says_the_same(run, documents, tmp_path):
    made = optimise(run, tmp_path / "small", {"precision": "fp32", "tolerance": 100.0}, Silent(), threads=1)
    asked = [document for document, _ in documents]
    first, second = (metier.load(path, threads=1).predict(asked) for path in (run, made.path))
    for one, other in zip(first, second, strict=True):
        assert one["mood"].label == other["mood"].label
        scores = [[span.score for span in said["mood"].label] for said in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_a_corpus_of_names(run, table, tmp_path):
    rows = [
        {"text": "Oslo gains as Rome sinks", "who": ["Rome", "Oslo", "Lima"]},
        {"text": "Oslo gains as Rome sinks", "who": ["Rome"]},
        {"text": "Kyoto wins", "who": None},
    ]
    corpus, out = toy.lines(tmp_path / "corpus.jsonl", rows), tmp_path / "scored.parquet"
    assert command("predict", run, corpus, "--out", out, "--threads", 1).code == 0
    scored = pl.read_parquet(out)
    assert [[span["text"] for span in row] for row in scored["mood"].to_list()] == [["Oslo", "Rome"], ["Rome"], []]
    renamed = toy.lines(tmp_path / "renamed.jsonl", [{"text": row["text"], "names": row["who"]} for row in rows])
    assert command("predict", run, renamed, "--out", out, "--mention", "names", "--threads", 1).code == 0
    assert pl.read_parquet(out)["mood"].to_list() == scored["mood"].to_list()
    assert "'nobody'" in refused("predict", run, corpus, "--mention", "nobody", "--out", tmp_path / "x.parquet")


def test_measured_again(run, table):
    found = command("evaluate", run, table, "--threads", 1, "--json").json["heads"]["mood"]
    first = json.loads((run / "evaluation.json").read_text())["heads"]["mood"]["test"]["headline"]
    assert found["test"]["headline"]["value"] == first["value"]


def test_names_that_the_same_pass_finds(toy_backbone, tmp_path):
    rng, rows = random.Random(6), []
    for at in range(120):
        text, pairs = said_of(rng)
        spans = [
            {"start": text.index(place), "end": text.index(place) + len(place), "label": mood} for place, mood in pairs
        ]
        split = "train" if at < 90 else "valid" if at < 105 else "test"
        rows.append(
            {"text": text, "moods": spans, "places": [{**span, "label": "LOC"} for span in spans], "split": split}
        )
    data = toy.lines(tmp_path / "data.jsonl", rows)
    heads = {"places": "places", "moods": "moods"}
    model = metier.train(
        data, label=heads, task={"places": "tag", "moods": "mention"}, backbone=str(toy_backbone),
        out=tmp_path / "run", **FIT, baselines=False,
    )  # fmt: skip
    text, pairs = said_of(random.Random(77))
    (said,) = model.predict(text)
    assert [(span.text, span.label) for span in said["moods"].label] == pairs
    (alone,) = model.predict(Document(text, mentions=()), heads=["moods"])
    assert alone["moods"].label == ()


def test_beside_heads_of_another_file(table, toy_news, toy_backbone, tmp_path):
    heads = {
        "place": {"column": "place", "task": "classify"},
        "mood": {"column": "mood", "mention": "who", "path": str(table), "text": ["text"]},
    }
    fit = {"epochs": 1.0, "learning_rate": 3e-3, "threads": 1}
    parts = {"data": {"path": str(toy_news), "text": ["text"]}, "heads": heads, "train": fit}
    parts |= {"model": {"backbone": str(toy_backbone), "max_length": 32}, "evaluate": {"baselines": False}}
    model = metier.train(Recipe.parse(parts), out=tmp_path / "run")
    findings = json.loads((model.run / "evaluation.json").read_text())["heads"]
    assert findings["mood"]["test"]["mentions"] == 40 and findings["place"]["test"]["documents"] == 24
    again = model.evaluate(table)
    assert set(again) == {"mood"}
    assert again["mood"]["test"]["headline"]["value"] == findings["mood"]["test"]["headline"]["value"]
    (said,) = model.predict(Document("Oslo gains", mentions=((0, 4),)))
    assert said["place"].label in toy.PLACES and said["mood"].label[0].text == "Oslo"


def test_mistakes(table, run, tmp_path):
    assert "HEAD=who" in refused("train", table, "--label", "mood", "--label", "first", "--mention", "who")
    assert "'whom'" in refused("train", table, "--label", "mood", "--mention", "whom")
    with pytest.raises(RecipeError, match="its task is 'classify'"):
        metier.train(table, label="mood", mention="who", task="classify")
    with pytest.raises(RecipeError, match="no head 'moods'"):
        metier.train(table, label="mood", mention={"moods": "who"})
    with pytest.raises(DataError, match="mention 3 to 99 .* 10 characters"):
        metier.load(run, threads=1).predict(Document("Oslo gains", mentions=((3, 99),)))
