"""The optimiser against torch's own AdamW, and what resuming relies on."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from metier.models.encoder import Encoder, Shape
from metier.train.optimiser import Optimiser, levels_of


class Small(nn.Module):
    """An encoder with a head, as runs have them."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder(Shape(60, 16, 2, 2, 32, 20, dropout=0.0, attention_dropout=0.0))
        self.head = nn.Linear(16, 3)

    def forward(self, ids):
        return self.head(self.encoder(ids, torch.ones_like(ids, dtype=torch.bool)).mean(1))


def made(seed=0):
    torch.manual_seed(seed)
    return Small().double().train()  # float32 would turn gradients that should be 0 into signs


def batches(count, seed=1):
    """Common tokens and rare ones, so that some rows wait for long."""
    generator = torch.Generator().manual_seed(seed)
    odds = torch.arange(60.0).add(1).reciprocal()
    for _ in range(count):
        ids = torch.multinomial(odds, 4 * 5, replacement=True, generator=generator).view(4, 5)
        yield ids, torch.randint(0, 3, (4,), generator=generator)


def scale(step):
    return 1 - step / 100


def loss(model, ids, labels):
    return 1e3 * nn.functional.cross_entropy(model(ids), labels)  # gradients well above the eps of Adam


def learn(model, optimiser, data, clip=0.0, start=0):
    for step, (ids, labels) in enumerate(data, start):
        loss(model, ids, labels).backward()
        if clip:
            optimiser.clip(clip)
        optimiser.step(scale(step))
        optimiser.zero_grad()


def reference(model, decay, clip=0.0, factors=None, count=40):
    """torch's AdamW on a dense gradient."""
    levels = levels_of(name for name, _ in model.named_parameters())
    groups = [
        {
            "params": [weight],
            "weight_decay": decay if weight.ndim > 1 else 0.0,
            "factor": factors[levels[name]] if factors else 1.0,
        }
        for name, weight in model.named_parameters()
    ]
    adamw = torch.optim.AdamW(groups, lr=1e-2)
    for step, (ids, labels) in enumerate(batches(count)):
        loss(model, ids, labels).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        for group in adamw.param_groups:
            group["lr"] = 1e-2 * scale(step) * group["factor"]
        adamw.step()
        adamw.zero_grad()
    return model


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("by_rows", [True, False])
def test_rows_learn_as_in_dense_adamw(decay, by_rows):
    model = made()
    expected = reference(copy.deepcopy(model), decay, clip=500.0)
    optimiser = Optimiser(model, 1e-2, decay, row_modules=[model.encoder.words] if by_rows else [])
    learn(model, optimiser, batches(40), clip=500.0)
    optimiser.flush()
    for (name, weight), other in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=1e-7, rtol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_a_row_that_waits_is_brought_up_to_date_when_it_is_read():
    model = made()
    optimiser = Optimiser(model, 1e-2, row_modules=[model.encoder.words])
    learn(model, optimiser, [(torch.full((2, 3), 7), torch.tensor([0, 1]))])
    learn(model, optimiser, [(torch.full((2, 3), 8), torch.tensor([0, 1]))] * 5, start=1)
    waiting = model.encoder.words.weight[7].clone()
    model(torch.full((1, 1), 7))
    read = model.encoder.words.weight[7].clone()
    assert not torch.equal(waiting, read)
    optimiser.flush()
    assert torch.equal(read, model.encoder.words.weight[7])


def test_reading_weights_flushes():
    for read in (lambda model: model.state_dict(), lambda model: model.eval()(torch.zeros(1, 1, dtype=torch.long))):
        model = made()
        optimiser = Optimiser(model, 1e-2, row_modules=[model.encoder.words])
        learn(model, optimiser, batches(20))
        read(model)
        before = model.encoder.words.weight.clone()
        optimiser.flush()
        assert torch.equal(before, model.encoder.words.weight)


def test_loaded_weights_are_not_moved_by_steps_from_before():
    model = made()
    optimiser = Optimiser(model, 1e-2, row_modules=[model.encoder.words])
    learn(model, optimiser, batches(10))
    best = copy.deepcopy(model.state_dict())
    learn(model, optimiser, batches(10, seed=2))
    model.load_state_dict(best)
    optimiser.flush()
    assert torch.equal(model.encoder.words.weight, best["encoder.words.weight"])


def test_close_leaves_no_trace():
    model = made()
    optimiser = Optimiser(model, 1e-2, row_modules=[model.encoder.words])
    learn(model, optimiser, batches(5))
    optimiser.close()
    model(torch.tensor([[3, 4, 4]])).sum().backward()
    assert not model.encoder.words.weight.grad.is_sparse
    assert not model.encoder.words._forward_pre_hooks


def test_the_gradient_holds_the_rows_of_the_batch():
    model = made()
    optimiser = Optimiser(model, 1e-2, row_modules=[model.encoder.words])
    model(torch.tensor([[3, 4, 4]])).sum().backward()
    assert model.encoder.words.weight.grad.is_sparse
    dense = made()
    dense(torch.tensor([[3, 4, 4]])).sum().backward()
    theirs = nn.utils.get_total_norm([weight.grad for weight in dense.parameters()])
    assert optimiser.clip(1e9) == pytest.approx(float(theirs), rel=1e-5)


def test_gradients_accumulate():
    model, other = made(), made()
    optimiser = Optimiser(model, 1e-2, row_modules=[model.encoder.words])
    plain = Optimiser(other, 1e-2)
    for ids, labels in batches(3):
        for one in (model, other):
            (loss(one, ids, labels) / 3).backward()
    for one in (optimiser, plain):
        one.clip(1000.0)
        one.step()
        one.zero_grad()
    torch.testing.assert_close(model.encoder.words.weight, other.encoder.words.weight, atol=1e-6, rtol=1e-5)


def test_frozen_weights_stay():
    model = made()
    model.encoder.words.weight.requires_grad_(False)
    model.encoder.layers[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    optimiser = Optimiser(model, 1e-2, 0.1, row_modules=[model.encoder.words])
    learn(model, optimiser, batches(3), clip=1000.0)
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert "encoder.words.weight" not in changed
    assert not any(name.startswith("encoder.layers.0.") for name in changed)
    assert "encoder.layers.1.attend.weight" in changed


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_resumes_bit_for_bit(decay):
    whole, first = made(), made()
    everything = list(batches(30))

    def fitted(model):
        return Optimiser(model, 1e-2, decay, row_modules=[model.encoder.words])

    one = fitted(whole)
    learn(whole, one, everything[:17], clip=1000.0)
    learn(whole, one, everything[17:], clip=1000.0, start=17)

    two = fitted(first)
    learn(first, two, everything[:17], clip=1000.0)
    weights = copy.deepcopy(first.state_dict())
    state = {name: tensor.clone() for name, tensor in two.state().items()}
    resumed = made(seed=5)
    resumed.load_state_dict(weights)
    three = fitted(resumed)
    three.load(state)
    learn(resumed, three, everything[17:], clip=1000.0, start=17)
    for name, weight in resumed.state_dict().items():
        assert torch.equal(weight, whole.state_dict()[name]), name


def test_lower_layers_learn_more_slowly():
    model = made()
    factors = [0.5**3, 0.5**2, 0.5, 1.0]
    expected = reference(copy.deepcopy(model), 0.0, factors=factors, count=10)
    optimiser = Optimiser(model, 1e-2, layer_decay=0.5, row_modules=[model.encoder.words])
    learn(model, optimiser, batches(10))
    optimiser.flush()
    for weight, other in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=2e-5, rtol=1e-4)


def test_levels():
    names = ["encoder.words.weight", "encoder.norm.bias", "encoder.layers.0.attend.weight", "head.weight"]
    assert levels_of(names) == {names[0]: 0, names[1]: 0, names[2]: 1, names[3]: 2}
    assert levels_of(["words.weight", "layers.3.join.bias"]) == {"words.weight": 0, "layers.3.join.bias": 4}
    assert levels_of(["encoder.model.embeddings.x", "encoder.model.encoder.layer.1.y", "heads.a.b"]) == {
        "encoder.model.embeddings.x": 0,
        "encoder.model.encoder.layer.1.y": 2,
        "heads.a.b": 3,
    }


def test_the_weights_of_losses_learn_fast_enough_to_count():
    """Two losses, 0.1 and 3: the loss of each settles where its weight is 1 / (2 * loss) (Kendall et al. 2018)."""
    losses = torch.tensor([0.1, 3.0])
    balance = nn.Module()
    balance.log_variance = nn.Parameter(torch.zeros(2))
    optimiser = Optimiser(balance, lr=5e-5)
    for _ in range(600):
        (torch.exp(-balance.log_variance) * losses + balance.log_variance / 2).sum().backward()
        optimiser.step(1.0)
        optimiser.zero_grad()
    assert balance.log_variance.tolist() == pytest.approx((2 * losses).log().tolist(), abs=0.1)
