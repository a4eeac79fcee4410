"""Embeddings: losses against the formulas written out, figures against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from metier.errors import DataError
from metier.tasks.embed import Embed
from metier.types import Prediction


def vectors(seed: int = 0, pairs: int = 5) -> torch.Tensor:
    return torch.randn(2 * pairs, 6, generator=torch.manual_seed(seed))


def cosines(rows: torch.Tensor) -> np.ndarray:
    first, second = rows.chunk(2)
    return torch.cosine_similarity(first, second).double().numpy()


def test_cosent_is_the_formula() -> None:
    rows, golds = vectors(), np.array([0.0, 0.2, 0.2, 1.0, 0.6])
    said = cosines(rows)
    total = 1.0
    for i in range(5):
        for j in range(5):
            if golds[i] > golds[j]:
                total += np.exp(20 * (said[j] - said[i]))
    loss = Embed(graded=True).loss(rows, torch.tensor([*golds, *golds]), {})
    assert float(loss) == pytest.approx(np.log(total), rel=1e-5)


def test_multiple_negatives_is_the_formula() -> None:
    rows = vectors()
    unit = (rows / rows.norm(dim=1, keepdim=True)).double().numpy()
    table = 20 * unit[:5] @ unit[5:].T
    expected = np.mean([np.log(np.exp(table[i]).sum()) - table[i, i] for i in range(5)])
    assert float(Embed(graded=False).loss(rows, torch.ones(10), {})) == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_equal_similarities_still_has_a_gradient_of_zero() -> None:
    rows = vectors().requires_grad_()
    Embed(graded=True).loss(rows, torch.ones(10), {}).backward()
    assert torch.equal(rows.grad, torch.zeros_like(rows))


@pytest.mark.parametrize(
    ("targets", "graded", "maximum"),
    [([0.0, 5.0, 2.5], True, 5.0), ([0.0, 1.0], True, 1.0), ([1.0, 1.0], False, 1.0), ([float("nan")], False, 1.0)],
)
def test_targets_decide_the_loss(targets: list[float], graded: bool, maximum: float) -> None:
    task = Embed.build(targets)
    assert (task.graded, task.maximum) == (graded, maximum)
    assert float(task.encode(maximum, None)) == float(task.encode(float("nan"), None)) == 1.0


@pytest.mark.parametrize("targets", [[], [0.0, 0.0], [-1.0, 1.0]])
def test_targets_that_say_nothing_are_refused(targets: list[float]) -> None:
    with pytest.raises(DataError):
        Embed.build(targets)


def test_pairs_give_cosines_and_texts_give_vectors() -> None:
    pair, single, flat = Embed().decode(
        [np.array([[3.0, 4.0], [4.0, 3.0]]), np.array([[3.0, 4.0]]), np.array([3.0, 4.0])], []
    )
    assert pair.label == pytest.approx(0.96)
    assert single.label == flat.label == pytest.approx((0.6, 0.8))


def test_spearman_is_scipys_and_scores_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi / 2, 3000)
    golds = np.clip(5 * np.cos(angle) + rng.normal(size=3000), 0, 5)
    logits = [np.array([[1.0, 0.0], [np.cos(a), np.sin(a)]]) for a in angle]
    task = Embed.build(golds.tolist())
    task.calibrate(logits[:1500], golds[:1500].tolist())
    predictions = task.decode(logits[1500:], [])
    figures = task.metrics(golds[1500:].tolist(), predictions)
    assert figures["spearman"] == pytest.approx(stats.spearmanr(golds[1500:], np.cos(angle[1500:]))[0])
    score, correct = task.confidence(predictions, golds[1500:].tolist())
    assert score.mean() == pytest.approx(correct.mean(), abs=0.03)
    assert all(0.5 <= prediction.score <= 1 for prediction in predictions)


def test_one_sided_held_out_pairs_leave_the_curve() -> None:
    task = Embed()
    task.calibrate([np.eye(2), np.ones((2, 2))], [1.0, 1.0])
    assert (task.slope, task.middle) == (10.0, 0.5)
    assert task.metrics([1.0], [Prediction(0.3, 1.0)])["headline"]["value"] == 0.0
