"""Attacks against plain implementations of what their papers say, and what keeps them honest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from regularised import CPU, TEXTS, driven, gradients, scene
from torch.nn import functional
from transformers import ElectraConfig, ElectraModel

from metier import tasks
from metier.models.hub import HubEncoder
from metier.models.network import Network
from metier.train.frozen import Frozen
from metier.train.objective import Terms, objective
from metier.train.optimiser import Optimiser


def loss_at(terms, batch, perturbation):
    return terms.network.loss(replace(batch, perturbation=perturbation), terms.options, terms.weights)


def radii(terms, batch, radius):
    """Of each row: so many tenths of the mean norm of an embedding, times the root of its length."""
    words = terms.network.encoder.words.weight.detach()
    norms = [float(words[token].norm()) for row, keep in zip(batch.ids, batch.mask, strict=True) for token in row[keep]]
    return torch.tensor([radius * 0.1 * sum(norms) / len(norms) * int(keep.sum()) ** 0.5 for keep in batch.mask])


def scaled(directions, lengths):
    """Each row of a perturbation at a length of its own."""
    rows = [row / max(float(row.norm()), 1e-20) * length for row, length in zip(directions, lengths, strict=True)]
    return torch.stack(rows)


def cube(batch, lengths):
    """Algorithm 1 of FreeLB, line 5: uniform noise over the root of its dimensions."""
    noise = torch.rand(*batch.ids.shape, 32) * 2 - 1
    for row, (keep, length) in enumerate(zip(batch.mask, lengths, strict=True)):
        noise[row] *= keep[:, None] * length / (int(keep.sum()) * 32) ** 0.5
    return noise


def slope(terms, batch, perturbation):
    perturbation = perturbation.clone().requires_grad_(True)
    return torch.autograd.grad(loss_at(terms, batch, perturbation), perturbation)[0]


def uphill(terms, batch, perturbation, lengths, step):
    moved = perturbation + scaled(slope(terms, batch, perturbation), lengths * step)
    return torch.stack([row * min(1.0, float(size / row.norm())) for row, size in zip(moved, lengths, strict=True)])


def alike(found, expected):
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=2e-6, rtol=2e-4, msg=name)


def learned(terms, batch, perturbations, share=1.0):
    """The gradients of the sum of the losses under some perturbations."""
    terms.network.zero_grad()
    (share * sum(loss_at(terms, batch, one) for one in perturbations)).backward()
    return gradients(terms.network)


@pytest.mark.parametrize("heads", [("classify",), ("tag",), ("classify", "score")])
def test_fgm(toy_backbone, heads):
    terms, batch = scene(toy_backbone, *heads, adversarial="fgm", radius=0.7)
    lengths = radii(terms, batch, 0.7)
    nothing = torch.zeros(*batch.ids.shape, 32)
    worst = scaled(slope(terms, batch, nothing), lengths)
    losses, found = driven(terms, batch)
    expected = [float(loss_at(terms, batch, one).detach()) for one in (None, worst)]
    assert losses == pytest.approx(expected, rel=1e-5) and losses[1] > losses[0]
    alike(found, learned(terms, batch, [None, worst]))


def test_pgd(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", adversarial="pgd", ascents=4, radius=1.0)
    lengths = radii(terms, batch, 1.0)
    torch.manual_seed(5)
    loss_at(terms, batch, None)
    perturbation = cube(batch, lengths)
    for _ in range(4):
        perturbation = uphill(terms, batch, perturbation, lengths, 1.5 / 4)
    losses, found = driven(terms, batch, seed=5)
    expected = [float(loss_at(terms, batch, one).detach()) for one in (None, perturbation)]
    assert losses == pytest.approx(expected, rel=1e-5) and losses[1] > losses[0]
    alike(found, learned(terms, batch, [None, perturbation]))


def test_freelb(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", adversarial="freelb", radius=1.0)
    lengths = radii(terms, batch, 1.0)
    torch.manual_seed(5)
    path = [cube(batch, lengths)]
    for _ in range(2):
        path.append(uphill(terms, batch, path[-1], lengths, 1.5 / 3))
    losses, found = driven(terms, batch, seed=5)
    assert losses == pytest.approx([float(loss_at(terms, batch, one).detach()) / 3 for one in path], rel=1e-5)
    assert losses[0] < losses[1] < losses[2]
    alike(found, learned(terms, batch, path, 1 / 3))


def test_vat_is_the_direction_that_changes_answers_most(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", adversarial="vat", ascents=20, radius=0.2)
    with torch.no_grad():
        clean = terms.network(batch)["classify"].log_softmax(-1)

    def moved(perturbation):
        logits = terms.network(replace(batch, perturbation=perturbation))["classify"]
        return functional.kl_div(logits.log_softmax(-1), clean, log_target=True, reduction="batchmean")

    losses, found = driven(terms, batch)
    lengths = radii(terms, batch, 0.2)
    with torch.no_grad():
        tried = [float(moved(scaled(torch.randn(*batch.ids.shape, 32), lengths))) for _ in range(200)]
    assert losses[1] > 2 * max(tried)
    weight = terms.network.heads[0].out.weight
    assert losses[0] == pytest.approx(float(loss_at(terms, batch, None).detach()))
    assert not torch.allclose(found["heads.0.out.weight"], torch.autograd.grad(loss_at(terms, batch, None), weight)[0])


def test_vat_learns_from_rows_without_a_target(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", adversarial="vat", without=8)
    losses, found = driven(terms, batch)
    assert losses[0] == 0.0 and losses[1] > 0.0
    assert float(found["heads.0.out.weight"].abs().sum()) > 0.0


@pytest.mark.parametrize("attack", ["pgd", "freelb", "vat"])
def test_all_passes_of_a_batch_drop_the_same_units(toy_backbone, attack):
    terms, batch = scene(toy_backbone, "classify", dropout=0.3, adversarial=attack, radius=1e-5)
    losses, _ = driven(terms, batch)
    again, _ = driven(terms, batch)
    assert losses == again
    if attack == "freelb":
        assert losses[0] == pytest.approx(losses[2], rel=1e-4)
    if attack == "vat":
        assert losses[1] < 1e-6
    following = [float(found.detach()) for found in objective(terms, batch)]
    assert following[0] != pytest.approx(losses[0], rel=1e-4), "the next batch drops other units"


@pytest.mark.parametrize("attack", ["fgm", "pgd", "freelb", "vat"])
def test_cached_states_are_perturbed_in_the_place_of_embeddings(toy_backbone, tmp_path, attack):
    terms, batch = scene(toy_backbone, "classify", adversarial=attack)
    network = terms.network
    network.freeze(1)
    table = _Held(batch)
    cached = Frozen(table, network, tmp_path / "f").attach(batch)
    network.train()
    losses, found = driven(terms, cached)
    plain, _ = driven(Terms(network, CPU, terms.options, terms.weights), cached)
    assert sum(losses) > 0.9 * plain[0]
    assert {name.split(".")[1] for name in found if name.startswith("encoder")} == {"layers"}
    assert not any(name.startswith("encoder.layers.0") for name in found)


class _Held:
    """A table that is one batch."""

    def __init__(self, batch):
        self.one, lengths = batch, batch.mask.sum(1).numpy()
        self.rows = type("Rows", (), {"lengths": lengths, "bounds": [0, *lengths.cumsum().tolist()]})

    def plain(self, rows):
        keep = torch.from_numpy(rows)
        return replace(
            self.one, rows=rows, ids=self.one.ids[keep], mask=self.one.mask[keep], types=self.one.types[keep]
        )


@pytest.mark.parametrize("attack", ["fgm", "pgd", "freelb", "vat"])
def test_an_encoder_that_embeds_in_fewer_dimensions_than_its_layers(toy_backbone, attack):
    terms, batch = scene(toy_backbone, "classify", adversarial=attack)
    config = ElectraConfig(
        vocab_size=400, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    network = Network(HubEncoder(ElectraModel(config)), {"classify": tasks.build("classify", ["x", "y", "z"])})
    losses, found = driven(replace(terms, network=network), batch)
    assert all(loss > 0 for loss in losses)
    assert float(found["encoder.model.embeddings.word_embeddings.weight"].abs().sum()) > 0


@pytest.mark.parametrize("attack", ["fgm", "pgd", "freelb", "vat"])
def test_when_weights_are_read_changes_no_bit(toy_backbone, attack):
    """Rows of the embedding that no batch touches owe updates; to look at them in between must make no difference."""
    ends = []
    for looks in (False, True):
        terms, batch = scene(toy_backbone, "classify", dropout=0.1, adversarial=attack)
        part = [replace(batch, ids=batch.ids.roll(turn, 1), perturbation=None) for turn in range(3)]
        part[1] = replace(part[1], ids=part[1].ids.flip(0) % 40)
        optimiser = Optimiser(terms.network, 1e-2, row_modules=[terms.network.encoder.words])
        torch.manual_seed(1)
        for turn in range(6):
            for found in objective(terms, part[turn % 3]):
                found.backward()
            optimiser.step(1.0)
            optimiser.zero_grad()
            if looks:
                optimiser.flush()
        optimiser.close()
        ends.append({name: weight.detach().clone() for name, weight in terms.network.named_parameters()})
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_only_what_is_learned_from_leaves_gradients(toy_backbone):
    terms, batch = scene(toy_backbone, "classify", adversarial="pgd", ascents=2)
    going = objective(terms, batch)
    next(going).backward()
    before = gradients(terms.network)
    next(going)  # both ascents have been made, nothing was learned from yet
    alike(gradients(terms.network), before)
    assert len(TEXTS) == len(batch.ids)
