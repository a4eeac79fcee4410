"""Predictions as HTML: bars, marks and numbers, with nothing of a text left as markup."""

from __future__ import annotations

import numpy as np
import pytest

from metier.serve import drawing
from metier.types import Prediction, Span

EVIL = '<script>"&'


def shares(n):
    return {f"label {i}": (i + 1) / sum(range(1, n + 1)) for i in range(n)}


def test_many_labels_open_with_a_click():
    card = drawing.head_card("intent", {"task": "classify"}, Prediction("label 76", 0.03, True, shares(77)), "", "en")
    shown, hidden = card.split("<details")
    assert shown.count("<li") == drawing.SHOWN
    assert hidden.count("<li") == 77 - drawing.SHOWN
    assert "71 more" in hidden
    assert shown.index("label 76") < shown.index("label 75")
    assert "Not sure enough" in card
    assert "另外 71 项" in drawing.head_card(
        "i", {"task": "classify"}, Prediction("label 76", 0.03, False, shares(77)), "", "zh"
    )


@pytest.mark.parametrize("kind", ["classify", "multilabel", "tag", "relate", "score"])
def test_nothing_is_left_as_markup(kind):
    label = {"multilabel": (EVIL,), "tag": (Span(0, 3, EVIL, EVIL),), "score": 0.5}.get(kind, EVIL)
    about = {"task": kind, "labels": [EVIL], "headline": {"name": EVIL, "value": 0.5, "interval": [0.4, 0.6]}}
    card = drawing.head_card(EVIL, about, Prediction(label, 0.5, False, {EVIL: 0.5}), EVIL * 3, "en")
    assert "<script>" not in card
    assert EVIL not in drawing.overview({EVIL: about}, "zh")


def test_spans_are_marked_once():
    found = (Span(5, 9, "B", score=0.5), Span(0, 6, "A"), Span(20, 99, "C"), Span(9, 12, "B"))
    html = drawing.spans("0123456789abcdef", found, ["A", "B"], "en")
    assert html.count("<mark") == 2
    assert "012345<small>A</small></mark>678<mark" in html
    assert html.endswith("cdef</p>")
    assert "Nothing found" in drawing.spans("text", (), [], "en")


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (3.14159, "score", "3.14"),
        (np.float32(0.5), "score", "0.5"),
        (-0.25, "embed", "Similarity"),
        (np.arange(384) / 384, "embed", "A vector of 384 numbers"),
    ],
)
def test_numbers(value, kind, said):
    assert said in drawing.number(value, kind, "en")


@pytest.mark.parametrize(
    ("share", "said"), [(0.99999, "99.9"), (1.0, "100.0"), (0.0, "0.0"), (float("nan"), "&ndash;")]
)
def test_percentages(share, said):
    assert drawing.percent(share).startswith(said)


def test_a_head_without_a_test_split_has_no_figure():
    assert drawing.measured({"headline": None}, "en") == ""
    assert drawing.measured({}, "en") == ""
    assert "微平均 F1" in drawing.measured({"headline": {"name": "micro-F1", "value": 0.5}}, "zh")
    assert "house metric" in drawing.measured({"headline": {"name": "house metric", "value": 0.5}}, "zh")
    assert "interval" not in drawing.measured({"headline": {"name": "accuracy", "value": 0.5}}, "en")
