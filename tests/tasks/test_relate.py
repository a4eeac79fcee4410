"""Relations: counted as the official scorer of SemEval-2010 task 8 counts, by hand and by its rules written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from windows import cut, window

from metier.errors import DataError
from metier.tasks.relate import Relate, relation_of
from metier.tasks.task import Encoding
from metier.types import Document, Prediction

LABELS = ("A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "B(e2,e1)", "Other")


def said(labels: list[str]) -> list[Prediction]:
    return [Prediction(label, 1.0) for label in labels]


def official(golds: list[str], found: list[str]) -> float:
    """(9+1)-way with directions: a wrong direction adds to the answers of its relation, and is not right."""
    scores = []
    for relation in sorted({relation_of(gold) for gold in golds} - {"Other"}):
        pairs = list(zip(golds, found, strict=True))
        right = sum(gold == answer and relation_of(gold) == relation for gold, answer in pairs)
        turned = sum(gold != answer and relation_of(gold) == relation_of(answer) == relation for gold, answer in pairs)
        strayed = sum(relation_of(answer) == relation != relation_of(gold) for gold, answer in pairs)
        there = sum(relation_of(gold) == relation for gold in golds)
        precision = right / (right + strayed + turned) if right + strayed + turned else 0.0
        recall = right / there
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return float(np.mean(scores)) if scores else 0.0


def test_by_hand() -> None:
    golds = ["A(e1,e2)", "A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "Other", "Other"]
    found = ["A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "B(e1,e2)", "Other", "A(e1,e2)"]
    figures = Relate(LABELS).metrics(golds, said(found))
    # A: 1 right of 3 answers (one turned round, one for Other) and 3 golds. B: 1 right of 2 answers and 1 gold.
    assert figures["relations"]["per_class"]["A"] == pytest.approx(
        {"precision": 1 / 3, "recall": 1 / 3, "f1-score": 1 / 3, "support": 3}
    )
    assert figures["relations"]["per_class"]["B"]["f1-score"] == pytest.approx(2 / 3)
    assert figures["headline"] == {"name": "macro-F1", "value": pytest.approx(0.5)}
    assert figures["accuracy"] == pytest.approx(3 / 6)
    assert figures["wrong direction"] == 1
    assert figures["undirected"] == pytest.approx((2 / 3 + 2 / 3) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_is_the_official_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    golds = rng.choice([*LABELS, "C(e1,e2)"], 80).tolist()
    found = [gold if rng.uniform() < 0.4 else str(rng.choice(LABELS)) for gold in golds]
    task = Relate(LABELS)
    figures = task.metrics(golds, said(found))
    assert figures["headline"]["value"] == pytest.approx(official(golds, found))
    rows = rng.integers(0, 80, size=(10, 80))
    weights = np.stack([np.bincount(row, minlength=80) for row in rows])
    fast = task.headline(weights @ task.statistics(golds, said(found)))
    slow = [official([golds[i] for i in row], [found[i] for i in row]) for row in rows]
    assert np.allclose(fast, slow)


def test_a_relation_that_the_golds_lack_is_left_out() -> None:
    figures = Relate(LABELS).metrics(["A(e1,e2)", "Other"], said(["A(e1,e2)", "B(e1,e2)"]))
    assert figures["headline"]["value"] == 1.0
    assert set(figures["relations"]["per_class"]) == {"A"}


def test_labels_without_direction_and_other_negatives() -> None:
    task = Relate(("founded", "owns", "unknown"))
    assert task.negative == {"unknown"}
    assert Relate(("founded", "Other"), negative=()).negative == frozenset()
    figures = task.metrics(["founded", "owns", "unknown"], said(["founded", "unknown", "owns"]))
    assert figures["headline"]["value"] == pytest.approx(0.5)
    assert Relate.build(["owns", "NA", "owns"]).describe()["negative"] == ["NA"]


def with_marks(text: str) -> Encoding:
    """One window whose tokens are the marks and everything between them."""
    import re

    tokens = [(*match.span(), True) for match in re.finditer(r"</?e[12]>|[^<>\s]+", text)]
    return window(Document(text), tokens)


def test_marks_are_found_in_any_order() -> None:
    encoding = with_marks("The <e2> audit </e2> followed the <e1> fraud </e1>")
    assert Relate(LABELS).inputs(encoding)["marks"].tolist() == [7, 2]


def test_a_pair_may_hold_one_mark_each() -> None:
    document = Document("<e2> audit </e2>", "<e1> fraud </e1>")
    first, second = with_marks(document.text), with_marks(str(document.pair))
    joined = {name: np.concatenate([getattr(one, name) for one in (first, second)]) for name in ("start", "end")}
    sequence = np.repeat([0, 1], [len(first.ids), len(second.ids)])
    ids = np.arange(len(sequence))
    encoding = Encoding(document, ids, ids, joined["start"], joined["end"], sequence, ids > 0)
    assert Relate(LABELS).inputs(encoding)["marks"].tolist() == [len(first.ids) + 1, 1]


@pytest.mark.parametrize("text", ["no marks", "<e1>one</e1> only", ""])
def test_text_without_marks_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="does not mark its two entities"):
        Relate(LABELS).inputs(cut(Document(text))[0])


def test_windows_with_both_marks_decide() -> None:
    document = Document("<e1> a </e1> b c d e f <e2> g </e2>")
    tokens = [(0, 4, True), (5, 6, True), (13, 14, True), (23, 27, True)]
    windows = [window(document, tokens[:2]), window(document, tokens), window(document, tokens[2:])]
    rows = [np.array([9.0, 0.0]), np.array([1.0, 2.0]), np.array([9.0, 0.0])]
    assert Relate(LABELS).merge(rows, windows).tolist() == [1.0, 2.0]
    assert Relate(LABELS).merge(rows[::2], windows[::2]).tolist() == [9.0, 0.0]


def test_head_reads_the_states_at_the_marks() -> None:
    torch.manual_seed(0)
    head = Relate(LABELS).head(4).eval()
    hidden, mask, pooled = torch.randn(2, 5, 4), torch.ones(2, 5), torch.randn(2, 4)
    marks = torch.tensor([[1, 3], [2, -1]])
    logits = head(hidden, mask, pooled, marks=marks)
    assert logits.shape == (2, len(LABELS))
    elsewhere = hidden.clone()
    elsewhere[0, [0, 2, 4]] = 7.0
    elsewhere[1, [0, 1, 3, 4]] = 7.0
    assert torch.equal(head(elsewhere, mask, pooled, marks=marks), logits)
