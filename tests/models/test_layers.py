"""The functions that are fused for fitting on a CPU, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metier.models.layers import Layer, Pass
from metier.models.layers_fused import Attention, DropAddNorm, Noise
from metier.models.shape import Shape


def layer(dropout=0.0):
    torch.manual_seed(0)
    made = Layer(Shape(10, 32, 1, 4, 64, 10, dropout=dropout, attention_dropout=dropout)).train()
    for weight in made.parameters():
        nn.init.normal_(weight, mean=0.1, std=0.3)
    return made


def full(rows, length):
    return Pass.over(torch.ones(rows, length, dtype=torch.bool), Noise())


@pytest.mark.parametrize("padded", [True, False])
def test_fused_equals_plain(padded):
    mask = torch.arange(7) < torch.tensor([[7], [3], [5]] if padded else [[7], [7], [7]])
    found = []
    for noise in (Noise(), None):
        made = layer()
        hidden = torch.randn(3, 7, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        shared = Pass.over(mask, noise)
        out = shared.unpack(made(shared.pack(hidden), shared))
        out[mask].sin().sum().backward()
        found.append([out[mask].detach(), hidden.grad, *(weight.grad for weight in made.parameters())])
    for fused, plain in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, atol=2e-5, rtol=1e-4)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    exact = {"dtype": torch.float64, "requires_grad": True}
    keep = (torch.rand(4, 3, 3) > 0.3).double() / 0.7
    for mask in (torch.ones(2, 3, dtype=torch.bool), torch.arange(3) < torch.tensor([[3], [2]])):
        shared = Pass.over(mask, Noise())
        packed = torch.randn(int(mask.sum()), 24, **exact)
        assert torch.autograd.gradcheck(lambda x, shared=shared: Attention.apply(x, shared, keep, 2), packed)
    x, residual, weight, bias = (torch.randn(*size, **exact) for size in ((4, 6), (4, 6), (6,), (6,)))
    held = (torch.rand(4, 6) > 0.3).double() / 0.7
    assert torch.autograd.gradcheck(
        lambda x, residual, weight, bias: DropAddNorm.apply(x, residual, held, weight, bias, 1e-5),
        (x, residual, weight, bias),
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.013])
def test_masks_are_fair(share):
    torch.manual_seed(0)
    mask = Noise().keep(share, (1000, 1001))
    kept = (mask > 0).double()
    spread = (share * (1 - share) / mask.numel()) ** 0.5
    assert abs((1 - kept.mean()) - share) < 2**-17 + 5 * spread
    assert abs(mask.double().mean() - 1) < 5 * spread / (1 - share)
    assert mask.unique().numel() == 2
    for other in (kept[:, 1:] * kept[:, :-1], kept[1:] * kept[:-1]):  # neighbours fall independently
        assert abs(other.mean() - (1 - share) ** 2) < 10 * spread


def test_masks_come_from_the_default_generator():
    state = torch.get_rng_state()
    first = Noise()
    masks = first.keep(0.1, (5, 7)), first.keep(0.1, (5, 7))
    torch.set_rng_state(state)
    again = Noise()
    assert torch.equal(again.keep(0.1, (5, 7)), masks[0])
    assert torch.equal(again.keep(0.1, (5, 7)), masks[1])
    assert not torch.equal(*masks)


def test_no_dropout_no_mask():
    assert Noise().keep(0.0, (3, 3)) is None


def test_frozen_weights_get_no_gradient():
    made = layer(0.1).requires_grad_(False)
    made.narrow_norm.weight.requires_grad_(True)
    made(torch.randn(10, 32), full(2, 5)).sum().backward()
    assert [name for name, weight in made.named_parameters() if weight.grad is not None] == ["narrow_norm.weight"]


def test_what_wraps_a_linear_layer_still_works():
    class Doubled(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return 2 * self.inner(x)

    made, hidden = layer(), torch.randn(10, 32)
    before = made(hidden, full(2, 5))
    made.join = Doubled(made.join)
    assert not torch.allclose(before, made(hidden, full(2, 5)))
