"""What every method must do for every kind of task: fit, be measured, be saved, and say the same after loading."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asked
import numpy as np
import pytest
import toy
from commands import metier as command

import metier
from metier.pipeline.train import resume
from metier.pipeline.watch import Silent
from metier.recipe import METHODS, Recipe
from metier.run import Run
from metier.train import loop
from metier.train.methods import METHODS as KNOWN
from metier.types import Document

ROWS = 72
FIT = {"epochs": 2.0, "learning_rate": 3e-3, "batch_size": 16, "threads": 1}


@dataclass(frozen=True)
class Case:
    """A kind of task, its texts and its labels."""

    task: str
    text: tuple[str, ...]
    row: Callable[[random.Random, int], dict[str, Any]]


def _single(rng: random.Random, at: int) -> dict[str, Any]:
    place = toy.PLACES[at % 3]
    words = toy.GOOD if at % 2 else toy.BAD
    return {"text": f"{place} {toy.sentence(rng, words)}", "place": place, "good": bool(at % 2)}


def _pair(rng: random.Random, at: int) -> dict[str, Any]:
    first = _single(rng, at)
    same = rng.random() < 0.5
    second = _single(rng, at if same else at + 1)
    return {**first, "other": second["text"], "same": same}


def classify(rng: random.Random, at: int) -> dict[str, Any]:
    row = _single(rng, at)
    return {**row, "label": row["place"]}


def multilabel(rng: random.Random, at: int) -> dict[str, Any]:
    row = _single(rng, at)
    return {**row, "label": [row["place"], *(["good"] if row["good"] else [])] if at % 5 else []}


def tag(rng: random.Random, at: int) -> dict[str, Any]:
    row = _single(rng, at)
    start = row["text"].index(row["place"])
    return {**row, "label": [{"start": start, "end": start + len(row["place"]), "label": "LOC"}]}


def mention(rng: random.Random, at: int) -> dict[str, Any]:
    """Two places, of which one rises and the other falls."""
    first, second = rng.sample(toy.PLACES, 2)
    up, down = rng.choice(toy.GOOD), rng.choice(toy.BAD)
    text = f"{first} {up} as {second} {down} {rng.randrange(10**6)}"
    places = ((first, "good"), (second, "bad"))
    return {
        "text": text,
        "label": [{"start": (s := text.index(name)), "end": s + len(name), "label": mood} for name, mood in places],
    }


def score(rng: random.Random, at: int) -> dict[str, Any]:
    row = _single(rng, at)
    return {**row, "label": (2.5 if row["good"] else -2.5) + 0.1 * rng.random()}


def relate(rng: random.Random, at: int) -> dict[str, Any]:
    first, second = rng.sample(toy.PLACES, 2)
    verb = rng.choice(toy.GOOD if at % 2 else toy.BAD)
    text = f"<e1>{first}</e1> {verb} <e2>{second}</e2> {rng.randrange(10**6)}"
    return {"text": text, "label": "Up(e1,e2)" if at % 2 else "Down(e1,e2)"}


def classify_pair(rng: random.Random, at: int) -> dict[str, Any]:
    row = _pair(rng, at)
    return {**row, "label": "same" if row["same"] else "other"}


def score_pair(rng: random.Random, at: int) -> dict[str, Any]:
    row = _pair(rng, at)
    return {**row, "label": float(row["same"]) + 0.1 * rng.random()}


def alike(rng: random.Random, at: int) -> dict[str, Any]:
    return {**_pair(rng, 2 * at), "label": 1.0}


CASES = {
    "classify": Case("classify", ("text",), classify),
    "classify-pair": Case("classify", ("text", "other"), classify_pair),
    "multilabel": Case("multilabel", ("text",), multilabel),
    "tag": Case("tag", ("text",), tag),
    "mention": Case("mention", ("text",), mention),
    "score": Case("score", ("text",), score),
    "score-pair": Case("score", ("text", "other"), score_pair),
    "relate": Case("relate", ("text",), relate),
    "embed": Case("embed", ("text", "other"), score_pair),
    "embed-alike": Case("embed", ("text", "other"), alike),
}


def rows_of(case: Case) -> list[dict[str, Any]]:
    rng = random.Random(5)
    rows = [case.row(rng, at) for at in range(ROWS)]
    for at, row in enumerate(rows):
        row["split"] = "train" if at % 5 < 3 else "valid" if at % 5 == 3 else "test"
    return rows


def documents_of(case: Case, rows: list[dict[str, Any]]) -> list[Document]:
    documents = [Document(*(row[name] for name in case.text)) for row in rows]
    if case.task != "mention":
        return documents
    places = [tuple((span["start"], span["end"]) for span in row["label"]) for row in rows]
    return [replace(document, mentions=own) for document, own in zip(documents, places, strict=True)]


def plain(label: Any) -> Any:
    return label if not isinstance(label, float) else pytest.approx(label, abs=1e-5)


CANNOT = {
    "zero_shot": {task: f"zero_shot has no {task}" for task in ("tag", "mention", "score", "relate")},
    "contrastive": dict.fromkeys(("tag", "mention", "embed"), "contrastive' cannot fit label"),
    "few_shot": {case.task: "few_shot shows examples to a language model" for case in CASES.values()},
}
"""What a method says of the tasks that it cannot do with the toy, by method and kind of task."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_fit_save_load_predict(name, method, tmp_path, toy_backbone, monkeypatch):
    case = CASES[name]
    rows = rows_of(case)
    data = toy.lines(tmp_path / "data.jsonl", rows)
    recipe = Recipe.parse(
        {
            "data": {"path": str(data), "text": case.text},
            "heads": {"label": {"column": "label", "task": case.task}},
            "model": {"backbone": str(toy_backbone), "max_length": 48},
            "train": {"method": method, **FIT},
            "evaluate": {"resamples": 20, "suspects": False, "baselines": method == "full"},
        }
    )
    if case.task == "embed" and method == "head":
        with pytest.raises(metier.MetierError, match="nothing to fit"):
            metier.train(recipe, out=tmp_path / "run")
        assert not list(tmp_path.glob("run*"))
        return
    if refused := CANNOT.get(method, {}).get(case.task):
        with pytest.raises(metier.MetierError, match=refused):
            metier.train(recipe, out=tmp_path / "run")
        assert not list(tmp_path.glob("run*"))
        return
    before: dict[str, Any] = {}
    remember(monkeypatch, before, documents_of(case, rows))
    model = metier.train(recipe, out=tmp_path / "run")
    found = model.predict(documents_of(case, rows))
    assert len(found) == len(rows)
    for said, expected in zip(found, before["said"], strict=True):
        assert np.allclose(said["label"].score, expected["label"].score, atol=1e-6)
        assert said["label"].label == plain(expected["label"].label)
        assert 0.0 <= said["label"].score <= 1.0
    figures = json.loads((model.run / "evaluation.json").read_text())["heads"]["label"]
    assert figures["task"] == case.task
    headline = figures["test"]["headline"]
    low, high = headline["interval"]
    assert low <= headline["value"] <= high or case.task in ("score", "embed")
    Run.open(model.run)
    if KNOWN[method].gradient:
        cut_off_and_gone_on_with(recipe, tmp_path / "again", monkeypatch)
        again = metier.load(tmp_path / "again", threads=1).predict(documents_of(case, rows))
        assert [item["label"] for item in again] == [item["label"] for item in found]


def cut_off_and_gone_on_with(recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that is cut off behind its third step, or (a contrastive one has few) its first, and resumed."""
    real, last = loop.steps, 1 if KNOWN[recipe.train.method].solved else 3

    class Cut(Exception):
        """What stands in for a power cut."""

    def some(fit: Any) -> Iterator[loop.Record]:
        for record in real(fit):
            yield record
            if record.step == last:
                raise Cut

    monkeypatch.setattr(loop, "steps", some)
    with pytest.raises(Cut):
        metier.train(recipe.but(train={"checkpoint_seconds": 0.0}), out=out)
    monkeypatch.setattr(loop, "steps", real)
    resume(out, Silent())


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> Path:
    """A tiny backbone with a masked-language head."""
    return asked.masked(tmp_path_factory.mktemp("masked") / "backbone")


@pytest.mark.parametrize("method", ["zero_shot", "few_shot"])
@pytest.mark.parametrize("name", CASES)
def test_a_language_model_is_asked(name, method, tmp_path, masked, monkeypatch):
    case = CASES[name]
    rows = rows_of(case)
    data = toy.lines(tmp_path / "data.jsonl", rows)
    recipe = Recipe.parse(
        {
            "data": {"path": str(data), "text": case.text},
            "heads": {"label": {"column": "label", "task": case.task}},
            "model": {"backbone": str(masked), "max_length": 48},
            "train": {"method": method, "threads": 1},
            "prompt": {"shots": 2, "templates": ["{text} {label}"]},
            "evaluate": {"resamples": 20, "suspects": False, "baselines": False},
        }
    )
    if case.task not in ("classify", "relate"):
        with pytest.raises(metier.MetierError, match=f"{method} has no {case.task}"):
            metier.train(recipe, out=tmp_path / "run")
        assert not list(tmp_path.glob("run*"))
        return
    before: dict[str, Any] = {}
    remember(monkeypatch, before, documents_of(case, rows[:12]))
    model = metier.train(recipe, out=tmp_path / "run")
    for said, expected in zip(model.predict(documents_of(case, rows[:12])), before["said"], strict=True):
        assert said["label"].score == pytest.approx(expected["label"].score, abs=1e-6)
        assert said["label"].label == expected["label"].label


def remember(monkeypatch: pytest.MonkeyPatch, into: dict[str, Any], documents: list[Document]) -> None:
    """Keeps what the fitted model says in the moment when it is saved."""
    from metier.pipeline import weights

    real = weights.save_runtime

    def save(runtime: Any, path: Path) -> None:
        into["said"] = runtime.predict(documents)
        real(runtime, path)

    monkeypatch.setattr(weights, "save_runtime", save)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory, toy_backbone) -> metier.Model:
    """An `embed` run."""
    rows = rows_of(CASES["embed"])
    settings = {"backbone": str(toy_backbone), **FIT, "resamples": 20, "baselines": False, "method": "full"}
    out = tmp_path_factory.mktemp("embedder") / "run"
    return metier.train(rows, text=("text", "other"), label="label", task="embed", out=out, **settings)


def test_a_single_text_is_embedded(embedder):
    lone, pair, other = embedder.predict(["Berlin gains", ("Berlin gains", "Oslo falls"), "Oslo falls"])
    first, second = np.array(lone["label"].label), np.array(other["label"].label)
    assert first.shape == (32,)
    np.testing.assert_allclose(np.linalg.norm(first), 1.0, atol=1e-6)
    assert pair["label"].label == pytest.approx(float(first @ second), abs=1e-5)


def test_a_corpus_of_single_texts_is_embedded(embedder, tmp_path):
    import polars as pl

    corpus = toy.lines(tmp_path / "corpus.jsonl", [{"words": f"Berlin gains {at}"} for at in range(7)])
    result = command("predict", embedder.run, corpus, "--text", "words", "--out", tmp_path / "v.parquet", "--json")
    assert result.code == 0, result.err
    frame = pl.read_parquet(tmp_path / "v.parquet")
    assert frame["label"].dtype == pl.List(pl.Float64) and frame["label"].list.len().to_list() == [32] * 7


def test_pairs_without_a_second_text_are_no_reason_to_stop(embedder, tmp_path):
    rows = rows_of(CASES["embed"])
    for row in rows[:6]:
        row["other"] = None
    settings = {"backbone": embedder.recipe.model.backbone, **FIT, "resamples": 20, "baselines": False}
    model = metier.train(rows, text=("text", "other"), label="label", task="embed", out=tmp_path / "run", **settings)
    assert model.predict("Berlin gains")[0]["label"].score == 1.0


def test_embed_shares_no_encoder_pass(tmp_path, toy_backbone):
    rows = rows_of(CASES["embed"])
    with pytest.raises(metier.MetierError, match="cannot share a run with other heads"):
        metier.train(
            rows,
            text=("text", "other"),
            label=["label", "place"],
            task={"label": "embed", "place": "classify"},
            backbone=str(toy_backbone),
            out=tmp_path / "run",
        )
