"""Regression and embeddings against SciPy; the bootstrap's sums against the figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from metier.errors import DataError
from metier.tasks import correlation
from metier.tasks.score import Score
from metier.types import Prediction


def said(values: np.ndarray) -> list[Prediction]:
    return [Prediction(float(value), 1.0) for value in values]


def test_correlations_are_scipys() -> None:
    rng = np.random.default_rng(0)
    golds = rng.integers(0, 6, 80).astype(float)
    found = golds + rng.normal(size=80).round(1) + 1e4
    figures = Score(mean=2.5, sd=1.7).metrics(golds.tolist(), said(found))
    assert figures["pearson"] == pytest.approx(stats.pearsonr(golds, found)[0])
    assert figures["spearman"] == pytest.approx(stats.spearmanr(golds, found)[0])
    assert figures["rmse"] == pytest.approx(np.sqrt(((golds - found) ** 2).mean()))
    assert correlation.ranks(found).tolist() == stats.rankdata(found).tolist()


def test_constant_predictions_have_no_correlation() -> None:
    figures = Score().metrics([1.0, 2.0, 3.0], said(np.full(3, 0.1)))
    assert figures["headline"]["value"] == 0.0
    assert Score().metrics([], [])["headline"]["value"] == 0.0


def test_bootstrap_by_sums_is_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    golds, found = rng.normal(size=40), rng.normal(size=40)
    task, drawn = Score(), rng.integers(0, 40, size=(20, 40))
    weights = np.stack([np.bincount(row, minlength=40) for row in drawn])
    fast = task.headline(weights @ task.statistics(golds.tolist(), said(found)))
    assert np.allclose(fast, [stats.pearsonr(golds[row], found[row])[0] for row in drawn])


def test_targets_are_standardised_and_come_back() -> None:
    task = Score.build([10.0, 20.0, 30.0])
    encoded = float(task.encode(30.0, None))
    assert encoded == pytest.approx(np.sqrt(1.5))
    assert task.decode([np.array([encoded])], [[]])[0].label == pytest.approx(30.0)


@pytest.mark.parametrize("targets", [[], [float("nan")], [2.0, 2.0]])
def test_nothing_to_learn_is_refused(targets: list[float]) -> None:
    with pytest.raises(DataError):
        Score.build(targets)


def test_confidence_is_what_held_out_texts_showed() -> None:
    rng = np.random.default_rng(2)
    found = rng.uniform(-2, 2, 4000)
    golds = found + rng.normal(size=4000) * np.where(found > 0, 2.0, 0.3)
    task = Score(mean=0.0, sd=1.0)
    task.calibrate(list(found[:2000, None]), golds[:2000].tolist())
    predictions = task.decode(list(found[2000:, None]), [])
    score, correct = task.confidence(predictions, golds[2000:].tolist())
    certain = score > 0.8
    assert correct[certain].mean() == pytest.approx(score[certain].mean(), abs=0.05)
    assert correct[~certain].mean() == pytest.approx(score[~certain].mean(), abs=0.05)
    assert 0.4 < certain.mean() < 0.6
