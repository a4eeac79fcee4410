"""What is minimised, against plain implementations; and that every term goes with every task that it can go with."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from regularised import HEADS, driven, scene
from torch.nn import functional

from metier.errors import RecipeError
from metier.recipe import METHODS, Recipe
from metier.train import objective as objectives
from metier.train.methods import METHODS as KNOWN
from metier.train.objective import require_steps, require_use, supervised_contrast
from metier.train.optimiser import Optimiser


# -- the terms ---------------------------------------------------------------------------------------------------
def test_r_drop(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", dropout=0.2, r_drop=3.0)
    losses, _ = driven(terms, batch, seed=9)
    torch.manual_seed(9)
    one, other = (terms.network(batch)["classify"].log_softmax(-1).detach() for _ in range(2))
    targets = batch.targets["classify"]
    forth = functional.kl_div(other, one, log_target=True, reduction="batchmean")
    back = functional.kl_div(one, other, log_target=True, reduction="batchmean")
    paper = functional.nll_loss(one, targets) + functional.nll_loss(other, targets) + 3.0 * 0.5 * (forth + back)
    assert float(forth) > 0 and losses == pytest.approx([float(paper) / 2], rel=1e-5)


def test_supervised_contrast():
    torch.manual_seed(2)
    vectors = functional.normalize(torch.randn(6, 5), dim=-1)
    classes = [0, 1, 0, 2, 1, 0]
    expected = []
    for i in range(6):
        partners = [j for j in range(6) if j != i and classes[j] == classes[i]]
        every = [math.exp(float(vectors[i] @ vectors[k]) / 0.3) for k in range(6) if k != i]
        if partners:
            shares = [math.exp(float(vectors[i] @ vectors[j]) / 0.3) / sum(every) for j in partners]
            expected.append(-sum(map(math.log, shares)) / len(partners))
    found = supervised_contrast(vectors, torch.tensor(classes), 0.3)
    assert float(found) == pytest.approx(sum(expected) / 5, rel=1e-5)


@pytest.mark.parametrize("classes", [[0], [0, 1, 2], [-100, -100]])
def test_nothing_to_contrast(classes):
    vectors = torch.randn(len(classes), 5, requires_grad=True)
    supervised_contrast(functional.normalize(vectors, dim=-1), torch.tensor(classes), 0.1).backward()
    assert float(vectors.grad.abs().sum()) == 0.0


def test_the_contrast_takes_its_share(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", "score", supcon=0.4)
    (loss,), _ = driven(terms, batch)
    network = terms.network
    with torch.no_grad():
        hidden = network.encode(batch)
        vectors = functional.normalize(network.pool(hidden, batch.mask), dim=-1)
        each = network.losses(network(batch), batch, terms.options)
        contrast = supervised_contrast(vectors, batch.targets["classify"], 0.3)
    expected = 0.6 * each["classify"] + 0.4 * contrast + each["score"]
    assert loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("without", [0, 3])
def test_mixup_is_the_loss_against_mixed_labels(toy_backbone, without):
    terms, batch = scene(toy_backbone, "classify", mixup=0.8, without=without)
    (loss,), _ = driven(terms, batch, seed=4)
    network, there = terms.network, batch.present["classify"]
    torch.manual_seed(4)
    pooled = network.pool(network.encode(batch), batch.mask).detach()[there]
    share = float(torch.distributions.Beta(torch.tensor(0.8), torch.tensor(0.8)).sample())
    order = torch.randperm(8 - without)
    with torch.no_grad():
        labels = functional.one_hot(batch.targets["classify"], 3).float()
        logits = network.heads[0].out(share * pooled + (1 - share) * pooled[order])
        expected = functional.cross_entropy(logits, share * labels + (1 - share) * labels[order])
    assert 0.0 < share < 1.0 and loss == pytest.approx(float(expected), rel=1e-5)


def test_terms_go_together(toy_backbone):
    terms, batch = scene(
        toy_backbone, "classify", "multilabel", "score", dropout=0.1, without=3,
        adversarial="freelb", r_drop=1.0, supcon=0.3, mixup=0.5,
    )  # fmt: skip
    losses, found = driven(terms, batch)
    assert len(losses) == 3 and np.isfinite(losses).all()
    assert all(bool(torch.isfinite(gradient).all()) for gradient in found.values())


# -- every term with every task ----------------------------------------------------------------------------------
TERMS = {
    "fgm": {"adversarial": "fgm"},
    "pgd": {"adversarial": "pgd"},
    "freelb": {"adversarial": "freelb"},
    "vat": {"adversarial": "vat"},
    "r_drop": {"r_drop": 2.0},
    "supcon": {"supcon": 0.5},
    "mixup": {"mixup": 0.4},
}


def possible(term, name):
    task = HEADS[name][0]()
    return {"supcon": objectives.contrasts, "mixup": objectives.mixes}.get(term, lambda task: True)(task)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("name", HEADS)
def test_two_steps(toy_backbone, term, name):
    """Two steps change the weights otherwise than without the term, in a direction that makes the loss smaller."""
    ends = []
    for settings in ({}, TERMS[term]):
        terms, batch = scene(toy_backbone, name, dropout=0.1, **settings)
        optimiser = Optimiser(terms.network, 1e-3, row_modules=[terms.network.encoder.words])
        first = float(terms.network.eval().loss(batch, terms.options, terms.weights).detach())
        terms.network.train()
        for seed in (1, 2):
            losses, _ = driven(terms, batch, seed)
            optimiser.step(1.0)
            optimiser.zero_grad()
        optimiser.close()
        last = float(terms.network.eval().loss(batch, terms.options, terms.weights).detach())
        assert np.isfinite(losses).all() and last < first
        ends.append(torch.cat([weight.detach().flatten() for weight in terms.network.parameters()]))
    assert torch.equal(*ends) is not possible(term, name)


@pytest.mark.parametrize("term", TERMS)
def test_rows_without_any_target(toy_backbone, term):
    terms, batch = scene(toy_backbone, "classify", without=8, **TERMS[term])
    losses, _ = driven(terms, batch)
    assert np.isfinite(losses).all() and (term in ("vat", "r_drop") or sum(losses) == 0.0)


def test_a_divergence_per_token_is_of_the_tokens_that_have_a_target(toy_backbone):
    terms, batch = scene(toy_backbone, "tag", without=2)
    logits = {"tag": torch.zeros(*batch.ids.shape, 3)}
    others = {"tag": logits["tag"].clone()}
    asked = batch.mask.clone()  # of the two rows without a target every token
    asked[2:] = batch.targets["tag"] != -100
    others["tag"][~asked] = torch.tensor([5.0, 0.0, 0.0])
    found = objectives.divergence(terms.network, batch, logits, others)
    assert float(found) == pytest.approx(0.0, abs=1e-7)
    bare = replace(batch, present={"tag": torch.zeros(8, dtype=torch.bool)})
    assert float(objectives.divergence(terms.network, bare, logits, others)) > 0.1


# -- what makes no sense -----------------------------------------------------------------------------------------
SETTINGS = {
    "regularise.adversarial": {"regularise": {"adversarial": "fgm"}},
    "regularise.r_drop": {"regularise": {"r_drop": 1.0}},
    "regularise.supcon": {"regularise": {"supcon": 0.5}},
    "regularise.mixup": {"regularise": {"mixup": 0.4}},
    "train.focal": {"train": {"focal": 2.0}},
}


def recipe(values, method="full"):
    return Recipe.parse(
        {"heads": {"a": {"column": "a"}}, **values, "train": {"method": method, **values.get("train", {})}}
    )


@pytest.mark.parametrize("method", [name for name in METHODS if not KNOWN[name].joint])
@pytest.mark.parametrize("key", SETTINGS)
def test_a_method_without_gradient_steps(key, method):
    with pytest.raises(RecipeError, match=f"'{method}' has no use for {key}.*without gradient steps.*full"):
        require_steps(recipe(SETTINGS[key], method))
    require_steps(recipe({}, method))


IDLE = {
    "regularise.supcon": ["multilabel", "tag", "crf", "score", "embed"],
    "regularise.mixup": ["tag", "crf", "relate", "embed"],
    "train.focal": ["crf", "score", "embed"],
}


@pytest.mark.parametrize("method", [*(name for name in METHODS if KNOWN[name].joint), "auto"])
def test_a_method_with_gradient_steps(method):
    for settings in SETTINGS.values():
        require_steps(recipe(settings, method))


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("name", HEADS)
def test_a_term_that_no_head_has_a_use_for(key, name):
    heads = {"a": HEADS[name][0]()}
    if name not in IDLE.get(key, []):
        require_use(recipe(SETTINGS[key]), heads)
        return
    with pytest.raises(RecipeError, match=rf"{key} would do nothing: the heads are a \(.*Expected: for"):
        require_use(recipe(SETTINGS[key]), heads)
    require_use(recipe(SETTINGS[key]), {**heads, "b": HEADS["classify"][0]()})
