"""How far two answers are apart, and focal loss, against plain formulas."""

import math

import pytest
import torch

from metier.tasks import build
from metier.tasks.heads import binary_cross_entropy, cross_entropy
from metier.types import Span

TASKS = {
    "classify": (lambda: build("classify", ["x", "y", "z"]), (4, 3)),
    "relate": (lambda: build("relate", ["x", "y"]), (4, 2)),
    "multilabel": (lambda: build("multilabel", [("x", "y")]), (4, 2)),
    "score": (lambda: build("score", [1.0, 2.0]), (4, 1)),
    "tag": (lambda: build("tag", [(Span(0, 1, "X"),)]), (4, 6, 3)),
    "embed": (lambda: build("embed", [0.0, 1.0]), (4, 8)),
}


def pair(shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", TASKS)
def test_a_divergence(name):
    made, shape = TASKS[name]
    task, (one, other) = made(), pair(shape)
    found = task.divergence(one, other)
    assert found.shape == (shape[:2] if task.per_token else shape[:1])
    assert bool((found > 0).all())
    torch.testing.assert_close(task.divergence(one, one), torch.zeros_like(found), atol=1e-6, rtol=0)
    torch.testing.assert_close(task.divergence(one.bfloat16(), other.bfloat16()), found, atol=0.05, rtol=0.05)


def test_kullback_leibler():
    task, (one, other) = TASKS["classify"][0](), pair((4, 3))
    p, q = one.softmax(-1), other.softmax(-1)
    expected = [
        sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(*rows, strict=True))
        for rows in zip(p, q, strict=True)
    ]
    assert task.divergence(one, other).tolist() == pytest.approx(expected, rel=1e-5)


def test_of_several_labels_each_is_a_distribution_of_its_own():
    task, (one, other) = TASKS["multilabel"][0](), pair((4, 2))
    p, q = one.double().sigmoid(), other.double().sigmoid()
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean(-1)
    torch.testing.assert_close(task.divergence(one, other).double(), expected, atol=1e-6, rtol=1e-5)


def test_the_moves_of_a_chain_are_left_out():
    task = TASKS["tag"][0]()
    task.crf = True
    one, other = pair((2, 5, 3 + 9))
    torch.testing.assert_close(task.divergence(one, other), TASKS["tag"][0]().divergence(one[..., :3], other[..., :3]))


def test_of_vectors_the_angle_counts_and_not_the_length():
    task, (one, other) = TASKS["embed"][0](), pair((4, 8))
    torch.testing.assert_close(task.divergence(one, 3 * other), task.divergence(one, other))


# -- focal loss (Lin et al. 2017) --------------------------------------------------------------------------------
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_focal(gamma, weights):
    logits, _ = pair((5, 3))
    targets = torch.tensor([0, 2, -100, 1, 2])
    total = count = 0.0
    for row, target in zip(logits, targets.tolist(), strict=True):
        if target >= 0:
            p = float(row.softmax(-1)[target])
            alpha = 1.0 if weights is None else weights[target]
            total, count = total - alpha * (1 - p) ** gamma * math.log(p), count + alpha
    options = {"focal": gamma, "class_weights": weights, "label_smoothing": 0.0}
    assert float(cross_entropy(logits, targets, options)) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_of_several_labels(gamma):
    logits, _ = pair((3, 2))
    targets = torch.tensor([[1, 0], [0, 0], [1, 1]])
    p = logits.sigmoid()
    right = torch.where(targets == 1, p, 1 - p)
    expected = (-((1 - right) ** gamma) * right.log()).mean()
    torch.testing.assert_close(binary_cross_entropy(logits, targets, {"focal": gamma}), expected)


def test_gamma_0_is_cross_entropy():
    logits, _ = pair((5, 3))
    targets = torch.tensor([0, 2, 1, 1, 2])
    plain = cross_entropy(logits, targets, {"label_smoothing": 0.1})
    torch.testing.assert_close(cross_entropy(logits, targets, {"label_smoothing": 0.1, "focal": 1e-9}), plain)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_certainty_leaves_finite_gradients(gamma):
    for loss, targets in ((cross_entropy, torch.tensor([0])), (binary_cross_entropy, torch.tensor([[1, 0]]))):
        logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
        loss(logits, targets, {"focal": gamma}).backward()
        assert bool(torch.isfinite(logits.grad).all())
