"""Regularised fits through the whole pipeline: cut off and gone on with, and refused where they make no sense."""

import fits
import pytest
import tomli_w
from commands import metier, refused

from metier.pipeline import descend
from metier.recipe import METHODS
from metier.train import loop
from metier.train.methods import METHODS as KNOWN

TWO = {"sentiment": {"column": "sentiment"}, "place": {"column": "place"}}
ONE = {"sentiment": {"column": "sentiment"}}
CASES = {
    "freelb": (TWO, {"adversarial": "freelb", "ascents": 2}, {"accumulate": 2}),
    "pgd, averaged weights, frozen layers": (
        ONE,
        {"adversarial": "pgd", "ascents": 2},
        {"method": "freeze", "ema": 0.9},
    ),
    "vat, r-drop": (ONE, {"adversarial": "vat", "r_drop": 1.0}, {}),
    "mixup, contrast": (TWO, {"mixup": 0.4, "supcon": 0.3}, {"focal": 1.0}),
}


def written(path, data, heads, backbone, regularise, **train):
    recipe = fits.recipe(path, data, heads, backbone, epochs=2, **train)
    recipe.write_text(recipe.read_text() + "\n" + tomli_w.dumps({"regularise": regularise}))
    return recipe


class Cut(Exception):
    """What stands in for a power cut."""


@pytest.mark.parametrize("case", CASES)
def test_cut_off_and_gone_on_with(case, tmp_path, toy_backbone, toy_news, monkeypatch):
    heads, regularise, train = CASES[case]
    path = tmp_path / "r.toml"
    whole = written(path, toy_news, heads, toy_backbone, regularise, checkpoint_seconds=1e6, **train)
    assert metier("train", whole, "--out", tmp_path / "whole").code == 0
    often = written(path, toy_news, heads, toy_backbone, regularise, checkpoint_seconds=0.0, **train)
    real = loop.steps

    def some(fit):
        for record in real(fit):
            if record.step == 6:
                raise Cut
            yield record

    monkeypatch.setattr(descend.loop, "steps", some)
    with pytest.raises(Cut):
        metier("train", often, "--out", tmp_path / "torn")
    monkeypatch.setattr(descend.loop, "steps", real)
    resumed = metier("train", "--resume", tmp_path / "torn")
    assert resumed.code == 0 and "Resuming at step 5" in resumed.err
    assert fits.weights(tmp_path / "torn") == fits.weights(tmp_path / "whole")


def test_a_method_without_steps(tmp_path, toy_backbone, toy_news):
    recipe = written(tmp_path / "r.toml", toy_news, ONE, toy_backbone, {"r_drop": 1.0}, method="probe")
    message = refused("train", recipe, "--out", tmp_path / "run")
    assert "'probe' has no use for regularise.r_drop" in message and not list(tmp_path.glob("run*"))


def test_a_head_without_a_use_for_it(tmp_path, toy_backbone, toy_news):
    rows = fits.relations(tmp_path / "data.jsonl", rows=40)
    heads = {"label": {"column": "label", "task": "relate"}}
    recipe = written(tmp_path / "r.toml", rows, heads, toy_backbone, {"mixup": 0.4})
    message = refused("train", recipe, "--out", tmp_path / "run")
    assert "regularise.mixup would do nothing: the heads are label (relate)" in message
    assert not list(tmp_path.glob("run*"))


@pytest.mark.parametrize("method", [name for name in METHODS if KNOWN[name].joint])
def test_every_method_by_gradient(method, tmp_path, toy_backbone, toy_news):
    together = {"adversarial": "freelb", "ascents": 2, "r_drop": 0.5, "supcon": 0.2, "mixup": 0.3}
    recipe = written(tmp_path / "r.toml", toy_news, ONE, toy_backbone, together, method=method, batch_size=24)
    assert metier("train", recipe, "--out", tmp_path / "run").code == 0
