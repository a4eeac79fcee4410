"""Methods that read labels instead of learning them, from recipe to prediction."""

from __future__ import annotations

import json

import asked
import endpoints
import numpy as np
import pytest
import toy
from commands import metier as command

import metier
from metier.models import generator
from metier.predict.prompted import Shots
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


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return asked.masked(tmp_path_factory.mktemp("masked") / "backbone", steps=150)


NAMED = {"names": {"good": "profit", "bad": "loss"}}
TEMPLATE = {"templates": ("{text} the report is {label}",)}


def same_after_loading(model, texts):
    before, after = model.predict(texts), metier.load(model.run).predict(texts)
    assert [item["mood"].label for item in before] == [item["mood"].label for item in after]
    for one, other in zip(before, after, strict=True):
        assert one["mood"].score == pytest.approx(other["mood"].score, abs=1e-6)
    return before


def test_a_masked_language_head_gets_labels_right_without_one(tmp_path, masked):
    bare = [{"text": row["text"]} for row in rows_of()]
    model = metier.train(recipe(tmp_path, masked, bare, NAMED, prompt=TEMPLATE), out=tmp_path / "run")
    found = same_after_loading(model, [row["text"] for row in rows_of()])
    right = [item["mood"].label == row["mood"] for item, row in zip(found, rows_of(), strict=True)]
    assert sum(right) > 0.8 * len(right)
    assert not (model.run / "shots.safetensors").exists()


def test_few_shot_with_a_masked_language_head(tmp_path, masked):
    made = recipe(tmp_path, masked, rows_of(), NAMED, "few_shot", prompt={**TEMPLATE, "shots": 2})
    model = metier.train(made, out=tmp_path / "run")
    same_after_loading(model, [row["text"] for row in rows_of(10)])
    assert {"prompt.json", "shots.safetensors"} <= set(metier.Model(model.run)._run.manifest["files"])
    figures = json.loads((model.run / "evaluation.json").read_text())["heads"]["mood"]
    assert figures["test"]["headline"]["name"] == "accuracy"
    assert any(note.get("count") == 2 for note in figures["notes"])


def test_few_shot_with_a_generator_in_a_folder(tmp_path, toy_backbone, tmp_path_factory):
    folder = asked.causal(tmp_path_factory.mktemp("causal") / "gpt")
    prompt = {"generator": str(folder), "shots": 3}
    made = recipe(tmp_path, toy_backbone, rows_of(40), NAMED, "few_shot", prompt=prompt)
    model = metier.train(made, out=tmp_path / "run")
    same_after_loading(model, ["Oslo gains record", "Berlin falls"])
    assert model.evaluate([{"text": "Oslo gains", "mood": "good"}])["mood"]["test"]["accuracy"] in (0.0, 1.0)
    folder.rename(folder.with_name("gone"))
    with pytest.raises(metier.MetierError, match="no folder"):
        metier.load(model.run)


def test_an_endpoint_is_shown_the_nearest_texts_and_its_key_is_kept_nowhere(tmp_path, toy_backbone, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret-key")

    def answer(path, content):
        text = content["messages"][-1]["content"].rpartition("Text: ")[2]
        words = set(text.split())
        said = "profit" if words & set(toy.GOOD) else "loss" if words & set(toy.BAD) else "what?"
        return 200, {"choices": [{"message": {"content": said}}]}

    with endpoints.served(answer) as (address, heard):
        prompt = {"endpoint": address, "generator": "tiny", "shots": 4}
        made = recipe(tmp_path, toy_backbone, rows_of(), NAMED, "few_shot", prompt=prompt)
        model = metier.train(made, out=tmp_path / "run")
        said = same_after_loading(model, [*(row["text"] for row in rows_of(8)), "the company today"])
        figures = json.loads((model.run / "evaluation.json").read_text())["heads"]["mood"]
        assert figures["test"]["accuracy"] == 1.0
        assert said[-1]["mood"].abstain and not said[0]["mood"].abstain
        talk = heard[0]["messages"][-1]["content"]
        assert talk.count("Text: ") == 5 and talk.count("Label: profit") == talk.count("Label: loss") == 2
    with pytest.raises(metier.MetierError, match="does not answer"):
        model.predict(["Oslo gains"])
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or b"s3cret-key" not in file.read_bytes()


def test_an_endpoint_that_fails_leaves_nothing(tmp_path, toy_backbone, monkeypatch):
    monkeypatch.setattr(generator, "PAUSE", 0.0)
    prompt = {"endpoint": "http://127.0.0.1:9/v1", "generator": "tiny", "shots": 2}
    with pytest.raises(metier.MetierError, match="does not answer"):
        metier.train(recipe(tmp_path, toy_backbone, rows_of(20), NAMED, "few_shot", prompt=prompt), out=tmp_path / "r")
    assert not list(tmp_path.glob("r*"))


def test_what_few_shot_needs_is_said_in_one_line(tmp_path, toy_backbone, masked):
    out = tmp_path / "run"
    with pytest.raises(metier.MetierError, match=r"few_shot shows examples.*prompt\.endpoint.*contrastive"):
        metier.train(recipe(tmp_path, toy_backbone, rows_of(), method="few_shot"), out=out)
    with pytest.raises(metier.MetierError, match=r"has 16 labelled texts for 'mood', and prompt\.shots is 30"):
        metier.train(recipe(tmp_path, masked, rows_of(20), NAMED, "few_shot", prompt={"shots": 30}), out=out)
    with pytest.raises(metier.MetierError, match="has no score"):
        scores = [{**row, "mood": at / 7} for at, row in enumerate(rows_of())]
        metier.train(recipe(tmp_path, masked, scores, {"task": "score"}, "few_shot"), out=out)
    with pytest.raises(metier.MetierError, match=r"0 times \{text\}"):
        metier.train(recipe(tmp_path, masked, rows_of(), NAMED, prompt={"templates": ("It is {label}",)}), out=out)
    assert not list(tmp_path.glob("run*"))


def test_the_nearest_of_each_label_are_shown_nearest_last():
    texts, targets = ["a", "b", "c", "d", "e"], [{"m": 0}, {"m": 0}, {"m": 0}, {"m": 1}, {}]
    vectors = np.array([[1.0, 0], [0.9, 0], [0.8, 0], [0.1, 0], [1.0, 0]])
    shots = Shots(texts, targets, vectors, 2)
    assert shots.choose("m", 2, "x", np.array([1.0, 0])) == (("d", 1), ("a", 0))
    assert shots.choose("m", 2, "a", np.array([1.0, 0])) == (("d", 1), ("b", 0))
    assert shots.choose("m", 9, "x", np.array([1.0, 0])) == (("b", 0), ("a", 0))
