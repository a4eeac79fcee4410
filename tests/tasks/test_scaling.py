"""Calibration finds what was put in, and stays sane where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression

from metier.tasks import scaling


def drawn(count: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, labels)) * 2
    probabilities = scaling.softmax(logits)
    return logits, np.array([rng.choice(labels, p=row) for row in probabilities])


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_temperature_is_recovered(true: float) -> None:
    logits, golds = drawn(5000, 4)
    assert scaling.fit_temperature(logits * true, golds) == pytest.approx(true, rel=0.07)


def test_temperature_minimises_the_likelihood_of_smoothed_targets() -> None:
    logits, golds = drawn(80, 3)
    targets = np.full((80, 3), 1 / 82 / 2)
    targets[np.arange(80), golds] = 1 - 1 / 82
    best = minimize_scalar(lambda t: -(targets * log_softmax(logits / t, axis=1)).sum(), (0.1, 1.0, 9.0))
    assert scaling.fit_temperature(logits, golds) == pytest.approx(best.x, rel=1e-3)


def test_perfect_sample_does_not_ask_for_certainty() -> None:
    logits = np.eye(3)[np.arange(30) % 3] * 5
    temperature = scaling.fit_temperature(logits, np.arange(30) % 3)
    assert scaling.softmax(logits, temperature).max() == pytest.approx(1 - 1 / 32)


@pytest.mark.parametrize(
    "logits", [np.zeros((0, 3)), np.zeros((4, 3)), np.zeros((4, 1)), np.full((4, 3), np.nan), np.full((4, 3), np.inf)]
)
def test_nothing_to_fit_leaves_probabilities_alone(logits: np.ndarray) -> None:
    assert scaling.fit_temperature(logits, np.zeros(len(logits), dtype=np.int64)) == 1.0


def test_rows_without_a_gold_are_left_out() -> None:
    logits, golds = drawn(300, 3)
    more = np.concatenate([logits, np.random.default_rng(1).normal(size=(50, 3)) * 40])
    assert scaling.fit_temperature(more, np.append(golds, [-100] * 50)) == scaling.fit_temperature(logits, golds)


def test_extreme_logits_do_not_overflow() -> None:
    assert scaling.softmax(np.array([1e30, -1e30])).tolist() == [1.0, 0.0]
    assert scaling.sigmoid(np.array([1e30, -1e30])).tolist() == [1.0, 0.0]
    assert np.allclose(scaling.sigmoid(np.linspace(-9, 9, 30)), expit(np.linspace(-9, 9, 30)))
    assert np.allclose(np.log(scaling.softmax(np.arange(5.0))), np.arange(5.0) - logsumexp(np.arange(5.0)))


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_exponent_is_recovered(true: float) -> None:
    rng = np.random.default_rng(0)
    logs = np.log(rng.uniform(0.05, 0.999, 6000))
    correct = rng.uniform(size=6000) < np.exp(true * logs)
    assert scaling.fit_exponent(logs, correct) == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("correct", [0.0, 1.0])
def test_exponent_of_a_sample_of_one_kind_is_finite(correct: float) -> None:
    exponent = scaling.fit_exponent(np.log([0.9, 0.8, 0.99, 1.0]), np.full(4, correct))
    assert scaling.COLDEST <= exponent <= scaling.HOTTEST
    assert scaling.fit_exponent(np.zeros(0), np.zeros(0)) == 1.0


def test_logistic_curve_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, 4000)
    positive = rng.uniform(size=4000) < expit(6 * (values - 0.3))
    slope, middle = scaling.fit_logistic(values, positive)
    theirs = LogisticRegression(C=1e9).fit(values[:, None], positive)
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=0.02)
    assert middle == pytest.approx(-theirs.intercept_[0] / theirs.coef_[0, 0], abs=0.01)


def test_logistic_curve_of_separable_values_is_finite() -> None:
    slope, middle = scaling.fit_logistic(np.array([0.0, 0.1, 0.8, 0.9]), np.array([False, False, True, True]))
    assert 0 < slope < 1e3
    assert 0.1 < middle < 0.8
