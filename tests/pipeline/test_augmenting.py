"""Copies in a run: only training texts are copied, what disagrees is thrown away, what was made is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fits
import numpy as np
import pytest
import tomli_w
import toy
from commands import killed, metier, started
from conformance.test_methods import CASES, rows_of

from metier.errors import BackboneError, MetierError, RecipeError
from metier.pipeline import augment as stage
from metier.pipeline.agreement import agrees, sameness
from metier.pipeline.dataset import read_dataset
from metier.pipeline.fit import _of_names, estimate, look
from metier.pipeline.naming import add_names
from metier.pipeline.prepare import Prepared, prepare
from metier.pipeline.train import train
from metier.pipeline.watch import Silent
from metier.recipe import Recipe
from metier.tasks.classify import Classify
from metier.tasks.embed import Embed
from metier.tasks.score import Score
from metier.types import Prediction, Span

HERE = Path(__file__).parent
EDA = {"synonyms": 0.2, "insertions": 0.2, "swaps": 0.2, "deletions": 0.2}
ALL = {"typos": 0.1, **EDA}


class Said(Silent):
    """Remembers the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def described(data: Path, backbone: Path, wanted: dict[str, Any], **more: Any) -> Recipe:
    heads = more.pop("heads", {"sentiment": {"column": "sentiment"}})
    parts = {"model": {"backbone": str(backbone), "max_length": 32}, "evaluate": fits.QUICK, "augment": wanted}
    settings = {**fits.FIT, **more.pop("train", {})}
    return Recipe.parse({"data": {"path": str(data), **more}, "heads": heads, "train": settings, **parts})


def ready(recipe: Recipe) -> Prepared:
    dataset = read_dataset(recipe, recipe.data.path, Silent())
    return prepare(dataset.resolve(recipe), dataset)


@pytest.mark.parametrize("name", CASES)
def test_every_task_takes_copies(name, tmp_path, toy_backbone):
    case = CASES[name]
    data = toy.lines(tmp_path / "data.jsonl", rows_of(case))
    heads = {"label": {"column": "label", "task": case.task}}
    prepared = ready(described(data, toy_backbone, ALL, heads=heads, text=case.text))
    held = {split: prepared.tables[split] for split in ("valid", "test")}
    originals = prepared.dataset.examples["train"]
    rows = prepared.tables["train"].rows
    fitted = look(prepared, Silent())
    assert prepared.made and len(originals) < len(prepared.tables["train"].documents)
    assert all(prepared.tables[split] is table for split, table in held.items())
    table = prepared.tables["train"]
    assert table.documents[: len(originals)] == [example.document for example in originals]
    assert np.array_equal(table.rows.ids[: len(rows.ids)], rows.ids)
    assert len(table.targets["label"]) == len(table.rows) and fitted.rows is not None
    assert fitted.rows.max() < len(rows)
    known = {(example.document.text, example.document.pair) for example in originals}
    copied = [(example.document.text, example.document.pair) for example in prepared.made]
    assert len(set(copied)) == len(copied) and not known & set(copied)
    for example in prepared.made:
        for target in example.targets.values():
            for span in target if isinstance(target, tuple) else ():
                assert not isinstance(span, Span) or example.document.text[span.start : span.end] == span.text


def test_what_was_made_is_counted_and_told(tmp_path, toy_backbone, toy_news):
    watch = Said()
    recipe = described(toy_news, toy_backbone, {"typos": 0.1, "deletions": 0.2, "copies": 2}, train={"epochs": 1.0})
    run = train(recipe, out=tmp_path / "run", source=None, watch=watch)
    found = json.loads((run.path / "evaluation.json").read_text())
    counts = found["data"]["augmented"]
    assert list(counts) == ["typos", "deletions"]
    for kind in counts.values():
        assert kind["made"] + kind["unchanged"] == 2 * found["data"]["rows"]["train"]
        assert kind["made"] == kind["kept"] + kind["repeated"] + kind["disagreed"]
    assert [note["kind"] for note in found["heads"]["sentiment"]["notes"]] == ["typos", "deletions"]
    page = (run.path / "report.html").read_text()
    assert "training texts were made by typos" in page and "用“错别字”生成了" in page
    assert "were made by deletions" in (run.path / "card.md").read_text()
    kept = sum(kind["kept"] for kind in counts.values())
    assert any(line.startswith(f"{kept} training texts made from") for line in watch.lines)


def test_switched_off_it_costs_nothing(toy_backbone, toy_news):
    off, on = (ready(described(toy_news, toy_backbone, wanted)) for wanted in ({"copies": 3}, {"typos": 0.1}))
    assert stage.rates(off.recipe) == {} and stage.growth(off.recipe) == 1 and stage.growth(on.recipe) == 2
    table = off.tables["train"]
    look(off, Silent())
    assert off.tables["train"] is table and not off.made and not off.notes
    assert "augmented" not in off.dataset.summary
    assert estimate(on) > 0


def test_the_estimate_counts_the_names_of_labels(toy_backbone, toy_news):
    settings = {"train": {"method": "contrastive"}}
    prepared = [ready(described(toy_news, toy_backbone, wanted, **settings)) for wanted in ({}, {"names": False})]
    rows = [len(one.tables["train"].rows) for one in prepared]
    costs = [_of_names(one) for one in prepared]
    add_names(prepared[0])
    table = prepared[0].tables["train"]
    assert costs == [(len(table.rows) - rows[0], int(table.lengths[rows[0] :].sum())), (0, 0)] and costs[0][0] > 0
    assert _of_names(prepared[0]) == (0, 0), "they are in the table now"


def test_the_seed_makes_the_copies(toy_backbone, toy_news):
    def texts(seed: int, wanted: dict[str, Any]) -> list[str]:
        recipe = described(toy_news, toy_backbone, {**wanted, "agree": False}).but(seed=seed)
        prepared = ready(recipe)
        stage.augment(prepared, Silent(), judged=False)
        return [example.document.text for example in prepared.made]

    assert texts(1, ALL) == texts(1, ALL) != texts(2, ALL)
    alone = texts(1, {"swaps": 0.2})
    assert set(alone) <= set(texts(1, ALL)) and alone


def test_copies_that_the_probe_reads_otherwise_are_thrown_away(toy_backbone, toy_news):
    kept: dict[bool, list[str]] = {}
    for agree in (True, False):
        prepared = ready(described(toy_news, toy_backbone, {"deletions": 0.6, "copies": 3, "agree": agree}))
        look(prepared, Silent())
        kept[agree] = [example.document.text for example in prepared.made]
        counts = prepared.dataset.summary["augmented"]["deletions"]
        assert counts["kept"] == len(kept[agree]) and (counts["disagreed"] > 0) == agree
    assert 0 < len(kept[True]) < len(kept[False]) and set(kept[True]) <= set(kept[False])


def test_the_rule_of_agreement():
    def says(label: Any, score: float = 0.9) -> Prediction:
        return Prediction(label, score)

    same = sameness(Classify(["a", "b", "c"]), ["a", "b"])
    assert agrees(says("a"), says("a"), "a", same) and not agrees(says("a"), says("b"), "a", same)
    assert agrees(says("a", 0.4), says("b"), "a", same)  # the probe does not know the text itself
    assert agrees(says("b"), says("a"), "a", same)  # the copy is read as people read it
    assert agrees(says("b"), says("b"), "a", same) and not agrees(says("b"), says("c"), "a", same)
    near = sameness(Score(), [0.0, 2.0])
    assert agrees(says(1.0), says(1.9), 0.0, near) and not agrees(says(1.0), says(2.1), 0.0, near)
    spans = ((Span(3, 5, "X"), Span(0, 2, "Y")), (Span(1, 2, "Y"), Span(7, 9, "X")), (Span(1, 2, "Y"),))
    assert same(spans[0], spans[1]) and not same(spans[0], spans[2])
    assert same(("b", "a"), ("a", "b")) and not same(("a",), ("a", "b"))
    assert sameness(Embed(), [])(0.0, 1.0)


def test_a_probe_is_fitted_to_the_copies_too(tmp_path, toy_backbone, toy_news):
    runs = {}
    for name, wanted in (("plain", {}), ("typos", {"typos": 0.2}), ("unjudged", {"typos": 0.2, "agree": False})):
        recipe = described(toy_news, toy_backbone, wanted, train={"method": "probe"})
        runs[name] = train(recipe, out=tmp_path / name, source=None, watch=Silent()).path
    assert len({fits.weights(path) for path in runs.values()}) == 3


def test_texts_that_cannot_be_changed_are_said_to_be(tmp_path, toy_backbone):
    rows = [
        {"text": f"{row} %", "y": str(row % 2), "split": "train" if row < 20 else "valid" if row < 30 else "test"}
        for row in range(40)
    ]
    data = toy.lines(tmp_path / "data.jsonl", rows)
    prepared = ready(described(data, toy_backbone, {"synonyms": 0.1}, heads={"y": {"column": "y", "task": "classify"}}))
    look(prepared, Silent())
    assert not prepared.made and "could be changed" in prepared.notes[0]["says"]
    assert prepared.dataset.summary["augmented"]["synonyms"]["unchanged"] == 20


def test_no_copy_says_what_a_held_out_text_says(tmp_path, toy_backbone):
    rows = [{"text": f"bank wins {row}", "y": "up", "split": "train"} for row in range(8)]
    rows += [{"text": f"bank falls {row}", "y": "down", "split": "train"} for row in range(8)]
    rows += [{"text": f"Wins bank {row}", "y": "up", "split": "test"} for row in range(8)]
    data = toy.lines(tmp_path / "data.jsonl", rows)
    prepared = ready(described(data, toy_backbone, {"swaps": 0.5, "agree": False}, heads={"y": {"column": "y"}}))
    look(prepared, Silent())
    assert {example.targets["y"] for example in prepared.made} == {"down"}
    left = sum(example.targets["y"] == "up" for example in prepared.dataset.examples["train"])
    assert prepared.dataset.summary["augmented"]["swaps"]["repeated"] == left > 0


def test_mistakes_are_one_line_each(tmp_path, toy_backbone, toy_news):
    for wanted, kind, words in (
        ({"masked": 0.1}, BackboneError, "has no masked-language head"),
        ({"masked": 0.1, "fill": "minilm"}, BackboneError, "minilm has no masked-language head"),
        ({"translate": [str(tmp_path), str(tmp_path)]}, BackboneError, "no readable config.json"),
    ):
        with pytest.raises(kind, match=words):
            ready(described(toy_news, toy_backbone, wanted))
    with pytest.raises(MetierError, match="has no masked-language head"):
        train(described(toy_news, toy_backbone, {"masked": 0.1}), out=tmp_path / "run", source=None, watch=Silent())
    assert not list(tmp_path.glob("run*"))
    with pytest.raises(RecipeError, match="takes two folders"):
        described(toy_news, toy_backbone, {"translate": ["one"]})
    with pytest.raises(RecipeError, match="zero_shot does not fit"):
        stage.require(described(toy_news, toy_backbone, ALL, train={"method": "zero_shot"}), None)  # type: ignore[arg-type]


def test_a_cut_off_fit_goes_on_with_the_same_copies(tmp_path, toy_backbone, toy_news):
    recipe = tmp_path / "r.toml"
    parts = described(toy_news, toy_backbone, {"typos": 0.1, "synonyms": 0.3}, train={"checkpoint_seconds": 0.0})
    recipe.write_text(tomli_w.dumps(parts.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert metier("train", recipe, "--out", whole).code == 0
    killed(started(tmp_path / "log", "train", recipe, "--out", torn), lambda: fits.step(torn) >= 9)
    assert metier("train", "--resume", torn).code == 0
    assert fits.weights(torn) == fits.weights(whole)


def test_processes_that_share_a_fit_keep_the_same_copies(tmp_path, toy_backbone, toy_news):
    recipe = tmp_path / "r.toml"
    wanted = {"deletions": 0.6, "synonyms": 0.3}
    parts = described(toy_news, toy_backbone, wanted, train={"epochs": 2.0}).model_dump(mode="json", exclude_none=True)
    recipe.write_text(tomli_w.dumps(parts), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [HERE / "shared_fit.py", tmp_path, "train", recipe, "--out", tmp_path / "run", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0]["weights"] == ranks[1]["weights"] and ranks[0]["steps"] == ranks[1]["steps"]
    counts = json.loads((tmp_path / "run" / "evaluation.json").read_text())["data"]["augmented"]["deletions"]
    assert counts["disagreed"] > 0 and counts["kept"] > 0
