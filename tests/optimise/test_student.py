"""A student of some of a network's layers, and what it is held to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from train.regularised import CPU, scene

from metier.errors import RecipeError
from metier.models import backbone
from metier.models.adapters import attach
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.models.network import Network
from metier.optimise.student import chosen, evenly, student
from metier.recipe import AdapterPart
from metier.train.matching import Matching, Tap, Tutor, apart, layers_of
from metier.train.objective import loss


def hub(terms, folder, depth=4) -> Network:
    """The same heads on an encoder that transformers runs."""
    config = backbone.find(str(folder)).config | {"model_type": "electra", "num_hidden_layers": depth}
    config |= {"embedding_size": config["hidden_size"], "vocab_size": terms.network.encoder.vocabulary}
    torch.manual_seed(5)
    return Network(HubEncoder.build(config), terms.network.tasks)


def states_of(network, batch) -> list[np.ndarray]:
    """The states after every layer, of real tokens."""
    tap = Tap(network.encoder, range(1, network.encoder.depth + 1), learning=False)
    network.eval()
    with torch.no_grad():
        network(batch)
    found = tap.take(batch.mask)
    tap.close()
    return [found[layer].numpy() for layer in sorted(found)]


def still(network: Network) -> Network:
    """The network in training, without dropout."""
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return network.train()


@pytest.mark.parametrize(
    ("depth", "count", "layers"), [(6, 3, (2, 4, 6)), (6, 2, (3, 6)), (12, 5, (2, 5, 7, 10, 12)), (4, 4, (1, 2, 3, 4))]
)
def test_layers_are_evenly_spaced_up_to_the_last(depth, count, layers):
    assert evenly(depth, count) == chosen(depth, count) == chosen(depth, layers) == layers


@pytest.mark.parametrize("layers", [0, 7, (), (0, 2), (2, 2), (3, 1), (5, 7)])
def test_layers_that_cannot_be(layers):
    with pytest.raises(RecipeError, match="A student cannot have"):
        chosen(6, layers)


@pytest.mark.parametrize("ours", [True, False])
def test_a_student_of_all_layers_is_its_teacher(ours, toy_backbone):
    terms, batch = scene(toy_backbone, "classify", "tag")
    teacher = terms.network if ours else hub(terms, toy_backbone)
    found = student(teacher, range(1, teacher.encoder.depth + 1))
    teacher.eval(), found.eval()
    with torch.no_grad():
        one, other = teacher(batch), found(batch)
    for name in one:
        assert torch.equal(one[name], other[name])
    assert found.tasks["classify"] is not teacher.tasks["classify"]
    mine, theirs = ({id(weight) for weight in network.parameters()} for network in (found, teacher))
    assert not mine & theirs


@pytest.mark.parametrize("ours", [True, False])
def test_fewer_layers_compute_what_these_would(ours, toy_backbone):
    terms, batch = scene(toy_backbone, "classify")
    teacher = hub(terms, toy_backbone)
    if ours:
        torch.manual_seed(6)
        shape = replace(terms.network.encoder.shape, depth=4)
        teacher = Network(Encoder(shape), terms.network.tasks)
    found = student(teacher, (1, 2))
    for own, other in zip(states_of(found, batch), states_of(teacher, batch)[:2], strict=True):
        np.testing.assert_array_equal(own, other)
    upper = student(teacher, (2, 4))
    for layer, other in ((1, 2), (2, 4)):
        own, theirs = layers_of(upper.encoder)[layer - 1], layers_of(teacher.encoder)[other - 1]
        assert all(torch.equal(*pair) for pair in zip(own.parameters(), theirs.parameters(), strict=True))
    assert upper.encoder.depth == 2 and len(states_of(teacher, batch)) == 4


def test_lora_is_folded_in(toy_backbone):
    terms, batch = scene(toy_backbone, "classify")
    found = backbone.find(str(toy_backbone))
    attach(terms.network.encoder, "lora", AdapterPart(), found)
    for name, weight in terms.network.encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    whole = student(terms.network, (1, 2))
    assert whole.encoder.adapter is None and terms.network.encoder.adapter is not None
    with torch.no_grad():
        wanted = terms.network.eval()(batch)["classify"]
        np.testing.assert_allclose(whole.eval()(batch)["classify"], wanted, atol=1e-5)


@pytest.mark.parametrize("method", ["adapter", "prefix", "prompt"])
def test_other_adapters_are_left_behind(method, toy_backbone):
    terms, batch = scene(toy_backbone, "classify")
    plain = student(terms.network, (1, 2)).eval()
    attach(terms.network.encoder, method, AdapterPart(tokens=4), backbone.find(str(toy_backbone)))
    with torch.no_grad():
        for weight in terms.network.encoder.adapter.weights().values():
            torch.nn.init.normal_(weight, std=0.5)
        if method == "adapter":  # whose norms are its own, and stay
            plain = student(terms.network, (1, 2)).eval()
        found = student(terms.network, (1, 2)).eval()
        assert found.encoder.adapter is None and terms.network.encoder.adapter is not None
        assert [name for name, _ in found.named_parameters()] == [name for name, _ in plain.named_parameters()]
        said = found(batch)["classify"]
        assert torch.equal(said, plain(batch)["classify"])
        assert not torch.allclose(said, terms.network.eval()(batch)["classify"])


# -- what it is held to ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("measure", ["mse", "cosine"])
@pytest.mark.parametrize("ours", [True, False])
def test_the_distance_of_states(measure, ours, toy_backbone):
    terms, batch = scene(toy_backbone, "classify")
    if not ours:
        terms = replace(terms, network=hub(terms, toy_backbone, depth=2))
    teacher = terms.network
    own = student(teacher, (2,))
    tutor = Tutor(teacher, own, (2,), CPU, Matching(hidden=0.7, measure=measure, labels=0.0))
    still(own)
    if not ours:  # of transformers' own functions, dropout included
        own.eval()
    found = loss(replace(terms, network=own, teacher=tutor), batch).detach()
    tutor.close()
    (mine,), theirs = states_of(own, batch), states_of(teacher, batch)[1]
    assert len(mine) == int(batch.mask.sum()) < batch.mask.numel()  # padding is none of it
    if measure == "mse":
        expected = ((mine - theirs) ** 2).mean() / (theirs**2).mean()
    else:
        expected = (1.0 - functional.cosine_similarity(torch.tensor(mine), torch.tensor(theirs))).mean()
    with torch.no_grad():
        said = [network.eval()(batch)["classify"] / 2 for network in (own, teacher)]
    soft = 4.0 * functional.kl_div(*(one.log_softmax(-1) for one in said), log_target=True, reduction="batchmean")
    assert float(found) == pytest.approx(float(soft) + 0.7 * float(expected), rel=1e-4)


def test_nothing_to_learn_at_first_and_less_to_learn_with_every_step(toy_backbone):
    terms, batch = scene(toy_backbone, "classify")
    teacher = terms.network
    same = student(teacher, (1, 2))
    tutor = Tutor(teacher, same, (1, 2), CPU, Matching(labels=0.0))
    nothing = loss(replace(terms, network=still(same), teacher=tutor), batch).detach()
    assert float(nothing) == pytest.approx(0.0, abs=1e-6)
    tutor.close()
    with torch.no_grad():
        for weight in layers_of(teacher.encoder).parameters():
            weight.mul_(10.0 if weight.ndim > 1 else 1.0)  # at first a layer changes next to nothing
    own = still(student(teacher, (2,)))
    tutor = Tutor(teacher, own, (2,), CPU, Matching(labels=0.0))
    adam, losses = torch.optim.Adam(own.parameters(), lr=3e-3), []
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    for _ in range(60):
        found = loss(replace(terms, network=own, teacher=tutor), batch)
        losses.append(float(found.detach()))
        found.backward()
        adam.step()
        adam.zero_grad()
    assert losses[-1] < 0.25 * losses[0]
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())
    tutor.close()
    assert not any(layer._forward_hooks for network in (own, teacher) for layer in layers_of(network.encoder))


def test_states_far_apart_are_no_further_than_their_size():
    torch.manual_seed(1)
    states = 1000.0 * torch.randn(5, 8)
    assert float(apart(states, states, "mse")) == float(apart(torch.ones(2, 3), torch.ones(2, 3), "mse")) == 0.0
    assert float(apart(torch.zeros(5, 8), states, "mse")) == pytest.approx(1.0)
    assert float(apart(2.0 * states, states, "cosine")) == pytest.approx(0.0, abs=1e-6)
