"""The probe against scikit-learn's solution of the same problem."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from metier import tasks
from metier.models.batch import Batch
from metier.models.network import Network
from metier.train import probe
from metier.train.probe import Features

OPTIONS = {"label_smoothing": 0.1, "class_weights": None}
ROWS, WIDTH = 200, 6


class Nothing(nn.Module):
    """An encoder that is never asked."""

    width = WIDTH


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    return X, X @ rng.normal(size=(WIDTH, 3)) + 0.5 * rng.normal(size=(ROWS, 3))


def features(X, targets, present=None):
    there = torch.ones(len(X), dtype=torch.bool) if present is None else torch.from_numpy(present)
    mask = torch.ones(len(X), 1, dtype=torch.bool)
    batch = Batch(np.arange(len(X)), mask.long(), mask, mask.long())
    batch.targets, batch.present = {"a": torch.from_numpy(targets)[there]}, {"a": there}
    return Features([batch], [None], [torch.from_numpy(X)])


def fitted(task, found, judge=None):
    network = Network(Nothing(), {"a": task})
    penalties = probe.fit(network, found, {"a": OPTIONS}, judge and (lambda name: judge(network)))
    return network.heads[0].eval(), penalties["a"]


def test_classify_is_logistic_regression(points):
    X, scores = points
    y = scores.argmax(axis=1)
    head, penalty = fitted(tasks.build("classify", ["a", "b", "c"]), features(X, y))
    scale = float((X**2).mean())
    expected = LogisticRegression(C=1 / (penalty * scale * ROWS), max_iter=2000, tol=1e-8).fit(X, y)
    with torch.no_grad():
        said = torch.softmax(head.out(torch.from_numpy(X)), dim=1).numpy()
    np.testing.assert_allclose(said, expected.predict_proba(X), atol=0.02)
    assert (said.argmax(axis=1) == expected.predict(X)).mean() > 0.98


def test_score_is_ridge_regression(points):
    X, scores = points
    y = scores[:, 0].astype(np.float32)
    y = (y - y.mean()) / y.std()
    head, penalty = fitted(tasks.build("score", y.tolist()), features(X, y))
    expected = Ridge(alpha=penalty * float((X**2).mean()) * ROWS / 2).fit(X, y)
    with torch.no_grad():
        said = head.out(torch.from_numpy(X))[:, 0].numpy()
    np.testing.assert_allclose(said, expected.predict(X), atol=1e-3)


def test_rows_without_a_label_do_not_count(points):
    X, scores = points
    y = scores.argmax(axis=1)
    spoilt = X.copy()
    spoilt[100:] *= -1.0
    present = np.arange(ROWS) < 100
    task = tasks.build("classify", ["a", "b", "c"])
    with_rest, _ = fitted(task, features(spoilt, y, present))
    with torch.no_grad():
        assert (with_rest.out(torch.from_numpy(X[:100])).argmax(1).numpy() == y[:100]).mean() > 0.8


def test_the_best_penalty_on_validation_is_kept(points):
    X, scores = points
    seen = []

    def judge(network):
        seen.append(float(network.heads[0].out.weight.detach().square().sum()))
        return -abs(len(seen) - 2)

    head, penalty = fitted(tasks.build("classify", ["a", "b", "c"]), features(X, scores.argmax(axis=1)), judge)
    assert len(seen) == len(probe.PENALTIES) and penalty == probe.PENALTIES[1]
    assert float(head.out.weight.detach().square().sum()) == seen[1]
    assert seen == sorted(seen), "a weaker penalty leaves larger weights"


def test_no_gradient_is_left_behind(points):
    X, scores = points
    head, _ = fitted(tasks.build("classify", ["a", "b", "c"]), features(X, scores.argmax(axis=1)))
    assert all(weight.grad is None for weight in head.parameters())
