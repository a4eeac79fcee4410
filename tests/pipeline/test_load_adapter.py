"""Runs that save their adapter alone: how little that is, whose weights they share, and whose they refuse."""

import gc
import json
import shutil

import pytest
import torch
import toy
from commands import refused

import metier
from metier.errors import RunError
from metier.models import backbone as backbones

SETTINGS = {"epochs": 2, "batch_size": 16, "max_length": 32, "threads": 1, "baselines": False, "resamples": 20}


def fitted(folder, data, backbone, method, **settings):
    label = settings.pop("label", "sentiment")
    return metier.train(
        data, label=label, out=folder / method, method=method, backbone=str(backbone), **{**SETTINGS, **settings}
    )


@pytest.fixture(scope="module")
def own_backbone(tmp_path_factory):
    """A backbone of these tests alone, that they may move and change."""
    return toy.backbone(tmp_path_factory.mktemp("own") / "backbone", width=48)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, toy_news, own_backbone):
    """Two LoRA runs beside one backbone."""
    folder = tmp_path_factory.mktemp("adapters")
    return [fitted(folder / name, toy_news, own_backbone, "lora", label=name).run for name in ("sentiment", "place")]


def base_weights(model):
    encoder = model.runtime.network.encoder
    own = set(encoder.adapter.weights())
    return {name: weight for name, weight in encoder.named_parameters() if name not in own}


def test_the_adapter_alone_is_saved(runs, own_backbone):
    assert not (runs[0] / "model.safetensors").exists()
    files = (runs[0] / "adapter.safetensors", own_backbone / "model.safetensors")
    small, whole = (file.stat().st_size for file in files)
    assert small < 0.7 * whole  # of a toy; of a real backbone a fiftieth
    saved = json.loads((runs[0] / "encoder.json").read_text())["adapter"]
    assert saved["backbone"]["sha256"] == backbones.find(str(own_backbone)).sha256
    assert saved["method"] == "lora" and saved["settings"]["rank"] == 8


def test_runs_beside_one_backbone_share_its_memory(runs):
    texts = ["Berlin gains record profit", "Oslo sinks, weak results"]
    alone = [metier.load(run).predict(texts) for run in runs]
    first, second = (metier.load(run) for run in runs)
    ours, theirs = base_weights(first), base_weights(second)
    assert len(ours) > 20 and ours.keys() == theirs.keys()
    assert all(weight.data_ptr() == theirs[name].data_ptr() for name, weight in ours.items())
    assert [first.predict(texts), second.predict(texts)] == alone


def test_the_memory_is_given_back_and_no_fit_writes_into_it(runs, toy_news, own_backbone, tmp_path):
    model = metier.load(runs[0])
    before = {name: weight.clone() for name, weight in base_weights(model).items()}
    for method in ("full", "adapter"):
        fitted(tmp_path, toy_news, own_backbone, method, learning_rate=1e-2)
    assert all(torch.equal(weight, before[name]) for name, weight in base_weights(model).items())
    key = backbones.find(str(own_backbone)).sha256, "cpu"
    assert key in backbones._FROZEN
    del model
    gc.collect()
    assert key not in backbones._FROZEN


def test_loading_draws_nothing_from_the_callers_generator(runs):
    before = torch.get_rng_state()
    metier.load(runs[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_marks_of_a_task_are_saved_and_trained(tmp_path, own_backbone):
    import fits

    data = fits.relations(tmp_path / "data.jsonl")
    model = fitted(tmp_path, data, own_backbone, "lora", label="label", task="relate", epochs=6)
    words = model.runtime.network.encoder.words
    assert words.rows.shape == (4, 48) and words.rows.abs().sum() > 0
    text = "<e1>Berlin</e1> gains <e2>Oslo</e2> today"
    assert metier.load(model.run).predict([text]) == model.predict([text])


def test_another_backbone_is_refused_and_nothing_is_lost(tmp_path, toy_news):
    backbone = toy.backbone(tmp_path / "backbone")
    run = fitted(tmp_path, toy_news, backbone, "lora").run
    weights = backbone / "model.safetensors"
    kept = weights.read_bytes()
    toy.backbone(tmp_path / "other", width=16)
    shutil.copyfile(tmp_path / "other" / "model.safetensors", weights)
    message = refused("evaluate", run, toy_news)
    assert "is an adapter beside the backbone" in message and "Try:" in message and message.count("\n") <= 1
    saved = json.loads((run / "encoder.json").read_text())["adapter"]
    assert backbones.find(str(backbone)).sha256[:12] in message and saved["backbone"]["sha256"][:12] in message
    backbone.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="not to be found"):
        metier.load(run)
    (tmp_path / "elsewhere").rename(backbone)
    weights.write_bytes(kept)
    assert metier.load(run).predict(["Berlin gains"])


def test_a_run_beside_a_folder_named_relatively_is_found_from_elsewhere(tmp_path, toy_news, own_backbone, monkeypatch):
    monkeypatch.chdir(own_backbone.parent)
    run = fitted(tmp_path, toy_news, own_backbone.name, "lora").run
    monkeypatch.chdir(tmp_path)
    assert metier.load(run).predict(["Berlin gains"])


def test_how_many_weights_were_trained_is_told(runs):
    costs = json.loads((runs[0] / "evaluation.json").read_text())["costs"]
    assert 0 < costs["trained"] < costs["parameters"]
    assert f"{costs['trained']:,} of {costs['parameters']:,}" in (runs[0] / "card.md").read_text()
