"""Methods that read labels instead of learning them, from recipe to prediction."""

from __future__ import annotations

import json

import pytest
import toy
from commands import metier as command

import metier
from metier.recipe import Recipe

NAMES = {"good": "the company gains profit", "bad": "fraud and loss"}


def recipe(tmp_path, backbone, rows, head=None, method="zero_shot", **parts):
    data = toy.lines(tmp_path / "data.jsonl", rows)
    return Recipe.parse(
        {
            "data": {"path": str(data), "text": ("text",)},
            "heads": {"mood": {"column": "mood", "task": "classify", **(head or {})}},
            "model": {"backbone": str(backbone), "max_length": 32},
            "train": {"method": method, "threads": 1},
            "evaluate": {"resamples": 20},
            **parts,
        }
    )


def rows_of(count=60, labelled=True):
    import random

    rng = random.Random(3)
    rows = []
    for at in range(count):
        row = {"text": toy.sentence(rng, toy.GOOD if at % 2 else toy.BAD)}
        rows.append({**row, "mood": "good" if at % 2 else "bad"} if labelled else row)
    return rows


def test_without_any_label_a_run_is_written_and_answers(tmp_path, toy_backbone):
    model = metier.train(recipe(tmp_path, toy_backbone, rows_of(labelled=False), {"names": NAMES}), out=tmp_path / "r")
    assert set(model.heads["mood"].labels) == {"good", "bad"}
    said = [item["mood"] for item in model.predict([row["text"] for row in rows_of()])]
    assert {item.label for item in said} == {"good", "bad"}  # the texts are centred: both sides of the middle
    found = json.loads((model.run / "evaluation.json").read_text())["heads"]["mood"]
    assert found["test"] == {} and found["valid"] == {} and any("no label" in note["says"] for note in found["notes"])
    assert "没有标签" in model.report().read_text(encoding="utf-8")
    assert metier.load(model.run).predict(["profit gains"]) == model.predict(["profit gains"])


def test_a_run_without_labels_from_the_command_line(tmp_path, toy_backbone):
    made = recipe(tmp_path, toy_backbone, rows_of(labelled=False), {"names": NAMES})
    made.write(tmp_path / "recipe.toml")
    result = command("train", tmp_path / "recipe.toml", "--out", tmp_path / "run", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["heads"]["mood"]["test"] == {"headline": None}


def test_labels_in_some_rows_are_for_measuring(tmp_path, toy_backbone):
    rows = rows_of()
    for row in rows[10:]:
        row["mood"] = None
    with_labels = metier.train(recipe(tmp_path, toy_backbone, rows, {"names": NAMES}), out=tmp_path / "a")
    figures = json.loads((with_labels.run / "evaluation.json").read_text())["heads"]["mood"]
    assert figures["test"] or figures["valid"]
    for row in rows[:10]:
        row["mood"] = {"good": "bad", "bad": "good"}[row["mood"]]
    other = metier.train(recipe(tmp_path, toy_backbone, rows, {"names": NAMES}), out=tmp_path / "b")
    texts = [row["text"] for row in rows]
    assert [x["mood"].label for x in with_labels.predict(texts)] == [x["mood"].label for x in other.predict(texts)]


def test_what_zero_shot_cannot_do_is_said_in_one_line(tmp_path, toy_backbone):
    rows = rows_of()
    with pytest.raises(metier.MetierError, match=r"No training text has a label of 'mood'.*heads\.mood\.names"):
        metier.train(recipe(tmp_path, toy_backbone, [{**row, "mood": None} for row in rows]), out=tmp_path / "run")
    numbered = [{**row, "mood": int(row["mood"] == "good")} for row in rows]
    with pytest.raises(metier.MetierError, match=r"'0', '1' of 'mood' are numbers"):
        metier.train(recipe(tmp_path, toy_backbone, numbered), out=tmp_path / "run")
    scores = [{**row, "mood": at / 7} for at, row in enumerate(rows)]
    with pytest.raises(metier.MetierError, match=r"zero_shot has no score"):
        metier.train(recipe(tmp_path, toy_backbone, scores, {"task": "score"}), out=tmp_path / "run")
    assert not list(tmp_path.glob("run*"))


def test_many_labels_apply_rarely(tmp_path, toy_backbone):
    head = {"task": "multilabel", "names": {**NAMES, "place": "Berlin Paris Lima"}}
    model = metier.train(recipe(tmp_path, toy_backbone, rows_of(labelled=False), head), out=tmp_path / "run")
    chosen = [len(item["mood"].label) for item in model.predict([row["text"] for row in rows_of()])]
    assert 0 < sum(chosen) < len(chosen)
