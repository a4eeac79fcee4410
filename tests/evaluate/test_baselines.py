import os
from pathlib import Path

import numpy as np
import pytest

from metier.evaluate import baselines, lexical
from metier.evaluate.suspects import doubtful_numbers, doubtful_sets, left_out, suspects
from metier.types import Document, Span

GOOD = ["profit rose strongly", "sales rose again", "orders grew", "profit grew and sales rose"] * 8
BAD = ["profit fell sharply", "sales fell again", "orders shrank", "profit shrank and sales fell"] * 8
TRAIN = [Document(text) for text in GOOD + BAD]
UNSEEN = [Document("orders rose"), Document("orders fell")]


def answers(found):
    return [prediction.label for prediction in found]


@pytest.mark.parametrize("kind", ["classify", "relate"])
def test_one_label(kind):
    found = baselines.baselines(kind, TRAIN, ["up"] * 32 + ["down"] * 32, UNSEEN)
    assert answers(found["lexical"]) == ["up", "down"]
    assert all(0.5 <= p.score <= 1 for p in found["lexical"])
    assert set(answers(found["majority"])) == {"up"}


def test_three_classes_and_pairs():
    documents = [Document(text, "a question") for text in GOOD + BAD] + [Document("the board met", "a question")] * 20
    found = baselines.by_words(
        "classify", documents, ["up"] * 32 + ["down"] * 32 + ["none"] * 20, [Document("board", "x")]
    )
    assert answers(found) == ["none"]


def test_chinese_needs_no_spaces():
    documents = [Document("净利润大幅上涨")] * 9 + [Document("营业收入明显下滑")] * 9
    found = baselines.by_words(
        "classify", documents, ["up"] * 9 + ["down"] * 9, [Document("收入下滑"), Document("利润上涨")]
    )
    assert answers(found) == ["down", "up"]


def test_several_labels_and_none():
    targets = [("up", "news")] * 32 + [("news",)] * 16 + [()] * 16
    found = baselines.baselines("multilabel", TRAIN, targets, UNSEEN)
    assert answers(found["majority"])[0] == ("up", "news")
    assert set(answers(found["lexical"])[0]) == {"up", "news"}
    assert baselines.by_words("multilabel", TRAIN, [()] * 64, UNSEEN) is None


def test_numbers():
    found = baselines.baselines("score", TRAIN, [1.0] * 32 + [0.0] * 32, UNSEEN)
    assert answers(found["majority"]) == [0.5, 0.5]
    up, down = answers(found["lexical"])
    assert 0 <= down < 0.5 < up <= 1


def test_similarity_of_pairs():
    pairs = [Document("profit rose", "profit rose again"), Document("profit rose", "orders shrank")]
    found = baselines.baselines("embed", [Document(d.text, d.text) for d in TRAIN], [1.0] * 64, pairs)
    assert set(found) == {"lexical"}
    assert found["lexical"][0].label > found["lexical"][1].label
    assert baselines.by_words("embed", TRAIN, [1.0] * 64, [Document("alone")]) is None


def test_tags_of_known_words():
    text = "Alma Oyj hired Kaisa Virtanen"
    gold = (Span(0, 8, "ORG"), Span(15, 29, "PER"))
    found = baselines.baselines("tag", [Document(text)], [gold], [Document("Kaisa Virtanen left Alma Oyj")])
    assert answers(found["majority"]) == [()]
    assert found["lexical"][0].label == (Span(0, 14, "PER"), Span(20, 28, "ORG"))
    assert found["lexical"][0].label[0].text == "Kaisa Virtanen"


def test_tags_use_the_words_of_the_source():
    document = Document("甲公司上市", tokens=((0, 3), (3, 5)))
    found = baselines.by_words("tag", [document], [(Span(0, 3, "ORG"),)], [document])
    assert found[0].label == (Span(0, 3, "ORG"),)


@pytest.mark.parametrize("kind", ["classify", "multilabel", "score", "tag", "embed", "relate"])
def test_nothing_to_answer_and_texts_without_words(kind):
    target = {"classify": "a", "relate": "a", "multilabel": ("a",), "score": 1.0, "embed": 1.0, "tag": ()}[kind]
    assert not any(baselines.baselines(kind, TRAIN[:4], [target] * 4, []).values())
    empty = [Document("", ""), Document("!", "?")] * 4
    baselines.baselines(kind, empty, [target] * 8, empty)


def test_only_one_class_has_no_lexical_baseline():
    assert set(baselines.baselines("classify", TRAIN, ["a"] * 64, UNSEEN)) == {"majority"}


def test_large_sets_are_sampled(monkeypatch):
    monkeypatch.setattr(baselines, "FIT_ROWS", 20)
    assert answers(baselines.baselines("classify", TRAIN, ["up"] * 32 + ["down"] * 32, UNSEEN)["lexical"]) == [
        "up",
        "down",
    ]


def test_scripts():
    assert lexical.unspaced(["公司 profit 上涨了很多"])
    assert not lexical.unspaced(["profit rose", ""])
    assert not lexical.unspaced([])


def test_suspects_finds_swapped_labels():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 16))
    given = rng.integers(0, 4, 400)
    points = centres[given] + 0.3 * rng.normal(size=(400, 16))
    labels = [f"class {label}" for label in given]
    swapped = rng.choice(400, 12, replace=False)
    for at in swapped:
        labels[at] = f"class {(given[at] + 1) % 4}"
    found = suspects(points, labels, top=12)
    assert len({s.index for s in found} & set(swapped)) >= 11
    assert all(s.suggested == f"class {given[s.index]}" for s in found if s.index in swapped)
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)


def test_suspects_leaves_rare_classes_alone():
    points = np.random.default_rng(0).normal(size=(23, 4))
    found = suspects(points, ["a"] * 10 + ["b"] * 10 + ["rare"] * 3)
    assert all("rare" not in (s.given, s.suggested) for s in found)
    assert suspects(points[:3], ["a", "b", "c"]) == []
    with pytest.raises(ValueError, match="labels"):
        suspects(points, ["a"])


@pytest.mark.data
def test_banking77():
    folder = os.environ.get("METIER_TEST_DATA")
    if not folder:
        pytest.skip("METIER_TEST_DATA names no folder with the real data")
    polars = pytest.importorskip("polars")
    frame = polars.read_csv(Path(folder) / "support_banking77" / "banking77.csv.gz")
    train, test = frame.filter(polars.col("split") == "train"), frame.filter(polars.col("split") == "test")
    found = baselines.by_words(
        "classify", [Document(x) for x in train["text"]], train["label"].to_list(), [Document(x) for x in test["text"]]
    )
    assert np.mean([p.label == gold for p, gold in zip(found, test["label"], strict=True)]) > 0.88


def clusters(rng, n=120):
    """Points around two corners, and which corner each belongs to."""
    side = rng.integers(0, 2, n)
    return np.eye(2)[side] * 4 + rng.normal(0, 0.3, (n, 2)), side


def test_left_out_is_what_n_fits_say():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    rows = np.hstack([x, np.ones((12, 1))])
    for at, found in enumerate(left_out(x, y, strength=0.5)):
        others = np.arange(12) != at
        weights = np.linalg.solve(rows[others].T @ rows[others] + 0.5 * np.eye(4), rows[others].T @ y[others])
        assert found == pytest.approx(rows[at] @ weights)


def test_doubtful_sets_names_what_is_missing_and_what_is_too_much():
    points, side = clusters(np.random.default_rng(1))
    labels = [("all", "gas") if s else ("all", "oil") for s in side]
    labels[3] = ("all",)  # lacks its label
    labels[7] = ("all", "gas", "oil")  # has one too many
    found = {suspect.index: suspect for suspect in doubtful_sets(points, labels, top=2)}
    assert set(found) == {3, 7}
    assert found[3].given == "all" and found[3].suggested == ("all|gas" if side[3] else "all|oil")
    assert found[7].suggested == ("all|gas" if side[7] else "all|oil")
    assert all(0 < suspect.score <= 1 for suspect in found.values())


def test_doubtful_sets_leaves_rare_and_constant_labels_alone():
    points, _ = clusters(np.random.default_rng(1))
    assert doubtful_sets(points, [("all", "rare") if at < 3 else ("all",) for at in range(120)]) == []
    assert doubtful_sets(points, [() for _ in range(120)]) == []


def test_doubtful_numbers_finds_a_slip_of_the_pen():
    rng = np.random.default_rng(2)
    points, side = clusters(rng)
    values = 2.0 + 3.0 * side + rng.normal(0, 0.1, 120)
    values[11] += 10
    first = doubtful_numbers(points, values.tolist())[0]
    assert first.index == 11 and float(first.suggested) == pytest.approx(2.0 + 3.0 * side[11], abs=0.5)
    assert doubtful_numbers(points, [1.0] * 120) == []
