"""BM25 as the library has it; words under a slip; postings in memory and on disk."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.search import dense, hybrid, lexical, words
from metier.search.lexical import Additions, Lexical, query, spelled

TEXTS = [
    "how do I change the password of my account", "change change change", "the card was stolen yesterday in the bank",
    "a transfer abroad costs a fee, a transfer at home does not", "account", "", "信用卡丢了", "the fee of the account",
]  # fmt: skip


@pytest.fixture(scope="module")
def postings(tmp_path_factory: pytest.TempPathFactory) -> Lexical:
    folder = tmp_path_factory.mktemp("postings")
    lexical.write(folder, TEXTS)
    return Lexical(folder)


def test_scores_are_those_of_bm25s(postings: Lexical) -> None:
    bm25s = pytest.importorskip("bm25s")
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    other = bm25s.BM25(method="lucene", k1=lexical.K1, b=lexical.B)
    corpus = [words.terms(text) for text in TEXTS]
    other.index(corpus, show_progress=False)
    for text in ("change the account", "transfer fee", "信用卡", "stolen bank card"):
        asked = [term for term in dict.fromkeys(words.terms(text)) if term in other.vocab_dict]
        assert postings.scores(query(text)) == pytest.approx(other.get_scores(asked), abs=1e-5)


@settings(max_examples=20)
@given(st.lists(st.text("ab cd", max_size=12), max_size=12), st.integers(1, 5), st.text("abcd ", max_size=8))
def test_blocks_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int, asked: str
) -> None:
    folders = [tmp_path_factory.mktemp("blocks") for _ in range(2)]
    lexical.write(folders[0], texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, "BLOCK", size)
        lexical.write(folders[1], texts)
    one, other = (Lexical(folder).scores(query(asked)) for folder in folders)
    assert np.allclose(one, other) and len(one) == len(texts)


def test_no_text_scores_more_than_is_possible(postings: Lexical) -> None:
    for text in (*TEXTS, "chnage my pasword", "nothing of that kind"):
        asked, best = spelled(query(text), postings)
        assert postings.scores(asked).max() <= best + 1e-5


def test_unknown_words_stand_for_known_ones_one_slip_away(postings: Lexical) -> None:
    asked, _ = spelled(query("trasnfer"), postings)
    assert int(np.argmax(postings.scores(asked))) == 3
    known, _ = spelled(query("transfer"), postings)
    assert postings.scores(asked).max() == pytest.approx(lexical.SLIPPED * postings.scores(known).max())
    assert not postings.scores(spelled(query("trasnefrr"), postings)[0]).any()


def test_slips_are_looked_for_in_memory_too(postings: Lexical) -> None:
    fresh = Additions(postings)
    fresh.add(5, "cryptocurrency wallets")
    asked, _ = spelled(query("cryptocurency"), postings, fresh)
    assert set(fresh.scores(asked)) == {5}
    fresh.remove(5)
    assert fresh.scores(spelled(query("cryptocurency"), postings, fresh)[0]) == {} and len(fresh) == 0


def test_all_are_compared_or_a_graph_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("usearch")
    rng = np.random.default_rng(13)
    vectors = rng.standard_normal((600, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    dense.write(tmp_path, 600, 16, iter([vectors[:250], vectors[250:]]))
    exact = dense.Dense(tmp_path)
    assert exact.graph is None and exact.vectors.dtype == np.float32
    monkeypatch.setattr(dense, "EXACT", 100)
    (tmp_path / "many").mkdir()
    dense.write(tmp_path / "many", 600, 16, iter([vectors[:250], vectors[250:]]))
    graph = dense.Dense(tmp_path / "many")
    assert graph.graph is not None and graph.vectors.dtype == np.float16
    alive = np.ones(600, dtype=bool)
    alive[::3] = False
    few = np.zeros(600, dtype=bool)
    few[5:15] = True
    shared = 0
    for asked in vectors[:40]:
        wanted = exact.nearest(asked, 10, alive)
        found = graph.nearest(asked, 10, alive)
        shared += len(set(wanted.tolist()) & set(found.tolist()))
        assert alive[found].all() and len(found) == 10
        assert set(exact.nearest(asked, 10, few).tolist()) == set(graph.nearest(asked, 10, few).tolist())
    assert shared >= 380


def test_fusions() -> None:
    both = hybrid.fused(np.array([2.0, 0.0]), 4.0, np.array([0.5, 1.0]), share=0.5)
    assert both.tolist() == [0.5, 0.5]
    assert hybrid.fused(np.array([2.0]), 4.0, None).tolist() == [0.5]
    assert hybrid.fused(np.array([0.0]), 0.0, np.array([-0.3])).tolist() == [0.0]
    ranked = hybrid.reciprocal([np.array([2, 0]), np.array([2, 1])], 4)
    assert ranked == pytest.approx([1 / 62, 1 / 62, 2 / 61, 0.0])
