"""What a run was fitted on, read again, and the steps that make it smaller."""

import shutil

import numpy as np
import pytest
import toy

import metier
from metier.errors import RunError
from metier.pipeline.optimise.material import material
from metier.pipeline.optimise.recover import answers, recover
from metier.pipeline.watch import Silent
from metier.run import Run

SETTINGS = {"epochs": 3, "batch_size": 8, "max_length": 32, "threads": 1, "baselines": False, "resamples": 20}
TEXTS = ["Berlin gains record profit", "Oslo sinks, weak results", "Lima"]


def fitted(out, data, backbone, **settings):
    settings = {"label": "sentiment", "backbone": str(backbone), "suspects": False, **SETTINGS, **settings}
    return metier.train(data, out=out, **settings)


class Told(Silent):
    """Remembers what was said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_the_material_of_a_run_is_that_of_its_fit(toy_run):
    prepared = material(Run.open(toy_run), None, Silent())
    assert prepared.dataset.summary["rows"] == {"train": 72, "valid": 24, "test": 24}
    assert set(prepared.heads) == {"sentiment", "place"} and not prepared.notes
    model = metier.load(toy_run)
    texts = [document.text for document in prepared.tables["test"].documents]
    assert prepared.runtime.predict(prepared.tables["test"].documents) == model.predict(texts)
    assert prepared.backbone.sha256 and prepared.backbone.folder == toy_run


def test_data_that_changed_or_is_gone(tmp_path, toy_backbone):
    data = toy.news(tmp_path / "news.csv")
    run = Run.open(fitted(tmp_path / "run", data, toy_backbone, epochs=1).run)
    moved = shutil.copy(data, tmp_path / "moved.csv")
    data.write_text(data.read_text() + "Rome rises,positive,Rome,train\n")
    with pytest.raises(RunError, match="has changed since .* --data"):
        material(run, None, Silent())
    told = Told()
    other = material(run, data, told)
    assert len(other.notes) == 1 and len(other.tables["train"].rows) == 73 and "not the data" in " ".join(told.said)
    data.unlink()
    with pytest.raises(RunError, match="not there any more.*--data"):
        material(run, None, Silent())
    assert not material(run, moved, Silent()).notes


def test_a_table_in_memory_is_asked_for(tmp_path, toy_backbone):
    rows = [
        {"text": f"{word} {number}", "sentiment": label}
        for number in range(8)
        for label, words in (("good", toy.GOOD), ("bad", toy.BAD))
        for word in words[:4]
    ]
    run = Run.open(fitted(tmp_path / "run", rows, toy_backbone, epochs=1).run)
    with pytest.raises(RunError, match="table in memory"):
        material(run, None, Silent())
    assert not material(run, rows, Silent()).notes


def test_an_adapter_becomes_weights_that_are_the_run_s_own(tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method="lora")
    said = model.predict(TEXTS)
    prepared = material(Run.open(model.run), None, Silent())
    assert prepared.network.encoder.adapter is None
    table = prepared.tables["test"]
    before, own = model.runtime.logits(table)["sentiment"], prepared.runtime.logits(table)["sentiment"]
    assert np.allclose(before, own, atol=1e-5)
    for weight in prepared.network.parameters():
        assert weight.requires_grad
        weight.data.zero_()
    assert metier.load(model.run).predict(TEXTS) == said  # what other runs share is as it was


@pytest.mark.parametrize("method", ["adapter", "prefix", "prompt"])
def test_other_adapters_are_refused(method, tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method=method, epochs=1)
    with pytest.raises(RunError, match=f"method '{method}' cannot be made smaller"):
        material(Run.open(model.run), None, Silent())


def test_a_recovery_is_never_a_loss(tmp_path, toy_run):
    prepared = material(Run.open(toy_run), None, Silent())
    teacher = answers(prepared, Silent())
    for layer in prepared.network.encoder.layers:
        layer.widen.weight.data.mul_(0.3)
    cost = recover(prepared, 2, Silent(), tmp_path, teacher, rate=1e-3)
    assert cost["steps"] and cost["after"] >= cost["before"] and not list(tmp_path.iterdir())
    kept = prepared.runtime.logits(prepared.tables["valid"])
    worse = recover(prepared, 1, Silent(), tmp_path, rate=0.5)
    again = prepared.runtime.logits(prepared.tables["valid"])
    assert worse["after"] == worse["before"]
    assert all(np.array_equal(*pair) for name in kept for pair in zip(kept[name], again[name], strict=True))
