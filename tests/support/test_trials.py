"""The knowledge asks itself: what is asked, and what is found with the answer there and without."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from metier.apps.support import trials
from metier.apps.support.answer.known import NOBODY, Known, texts_of
from metier.apps.support.answer.sure import Sure
from metier.search.index import Index
from metier.search.words import terms
from metier.store import knowledge, open_store
from metier.store.knowledge import StoredEntry

ENTRIES = [
    StoredEntry("lost", "I have lost my card", "Block it.", ["my card is gone", "the card was stolen"]),
    StoredEntry("fee", "What does a transfer to another country cost me", "Nothing."),
    StoredEntry("old", "Do you take cheques", "No.", active=False),
]


def encode(texts):
    """Bags of words as unit vectors."""
    found = np.zeros((len(texts), 256), dtype=np.float32)
    for row, text in zip(found, texts, strict=True):
        for term in terms(text):
            row[sum(map(ord, term)) * 31 % 256] += 1
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def known(tmp_path):
    with open_store(tmp_path / "store.db") as store:
        store.run(lambda connection: knowledge.put(connection, ENTRIES))
        texts = [text for entry in ENTRIES if entry.active for text in texts_of(entry)]
        yield Known(store, Index.build(tmp_path / "index", texts, encode), Sure(), len(ENTRIES))


def test_every_question_in_use_is_asked_or_those_that_no_fit_has_seen():
    assert [(entry.id, at) for entry, at, _ in trials.asked(ENTRIES)] == [
        ("lost", 0), ("lost", 1), ("lost", 2), ("fee", 0)]  # fmt: skip
    assert [text for _, _, text in trials.asked(ENTRIES, {"my card is gone"})] == ["my card is gone"]


def test_large_knowledge_is_asked_a_draw(monkeypatch):
    monkeypatch.setattr(trials, "MOST", 2)
    assert len(trials.asked(ENTRIES)) == 2
    assert trials.asked(ENTRIES) == trials.asked(ENTRIES)


def test_each_is_asked_with_its_answer_and_without(known, monkeypatch):
    monkeypatch.setattr(trials, "NEAR", 0.0)
    ticks: list[int] = []
    found = trials.of_entries(known, trials.asked(ENTRIES), encode, lambda text: NOBODY, ticks.append)
    assert sum(ticks) == 4
    assert [one.group for one in found] == ["lost"] * 6 + ["fee"] * 2
    assert [one.right is None for one in found] == [False, True] * 4
    cosines = [one.features[one.right][0] for one in found if one.right is not None]
    assert max(cosines[:3]) < 0.99, "a question does not find itself"
    assert cosines[3] < 0.99, "one that stands alone is asked in other words"


@pytest.mark.parametrize(
    "question", ["What does a transfer to another country cost me", "我想知道往国外汇款需要多少手续费"]
)
def test_a_question_in_other_words_is_another_one_and_the_same_for_the_same_seed(question):
    drawn = [trials.reworded(question, Random(seed)) for seed in range(8)]
    assert drawn == [trials.reworded(question, Random(seed)) for seed in range(8)]
    assert question not in drawn
    assert len(set(drawn)) > 4
    assert min(map(len, drawn)) < len(question), "words are lost"


def test_a_single_word_stays_a_question():
    assert trials.reworded("fees", Random(3)).strip()
