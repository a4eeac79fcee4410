"""Multi-label classification against scikit-learn; thresholds against exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import classification_report, f1_score, hamming_loss

from metier.errors import DataError
from metier.tasks import thresholds
from metier.tasks.multilabel import Multilabel
from metier.types import Prediction

LABELS = tuple("abcde")


def sets(matrix: np.ndarray) -> list[tuple[str, ...]]:
    return [tuple(label for label, yes in zip(LABELS, row, strict=True) if yes) for row in matrix]


def test_report_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    golds, found = rng.uniform(size=(50, 5)) < 0.3, rng.uniform(size=(50, 5)) < 0.4
    ours = Multilabel(LABELS).metrics(sets(golds), [Prediction(said, 1.0) for said in sets(found)])
    theirs = classification_report(golds, found, target_names=LABELS, output_dict=True, zero_division=0)
    for average in ("micro avg", "macro avg", "weighted avg", "samples avg"):
        if average != "samples avg":
            assert ours[average] == pytest.approx(theirs[average])
    assert ours["samples avg"]["precision"] == pytest.approx(theirs["samples avg"]["precision"])
    assert ours["per_class"] == {label: pytest.approx(theirs[label]) for label in LABELS}
    assert ours["hamming loss"] == pytest.approx(hamming_loss(golds, found))
    assert ours["exact match"] == pytest.approx((golds == found).all(axis=1).mean())
    assert ours["headline"]["value"] == pytest.approx(f1_score(golds, found, average="micro"))


def test_unknown_gold_labels_cost_recall() -> None:
    task = Multilabel(("a",))
    figures = task.metrics([("a", "new")], [Prediction(("a",), 1.0)])
    assert figures["per_class"]["new"]["support"] == 1
    assert figures["headline"]["value"] == pytest.approx(2 / 3)
    assert task.encode(("a", "new"), None).tolist() == [1.0]


def test_a_string_is_one_label_and_order_does_not_matter() -> None:
    task = Multilabel.build(["oil", ("gas", "oil"), ()])
    assert task.labels == ("gas", "oil")
    score, correct = task.confidence([Prediction(("gas", "oil"), 0.5)], [("oil", "gas")])
    assert correct.tolist() == [1.0]
    with pytest.raises(DataError):
        Multilabel.build([(), ()])


def test_score_is_the_product_over_labels() -> None:
    prediction = Multilabel(("a", "b")).decode([np.array([np.log(3.0), -np.log(4.0)])], [[]])[0]
    assert prediction.label == ("a",)
    assert prediction.score == pytest.approx(0.75 * 0.8)
    assert prediction.probabilities == pytest.approx({"a": 0.75, "b": 0.2})


def test_common_threshold_is_the_best_one() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.uniform(0.03, 0.97, size=(60, 4)).round(2)
    golds = rng.uniform(size=(60, 4)) < probabilities**2
    ours = thresholds.micro_f1(probabilities, golds, np.full(4, thresholds.common(probabilities, golds)))
    best = max(thresholds.micro_f1(probabilities, golds, np.full(4, cut)) for cut in np.linspace(0.02, 0.98, 193))
    assert ours == pytest.approx(best)


def test_own_thresholds_are_found_where_they_pay() -> None:
    rng = np.random.default_rng(2)
    golds = rng.uniform(size=(4000, 2)) < 0.3
    strength = rng.beta(2, 4, size=(4000, 2)) + 0.25 * golds
    probabilities = np.clip(strength * [1.0, 0.3], 0, 1)
    tuned = thresholds.tune(probabilities, golds)
    assert tuned[1] < 0.6 * tuned[0]
    shared = np.full(2, thresholds.common(probabilities, golds))
    assert thresholds.micro_f1(probabilities, golds, tuned) > thresholds.micro_f1(probabilities, golds, shared) + 0.02


def test_rare_labels_keep_the_common_threshold() -> None:
    rng = np.random.default_rng(3)
    golds = np.stack([rng.uniform(size=400) < 0.4, np.arange(400) < 4], axis=1)
    probabilities = np.clip(rng.uniform(size=(400, 2)) * 0.6 + 0.3 * golds, 0, 1)
    shared = thresholds.common(probabilities, golds)
    assert thresholds.each(probabilities, golds, shared)[1] == shared


def test_without_positives_thresholds_stay() -> None:
    assert thresholds.tune(np.full((5, 2), 0.3), np.zeros((5, 2), dtype=bool)).tolist() == [0.5, 0.5]


def test_calibration_improves_held_out_f1_and_likelihood() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(3000, 5)) - 2
    golds = sets(rng.uniform(size=(3000, 5)) < 1 / (1 + np.exp(-truth)))
    task = Multilabel(LABELS)
    before = task.metrics(golds[1500:], task.decode(list(truth[1500:] * 3), []))["headline"]["value"]
    task.calibrate(list(truth[:1500] * 3), golds[:1500])
    assert task.temperature == pytest.approx(3.0, rel=0.15)
    predictions = task.decode(list(truth[1500:] * 3), [])
    assert task.metrics(golds[1500:], predictions)["headline"]["value"] > before + 0.05
    score, correct = task.confidence(predictions, golds[1500:])
    assert score.mean() == pytest.approx(correct.mean(), abs=0.05)
