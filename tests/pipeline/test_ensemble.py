"""Several fits that answer as one: what is saved and shared, what each is worth, killed and resumed, taught to one."""

import json
from pathlib import Path

import fits
import numpy as np
import pytest
import toy
from commands import killed, metier, refused, started
from safetensors import safe_open

import metier as package
from metier.models.ensemble import Ensemble, assembled, own_weights
from metier.recipe import Recipe

ONE = {"sentiment": {"column": "sentiment"}}


def recipe(data: Path, backbone: Path, *, heads=None, text=(), unlabelled="", ensemble=None, **train) -> Recipe:
    settings = {"learning_rate": 3e-3, "batch_size": 16, "epochs": 2.0, "threads": 1, **train}
    return Recipe.parse(
        {
            "data": {"path": str(data), "text": text, "unlabelled": str(unlabelled)},
            "heads": heads or ONE,
            "model": {"backbone": str(backbone), "max_length": 32},
            "train": settings,
            "semi": {"method": "none"} if not unlabelled else {"confidence": 0.5, "rounds": 1},
            "ensemble": {"members": 2, **(ensemble or {})},
            "evaluate": fits.QUICK,
        }
    )


def members(run: Path) -> list[str]:
    return sorted(file.name for file in run.glob("member-*"))


@pytest.mark.parametrize("kind", ["deep", "snapshot"])
def test_members_and_what_they_say_together(kind, tmp_path, toy_backbone, toy_news):
    model = package.train(recipe(toy_news, toy_backbone, ensemble={"kind": kind, "members": 3}), out=tmp_path / "run")
    assert members(model.run) == ["member-1.safetensors", "member-2.safetensors"]
    whole = model.runtime.network
    assert isinstance(whole, Ensemble) and len({id(one.encoder) for one in whole.networks}) == 3
    documents = ["Berlin shares rises and gains 7", "Oslo company falls and loses 9"]
    model.heads["sentiment"].temperature = 1.0
    together, apart = model.predict(documents), []
    for one in whole.networks:
        model.runtime.network = one
        apart.append([said["sentiment"].probabilities["positive"] for said in model.predict(documents)])
    mean = np.mean(apart, axis=0)
    np.testing.assert_allclose([said["sentiment"].probabilities["positive"] for said in together], mean, atol=1e-6)
    assert np.ptp(apart, axis=0).max() > 1e-4
    found = json.loads((model.run / "evaluation.json").read_text())
    assert len(found["costs"]["members"]) == 3
    head = found["heads"]["sentiment"]
    note = head["notes"][0]
    assert note["head"] == "sentiment" and len(note["values"].split(", ")) == 3
    assert note["value"] == f"{head['test']['headline']['value']:.4f}"
    assert found["costs"]["parameters"] == sum(weight.numel() for weight in whole.parameters())


@pytest.mark.parametrize("name", ["classify", "multilabel", "tag", "score", "relate", "embed"])
def test_every_kind_of_task_and_what_it_says_after_loading(name, tmp_path, toy_backbone, monkeypatch):
    from conformance.test_methods import CASES, documents_of, remember, rows_of

    case = CASES[name]
    rows = rows_of(case)
    data = toy.lines(tmp_path / "data.jsonl", rows)
    before: dict = {}
    remember(monkeypatch, before, documents_of(case, rows))
    settings = recipe(
        data, toy_backbone, heads={"label": {"column": "label", "task": case.task}}, text=case.text, epochs=1.0
    )
    model = package.train(settings, out=tmp_path / "run")
    for said, expected in zip(model.predict(documents_of(case, rows)), before["said"], strict=True):
        assert said["label"].score == pytest.approx(expected["label"].score, abs=1e-6)
    assert isinstance(model.runtime.network, Ensemble)


@pytest.mark.parametrize("name", ["multilabel", "tag", "score", "embed"])
def test_one_network_learns_what_they_say(name, tmp_path, toy_backbone):
    from conformance.test_methods import CASES, documents_of, rows_of

    case = CASES[name]
    rows = rows_of(case)
    data = toy.lines(tmp_path / "data.jsonl", rows)
    heads = {"label": {"column": "label", "task": case.task}}
    settings = recipe(
        data, toy_backbone, heads=heads, text=case.text, epochs=1.0, ensemble={"kind": "snapshot", "distil": True}
    )
    model = package.train(settings, out=tmp_path / "run")
    assert not members(model.run) and not isinstance(model.runtime.network, Ensemble)
    assert len(model.predict(documents_of(case, rows))) == len(rows)
    notes = json.loads((model.run / "evaluation.json").read_text())["heads"]["label"]["notes"]
    assert any("took its place" in note["says"] for note in notes)


def test_a_student_of_self_trained_members_hears_the_unlabelled_texts(tmp_path, toy_backbone, toy_news):
    rows = [{"text": f"Berlin {word} {at}"} for at, word in enumerate([*toy.GOOD, *toy.BAD])]
    more = toy.lines(tmp_path / "more.jsonl", rows)
    settings = recipe(toy_news, toy_backbone, unlabelled=more, epochs=1.0, ensemble={"distil": True})
    run = package.train(settings, out=tmp_path / "run").run
    names = [json.loads(line)["fit"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {name.split("/")[0] for name in names} == {"member-0", "member-1", "student"}
    assert "member-1/round-0" in names
    student = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]
    assert sum(1 for name in names if name == "student") == -(-(72 + len(rows)) // 16) and student["valid"]


def test_what_is_alike_is_there_once(tmp_path, toy_backbone, toy_news):
    run = package.train(recipe(toy_news, toy_backbone, method="head"), out=tmp_path / "head").run
    with safe_open(run / "member-1.safetensors", framework="pt") as stored:
        assert sorted(stored.keys()) == ["heads.0.out.bias", "heads.0.out.weight"]
    first, second = package.load(run).runtime.network.networks
    assert first.encoder is second.encoder and first.heads[0] is not second.heads[0]
    model = package.train(recipe(toy_news, toy_backbone, method="lora"), out=tmp_path / "lora")
    assert (model.run / "member-1.safetensors").stat().st_size < 0.5 * (run / "model.safetensors").stat().st_size
    one, other = model.runtime.network.networks
    assert one.encoder is not other.encoder
    assert one.encoder.words.weight.data_ptr() == other.encoder.words.weight.data_ptr()


def test_own_weights_and_back(toy_run):
    first = package.load(toy_run).runtime.network
    other = package.load(toy_run).runtime.network
    other.heads[0].out.bias.data += 1.0
    own = own_weights(first, other)
    assert list(own) == ["heads.0.out.bias"]
    again = assembled(first, [own]).networks[1]
    assert again.heads[0].out.bias.tolist() == other.heads[0].out.bias.tolist()


@pytest.mark.parametrize("kind", ["deep", "snapshot"])
def test_kill_and_resume(kind, tmp_path, toy_backbone, toy_news):
    plain = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, checkpoint_seconds=0.0, epochs=2)
    command = ["train", plain, "--ensemble", "2", "--set", f"ensemble.kind={kind}", "--set", "ensemble.distil=true"]
    assert metier(*command, "--out", tmp_path / "whole").code == 0
    torn = tmp_path / "torn"
    folder = tmp_path / "torn.partial" / "checkpoint"
    there = folder / ("member-1/checkpoint/fit.safetensors" if kind == "deep" else "snapshot-1.safetensors")
    killed(started(tmp_path / "log", *command, "--out", torn), there.is_file)
    assert "unfinished fit" in refused(*command, "--out", torn)
    resumed = metier("train", "--resume", torn)
    assert resumed.code == 0 and ("member-0: there already" in resumed.err or kind == "snapshot")
    assert fits.weights(torn) == fits.weights(tmp_path / "whole")


def test_what_is_refused(tmp_path, toy_backbone, toy_news):
    def message(settings: Recipe) -> str:
        with pytest.raises(package.MetierError) as caught:
            package.train(settings, out=tmp_path / "run")
        return str(caught.value)

    assert "would be the same" in message(recipe(toy_news, toy_backbone, method="probe"))
    assert "no ensemble to learn from" in message(
        recipe(toy_news, toy_backbone, ensemble={"members": 1, "distil": True})
    )
    assert "needs a fit by gradient" in message(
        recipe(toy_news, toy_backbone, method="contrastive", ensemble={"kind": "snapshot"})
    )
