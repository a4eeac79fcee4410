import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score, silhouette_score

from metier.apps.monitor.explain.odds import terms
from metier.apps.support import intents
from metier.apps.support.intents import OTHER, find, shortened
from metier.errors import DataError

ASKED = {
    "card": [
        "Where is my new card?",
        "My card has not arrived",
        "When will the new card arrive",
        "track my card",
        "card",
    ],
    "limit": ["Raise my transfer limit", "What is the transfer limit?", "transfer limit too low", "limit", "a limit"],
    "密码": ["我忘记密码了怎么办", "如何重置登录密码", "登录密码忘记了", "怎么修改登录密码", "登录密码错误"],
}


def scene(sizes, width=32, spread=0.25, seed=0):
    """Unit vectors around as many directions as there are sizes, in mixed order, and the direction of each."""
    rng = np.random.default_rng(seed)
    gold = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.linalg.qr(rng.standard_normal((width, len(sizes))))[0].T
    return centres[gold] + spread * rng.standard_normal((len(gold), width)) / np.sqrt(width), gold


def same_partition(labels, gold):
    pairs = {(label, one) for label, one in zip(labels, gold, strict=True)}
    return len(pairs) == len(set(labels)) == len(set(gold.tolist()))


def test_groups_that_lie_apart_are_found_without_their_number():
    vectors, gold = scene([40, 30, 20, 10, 8])
    found = find([f"question {one}" for one in gold], vectors, terms)
    assert same_partition(found.labels, gold)
    assert [intent.size for intent in found.intents] == [40, 30, 20, 10, 8]
    assert len({intent.name for intent in found.intents}) == 5
    assert all(found.labels[intent.central] == intent.name for intent in found.intents)
    assert found.silhouette > 0.8


def test_small_groups_and_outliers_are_other():
    vectors, gold = scene([40, 30, 3])
    strange = np.random.default_rng(4).standard_normal((4, 32))
    found = find([f"text {at}" for at in range(77)], np.concatenate([vectors, strange]), terms)
    assert [at for at, label in enumerate(found.labels) if label == OTHER] == [
        *np.flatnonzero(gold == 2),
        *range(73, 77),
    ]
    assert len(found.intents) == 2


def test_names_say_what_is_asked_in_both_languages():
    texts = [text for own in ASKED.values() for text in own]
    vectors, gold = scene([5, 5, 5])
    order = np.argsort(gold, kind="stable")
    found = find(texts, vectors[order], terms)
    for word, own in ASKED.items():
        (name,) = {found.labels[texts.index(text)] for text in own}
        assert word in name.lower()
        assert name.count(",") < 3


def test_a_group_without_telling_terms_is_named_by_its_central_question():
    vectors, _ = scene([6, 6])
    texts = [f"is it {'y' * at}z" if at % 2 else "how" for at in range(12)]
    found = find(texts, vectors, lambda text: [])
    assert all(shortened(texts[intent.central]) in intent.name for intent in found.intents)
    assert len({intent.name for intent in found.intents}) == 2


def test_the_same_questions_get_the_same_names_twice_and_in_any_sample(monkeypatch):
    vectors, gold = scene([200, 150, 100, 6])
    texts = [f"about {'abcd'[one]}{'abcd'[one]}" for one in gold]
    whole = find(texts, vectors, terms)
    assert whole == find(texts, vectors, terms)
    monkeypatch.setattr(intents, "MOST", 300)
    part = find(texts, vectors, terms)
    assert part == find(texts, vectors, terms)
    large = [at for at, one in enumerate(gold) if one < 3]
    assert np.mean([part.labels[at] == whole.labels[at] for at in large]) > 0.97


def test_few_questions_and_a_wished_number():
    vectors, gold = scene([30, 30, 30, 30])
    assert find(["a", "b"], vectors[:2], terms).labels == [OTHER, OTHER]
    assert find([], np.zeros((0, 4)), terms).intents == ()
    assert len(find(["text"] * 120, vectors, terms, count=2).intents) == 2
    with pytest.raises(DataError, match="3 questions have vectors"):
        find(["a", "b", "c"], vectors[:2], terms)
    with pytest.raises(DataError):
        find(["a"], np.array([[np.nan]]), terms)
    assert set(find(["the same"] * 30, np.ones((30, 8)), terms).labels) <= {OTHER, "same", "the same"}


@given(st.text(max_size=200))
def test_a_shortened_question_fits_and_is_never_empty(text):
    found = shortened(text)
    width = sum(2 if ord(character) > 0x2E7F else 1 for character in found.removesuffix("…"))
    assert found and width <= intents.LONGEST
    assert not re.search(r"\n|  ", found)


def test_a_question_is_cut_between_words():
    assert shortened("How do I  get my money back from a merchant who does not answer?") == (
        "How do I get my money back from a…"
    )
    assert (
        shortened("我的信用卡在国外被拒绝了应该怎么办才能继续使用它呢") == "我的信用卡在国外被拒绝了应该怎么办才能继…"
    )


def test_fifty_groups_are_found_but_for_a_few():
    vectors, gold = scene([40] * 50, width=64)
    found = find(["question"] * 2000, vectors, terms)
    assert 45 <= len(found.intents) <= 56
    assert normalized_mutual_info_score(gold, found.labels) > 0.97


def test_the_silhouette_is_that_of_all_pairs():
    vectors, gold = scene([30, 20, 5, 1], spread=1.0)
    own = intents._unit(vectors)
    assert intents.silhouette(own, gold) == pytest.approx(silhouette_score(own, gold, metric="cosine"), abs=1e-5)
