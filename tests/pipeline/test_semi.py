"""Fits that hear of texts without labels: every kind of task and way, killed and resumed, and what is refused."""

import json
import random
from pathlib import Path

import fits
import pytest
import toy
from commands import killed, metier, refused, started

import metier as package
from metier.recipe import Recipe

ONE = {"sentiment": {"column": "sentiment"}}
EASY = {"confidence": 0.6, "confidence_end": 0.5}


@pytest.fixture(scope="module")
def further(tmp_path_factory) -> Path:
    """Forty texts without labels, two that repeat others, one that is empty."""
    rng = random.Random(9)
    texts = [f"{rng.choice(toy.PLACES)} {toy.sentence(rng, rng.choice([toy.GOOD, toy.BAD]))}" for _ in range(40)]
    rows = [{"text": text, "label": "nothing"} for text in [*texts, texts[0], texts[1].upper(), " "]]
    return toy.lines(tmp_path_factory.mktemp("further") / "further.jsonl", rows)


def recipe(data, backbone, further, *, semi=None, heads=None, text=(), **train) -> Recipe:
    settings = {"learning_rate": 3e-3, "batch_size": 16, "epochs": 2.0, "threads": 1, "head_start": "probe", **train}
    return Recipe.parse(
        {
            "data": {"path": str(data), "unlabelled": str(further), "text": text},
            "heads": heads or ONE,
            "model": {"backbone": str(backbone), "max_length": 32},
            "train": settings,
            "semi": {**EASY, **(semi or {})},
            "evaluate": fits.QUICK,
        }
    )


def notes(run: Path) -> list[str]:
    found = json.loads((run / "evaluation.json").read_text())
    head = next(iter(found["heads"].values()))
    return [note["says"].format(**note) for note in head["notes"]]


@pytest.mark.parametrize("method", ["probe", "full", "lora"])
def test_self_training(method, tmp_path, toy_backbone, toy_news, further):
    settings = recipe(toy_news, toy_backbone, further, method=method, epochs=1.0)
    run = package.train(settings, out=tmp_path / "run").run
    said = notes(run)
    assert "40 unlabelled texts of further.jsonl were used; 1 empty ones, 2 repeated ones and 0 that" in said[0]
    assert said[1].startswith("Round 1:") and said[2].startswith("Round 2:") and "were kept" in said[3]
    found = json.loads((run / "evaluation.json").read_text())
    assert found["data"]["further"]["texts"] == 40 and found["data"]["rows"]["train"] == 72
    assert {record["fit"] for record in found["curve"]} == {"round-0", "round-1", "round-2"}
    steps = [record["step"] for record in found["curve"]]
    assert steps == sorted(steps)


WAYS = [
    *((name, "self_training") for name in ("multilabel", "tag", "score", "relate")),
    *((name, "pseudo") for name in ("multilabel", "tag")),
    *((name, "uda") for name in ("tag", "relate")),
]


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_every_kind_of_task(name, way, tmp_path, toy_backbone):
    from conformance.test_methods import CASES, rows_of

    case = CASES[name]
    rows = rows_of(case)
    data = toy.lines(tmp_path / "data.jsonl", [row for at, row in enumerate(rows) if at % 5 or at % 2])
    more = toy.lines(tmp_path / "more.jsonl", [{"text": row["text"]} for row in rows])
    settings = recipe(
        data, toy_backbone, more, heads={"label": {"column": "label", "task": case.task}}, text=case.text,
        semi={"method": way, "confidence": 0.01, "confidence_end": 0.0, "rounds": 1}, epochs=1.0,
    )  # fmt: skip
    model = package.train(settings, out=tmp_path / "run")
    assert len(model.predict([row["text"] for row in rows[:3]])) == 3
    first = notes(model.run)[0]
    assert "64 that the labelled data hold" in first


@pytest.mark.parametrize("way", ["pseudo", "uda"])
def test_kill_and_resume_within_a_fit(way, tmp_path, toy_backbone, toy_news, further):
    plain = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, checkpoint_seconds=0.0)
    again = ["--set", f"semi.method={way}", "--set", "semi.confidence=0.5", "--unlabelled", further]
    assert metier("train", plain, *again, "--out", tmp_path / "whole").code == 0
    torn = tmp_path / "torn"
    killed(started(tmp_path / "log", "train", plain, *again, "--out", torn), lambda: fits.step(torn) >= 12)
    assert metier("train", "--resume", torn).code == 0
    assert fits.weights(torn) == fits.weights(tmp_path / "whole")


def test_kill_and_resume_in_the_second_round(tmp_path, toy_backbone, toy_news, further):
    plain = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, checkpoint_seconds=0.0, epochs=2)
    again = ["--set", "semi.confidence=0.5", "--set", "semi.rounds=1", "--unlabelled", further]
    assert metier("train", plain, *again, "--out", tmp_path / "whole").code == 0
    torn = tmp_path / "torn"
    second = tmp_path / "torn.partial" / "checkpoint" / "round-1" / "checkpoint" / "fit.safetensors"
    killed(started(tmp_path / "log", "train", plain, *again, "--out", torn), second.is_file)
    assert "unfinished fit" in refused("train", plain, *again, "--out", torn)
    resumed = metier("train", "--resume", torn)
    assert resumed.code == 0 and "round-0: there already" in resumed.err
    assert fits.weights(torn) == fits.weights(tmp_path / "whole")
    assert notes(torn) == notes(tmp_path / "whole")


def test_virtual_adversarial_training_hears_of_unlabelled_texts(tmp_path, toy_backbone, toy_news, further):
    settings = recipe(toy_news, toy_backbone, further, semi={"method": "none"}, epochs=1.0)
    with pytest.raises(package.MetierError, match="leaves nothing to learn from"):
        package.train(settings, out=tmp_path / "none")
    run = package.train(settings.but(regularise={"adversarial": "vat"}), out=tmp_path / "run").run
    examples = sum(json.loads(line)["examples"] for line in (run / "metrics.jsonl").read_text().splitlines())
    assert examples == 72 + 40


def test_what_is_refused(tmp_path, toy_backbone, toy_news, further):
    def message(settings: Recipe) -> str:
        with pytest.raises(package.MetierError) as caught:
            package.train(settings, out=tmp_path / "run")
        assert not list(tmp_path.glob("run*"))
        return str(caught.value)

    held = toy.lines(tmp_path / "held.jsonl", [{"text": ""}])
    assert "no text is left: 1 are empty" in message(recipe(toy_news, toy_backbone, held))
    assert "There is no file" in message(recipe(toy_news, toy_backbone, tmp_path / "lost.csv"))
    assert "needs a fit by gradient" in message(
        recipe(toy_news, toy_backbone, further, semi={"method": "uda"}, method="probe")
    )
    assert "there are none" in message(recipe(toy_news, toy_backbone, "", semi={"method": "pseudo"}))
    odd = toy.lines(tmp_path / "odd.jsonl", [{"one": "Oslo gains today", "two": "Rome falls today"}])
    assert "it has the columns 'one', 'two'. Expected: 'text'" in message(recipe(toy_news, toy_backbone, odd))
    known = toy_news.read_text()
    (tmp_path / "known.csv").write_text(known)
    assert "120 are among the labelled texts" in message(recipe(toy_news, toy_backbone, tmp_path / "known.csv"))
