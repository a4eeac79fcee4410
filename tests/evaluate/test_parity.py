"""Two models on the same texts."""

import pytest

from metier.evaluate.parity import compare, lost
from metier.tasks.classify import Classify
from metier.tasks.tag import Tag
from metier.types import Prediction, Span

TASK = Classify(["a", "b"])


def said(labels, score=0.9):
    return [Prediction(x, score, probabilities={x: score, "b" if x == "a" else "a": 1 - score}) for x in labels]


def test_the_same_answers():
    golds = ["a", "b"] * 20
    found = compare(TASK, golds, said(golds), said(golds))
    assert (found.points, found.changed, found.difference, found.interval) == (0.0, 0.0, 0.0, (0.0, 0.0))
    assert {row["label"] for row in found.classes} == {"a", "b"} and not lost({"label": found}, 0.0)


def test_what_is_lost():
    golds = ["a", "b"] * 50
    worse = ["b" if at < 8 else gold for at, gold in enumerate(golds)]
    found = compare(TASK, golds, said(golds), said(worse, 0.7))
    assert found.before == 1.0 and found.after == 0.96 and found.points == pytest.approx(-4.0)
    assert found.interval[0] < -4.0 < found.interval[1] < 0 and found.changed == pytest.approx(0.04)
    assert found.difference == pytest.approx(0.6)  # "a" had 0.9 and has 0.3
    assert found.classes[0]["label"] == "a" and found.classes[0]["points"] < found.classes[1]["points"] < 0
    assert lost({"label": found}, 3.9) == ["label"] and not lost({"label": found}, 4.0)


def test_spans():
    task = Tag(["LOC", "ORG"])
    gold = ((Span(0, 6, "LOC", "Berlin", 1.0), Span(10, 13, "ORG", "Acm", 1.0)),) * 10
    whole = [Prediction(spans, 0.9) for spans in gold]
    half = [Prediction(spans[:1], 0.8) for spans in gold]
    found = compare(task, gold, whole, half)
    assert found.before == 1.0 and found.after < 0.7
    assert [(row["label"], row["after"]) for row in found.classes] == [("ORG", 0.0), ("LOC", 1.0)]


def test_numbers_have_no_classes():
    from metier.tasks.score import Score

    task = Score.build([1.0, 2.0, 3.0, 4.0])
    golds = [1.0, 2.0, 3.0, 4.0]
    found = compare(task, golds, [Prediction(x, 1.0) for x in golds], [Prediction(5.0 - x, 1.0) for x in golds])
    assert found.classes == [] and found.points < 0
