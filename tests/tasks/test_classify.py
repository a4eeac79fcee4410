"""Classification against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import classification_report, matthews_corrcoef

from metier import tasks
from metier.errors import DataError, RecipeError
from metier.tasks.classify import Classify
from metier.types import Prediction


def said(labels: list[str]) -> list[Prediction]:
    return [Prediction(label, 1.0) for label in labels]


@pytest.mark.parametrize("seed", range(4))
def test_report_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    golds = rng.choice([*"abcd", "unseen"], 60, p=[0.4, 0.3, 0.15, 0.1, 0.05]).tolist()
    found = rng.choice(list("abc"), 60).tolist()
    ours = Classify("abcd").metrics(golds, said(found))
    theirs = classification_report(golds, found, output_dict=True, zero_division=0)
    assert ours["accuracy"] == ours["headline"]["value"] == pytest.approx(theirs["accuracy"])
    assert ours["matthews"] == pytest.approx(matthews_corrcoef(golds, found))
    for average in ("macro avg", "weighted avg"):
        assert ours[average] == pytest.approx(theirs[average])
    assert set(ours["per_class"]) == set(golds) | set(found)
    for label, row in ours["per_class"].items():
        assert row == pytest.approx(theirs[label])


def test_one_class_and_none_are_refused() -> None:
    with pytest.raises(DataError, match="only one class, 'a'"):
        Classify.build(["a", "a"])
    with pytest.raises(DataError, match="No text has a label"):
        Classify.build([])


def test_class_with_one_example_is_a_class() -> None:
    assert Classify.build(["b", "a", "b"]).labels == ("a", "b")


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="'classify'"):
        tasks.kind_of("clasify")


def test_labels_of_a_test_set_that_training_never_saw_do_no_harm() -> None:
    import torch

    task = Classify("ab")
    logits = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    task.calibrate(logits, ["zzz", "b"])
    targets = torch.tensor([int(task.encode(gold, None)) for gold in ("zzz", "a")])
    loss = task.loss(torch.zeros(2, 2), targets, {})
    assert float(loss) == pytest.approx(np.log(2))
    assert float(task.loss(torch.zeros(1, 2), targets[:1], {"class_weights": [1.0, 2.0]})) == 0.0


def test_loss_is_torchs_weighted_mean() -> None:
    import torch
    from torch.nn import functional

    logits, targets = torch.randn(6, 3, generator=torch.manual_seed(0)), torch.tensor([0, 1, 2, 1, -100, 0])
    weights = torch.tensor([1.0, 2.0, 0.5])
    ours = Classify("abc").loss(logits, targets, {"label_smoothing": 0.1, "class_weights": weights.numpy()})
    theirs = functional.cross_entropy(logits, targets, weight=weights, label_smoothing=0.1)
    assert torch.allclose(ours, theirs)


def test_probabilities_sum_to_one_and_score_is_theirs() -> None:
    prediction = Classify("ab", temperature=2.0).decode([np.array([2.0, 0.0])], [[]])[0]
    assert prediction.label == "a"
    assert prediction.score == prediction.probabilities["a"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
