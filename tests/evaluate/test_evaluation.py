import json

import numpy as np
import pytest

from metier import tasks
from metier.evaluate.evaluation import beside, confusion, finite, judge, worst_errors
from metier.types import Document, Prediction, Span


@pytest.fixture
def task():
    return tasks.build("classify", ["a", "b", "c"])


def test_judge_adds_interval_and_calibration(task):
    golds = ["a", "b", "c", "a"] * 50
    found = [Prediction(g if i % 5 else "b", 0.6 + 0.3 * (i % 5 > 0)) for i, g in enumerate(golds)]
    raw = [Prediction(p.label, 0.99) for p in found]
    figures = judge(task, golds, found, raw=raw)
    low, high = figures["headline"]["interval"]
    assert low < figures["headline"]["value"] < high
    assert figures["documents"] == 200
    assert figures["calibration"]["ece_before"] > 0
    assert figures["calibration"]["reliability_before"]
    json.dumps(figures, allow_nan=False)


def test_judge_of_nothing_is_json(task):
    json.dumps(judge(task, [], []), allow_nan=False)


def test_beside_compares_on_the_same_documents(task):
    golds = ["a", "b"] * 100
    model = [Prediction(g, 0.9) for g in golds]
    found = beside(task, golds, model, {"majority": [Prediction("a", 0.5)] * 200})
    assert found["majority"]["headline"]["value"] == 0.5
    assert found["majority"]["versus"]["difference"] == 0.5
    assert found["majority"]["versus"]["p_value"] < 0.01


def test_confusion_counts_gold_by_predicted():
    golds = ["a", "a", "b", "b", "b"]
    found = confusion(golds, [Prediction(x, 1.0) for x in ["a", "b", "b", "a", "a"]])
    assert found["labels"] == ["a", "b"]
    assert found["matrix"] == [[1, 1], [2, 1]]
    assert found["pairs"][0] == {"gold": "b", "predicted": "a", "count": 2, "share": 2 / 3}
    assert confusion([1.0], [Prediction(1.0, 1.0)]) is None
    assert confusion([("a",)], [Prediction(("a",), 1.0)]) is None


def test_worst_errors_are_the_surest():
    documents = [Document(f"text {i}", id=str(i)) for i in range(4)]
    found = [Prediction("b", 0.6), Prediction("a", 0.99), Prediction("b", 0.9), Prediction("b", 0.0)]
    assert [row["id"] for row in worst_errors(documents, ["a"] * 4, found)] == ["2", "0", "3"]


def test_worst_errors_of_numbers_spans_and_sets():
    documents = [Document("Alma Oyj grew"), Document("Nobody")]
    row = worst_errors(documents, [1.0, 2.0], [Prediction(1.0, 1.0), Prediction(4.5, 1.0)])[0]
    assert (row["text"], row["gold"], row["predicted"]) == ("Nobody", 2.0, 4.5)
    gold = (Span(0, 8, "ORG"),)
    row = worst_errors(documents[:1], [gold], [Prediction((Span(0, 4, "ORG"),), 0.9)])[0]
    assert (row["missed"], row["invented"]) == (["ORG: Alma Oyj"], ["ORG: Alma"])
    assert worst_errors(documents, [("a", "b"), ()], [Prediction(("b", "a"), 0.9), Prediction((), 0.9)]) == []


def test_finite_is_json():
    odd = {"a": float("nan"), "b": [np.float32(1), np.int64(2), float("inf")], "c": np.array([1.0, np.nan]), 3: None}
    assert finite(odd) == {"a": None, "b": [1.0, 2, None], "c": [1.0, None], "3": None}
