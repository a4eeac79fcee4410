"""`metier merge`: an adapter becomes part of the weights, and the answers stay."""

import sys

import pytest
from commands import metier as command
from commands import refused

import metier
from metier.pipeline.merge import merge
from metier.run import Run

TEXTS = ["Berlin gains record profit", "Oslo sinks, weak results", "Lima"]
SETTINGS = {
    "epochs": 6,
    "batch_size": 8,
    "max_length": 32,
    "threads": 1,
    "baselines": False,
    "resamples": 20,
    "precision": "fp32",
}


def fitted(out, data, backbone, method, label="sentiment", **settings):
    return metier.train(data, label=label, out=out, method=method, backbone=str(backbone), **{**SETTINGS, **settings})


@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_a_merged_run_says_the_same(method, tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method)
    made = merge(model.run, tmp_path / "whole")
    assert (made.path / "model.safetensors").is_file() and not (made.path / "adapter.safetensors").exists()
    assert made.manifest["parent"] == Run.open(model.run).version
    whole = metier.load(made.path)
    assert whole.runtime.network.encoder.adapter is None
    assert not [name for name in whole.runtime.network.state_dict() if "lora" in name or "base_layer" in name]
    for said, expected in zip(whole.predict(TEXTS), model.predict(TEXTS), strict=True):
        assert said["sentiment"].label == expected["sentiment"].label
        assert said["sentiment"].score == pytest.approx(expected["sentiment"].score, abs=1e-5)
    assert (made.path / "report.html").is_file() and (made.path / "evaluation.json").is_file()
    assert model.predict(TEXTS) == metier.load(model.run).predict(TEXTS)  # the shared weights are as they were


def test_marks_of_a_task_are_merged_too(tmp_path, toy_backbone):
    import fits

    data = fits.relations(tmp_path / "data.jsonl")
    model = fitted(tmp_path / "run", data, toy_backbone, "lora", label="label", task="relate")
    whole = metier.load(merge(model.run, tmp_path / "whole").path)
    text = ["<e1>Berlin</e1> gains <e2>Oslo</e2> today"]
    assert whole.predict(text)[0]["label"].score == pytest.approx(model.predict(text)[0]["label"].score, abs=1e-5)


def test_the_command(tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, "lora", epochs=1)
    done = command("merge", model.run, "--out", tmp_path / "whole", "--json")
    assert done.code == 0, done.err
    assert done.json["run"] == str(tmp_path / "whole") and done.json["parent"] == Run.open(model.run).version
    assert "would take the place" in refused("merge", model.run, "--out", model.run)
    assert "has no adapter" in refused("merge", tmp_path / "whole", "--out", tmp_path / "again")


def test_a_merged_run_needs_no_peft_and_an_adapter_says_so(tmp_path, toy_backbone, toy_news, monkeypatch):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, "lora", epochs=1)
    made = merge(model.run, tmp_path / "whole")
    expected = metier.load(made.path).predict(TEXTS)
    monkeypatch.setitem(sys.modules, "peft", None)
    assert metier.load(made.path).predict(TEXTS) == expected
    said = refused("predict", model.run, toy_news, "--out", tmp_path / "scored.csv")
    assert "peft is not installed" in said and "metier[train]" in said


@pytest.mark.parametrize(("method", "why"), [("adapter", "non-linearity"), ("prefix", "keys"), ("prompt", "tokens")])
def test_what_cannot_be_folded_is_refused(method, why, tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method, epochs=1)
    message = refused("merge", model.run, "--out", tmp_path / "whole")
    assert why in message and "cannot be merged" in message
    assert not (tmp_path / "whole").exists() and not list(tmp_path.glob("*.partial"))
