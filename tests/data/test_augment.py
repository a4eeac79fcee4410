"""Changed copies of texts: labels stay, spans and words go where their characters go, marks and held words stay."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.data.augment.copies import KINDS, Plan, copies, filled, translated
from metier.data.augment.edits import Edit, Shift, edited
from metier.data.augment.homophones import homophones
from metier.data.augment.passages import amount, lexicon, passage
from metier.data.augment.sources import Sources
from metier.data.augment.typos import NEIGHBOURS
from metier.data.augment.vocabulary import neighbours, shaped, vocabulary
from metier.types import Document, Example, Span

WORDS = "the bank in Berlin says that its profit rises by 5 percent , more than expected".split()  # noqa: SIM905
NEAR = {"bank": ("lender",), "profit": ("gain", "income"), "rises": ("grows",), "expected": ("hoped",), "好": ("棒",)}
SOURCES = Sources(NEAR, {"的": ("地", "得"), "是": ("事",), "好": ("号",)}, frozenset({"银行", "利润"}))


def example(text: str, *spans: tuple[int, int], tokens: bool = False, pair: str | None = None) -> Example:
    words = tuple(match.span() for match in re.finditer(r"\S+", text)) if tokens else None
    found = tuple(Span(start, end, "X", text[start:end]) for start, end in spans)
    return Example(Document(text, pair, "7", words), {"tags": found, "label": "a"}, "train")


def made(kind: str, one: Example, rate: float = 0.3, seed: int = 1) -> list[Example]:
    return [copy.example for copy in copies([one], Plan(kind, rate, seed, copies=8), SOURCES) if copy is not None]


def test_places_follow_their_characters() -> None:
    shift = Shift([Edit(0, 3, "A"), Edit(4, 4, "new "), Edit(9, 13, "")])
    text = "the bank in Berlin"
    assert shift.applied(text) == "A new bank erlin"
    assert text[4:8] == shift.applied(text)[shift.start(4) : shift.end(8)]
    assert shift.inserted() == [(2, 5)]
    assert shift.start(9) == shift.end(13) and shift.crosses(12) and not shift.crosses(9)


def test_an_edit_that_breaks_a_span_is_refused() -> None:
    one = example("in Berlin now", (3, 9))
    for edit in (Edit(2, 5, "x"), Edit(8, 10, "x"), Edit(3, 9, "")):
        with pytest.raises(ValueError, match="breaks the span"):
            edited(one, [edit])


@st.composite
def tagged(draw: st.DrawFn) -> Example:
    """A text of English and Chinese words with spans over some of them, with or without words of its own."""
    pool = [*WORDS, "银行的利润", "好", "（是）", "x", "don't", "a.b@c.org", "Müller"]
    words = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=12))
    text, places = "", []
    for word in words:
        text += draw(st.sampled_from([" ", "", "  "])) if text else ""
        places.append((len(text), len(text) + len(word)))
        text += word
    chosen = draw(st.lists(st.sampled_from(range(len(words))), unique=True, max_size=4))
    spans = []
    for at in sorted(chosen):
        start, end = places[at]
        start += draw(st.integers(0, min(2, end - start - 1)))
        spans.append((start, end))
    tokens = tuple(places) if draw(st.booleans()) else None
    found = tuple(Span(start, end, "X", text[start:end]) for start, end in spans)
    return Example(Document(text, None, "7", tokens), {"tags": found}, "train")


@settings(max_examples=150)
@given(tagged(), st.sampled_from(sorted(KINDS)), st.floats(0.01, 1.0), st.integers(0, 5))
def test_spans_stay_whole_whatever_is_changed(one: Example, kind: str, rate: float, seed: int) -> None:
    before = one.targets["tags"]
    for copy in made(kind, one, rate, seed):
        document, after = copy.document, copy.targets["tags"]
        assert [span.label for span in after] == [span.label for span in before]
        for old, new in zip(before, after, strict=True):
            assert 0 <= new.start < new.end <= len(document.text)
            assert new.text == document.text[new.start : new.end]
            if kind != "typos":
                assert new.text == old.text
        ends = [end for span in after for end in (span.start, span.end)]
        assert ends == sorted(ends)
        if document.tokens is not None:
            flat = [place for token in document.tokens for place in token]
            assert flat == sorted(flat) and all(start < end <= len(document.text) for start, end in document.tokens)


def test_a_word_of_the_source_that_a_span_begins_in_stays_where_it_is() -> None:
    text, tokens = "the 银行的利润 wins", ((0, 3), (4, 9), (10, 14))
    one = Example(Document(text, None, "7", tokens), {"tags": (Span(5, 9, "X", "行的利润"),)}, "train")
    for copy in made("swaps", one, 1.0):
        assert sorted(copy.document.text.split()) == sorted(text.split())


@settings(max_examples=60)
@given(tagged(), st.floats(0.1, 1.0))
def test_words_of_the_source_stay_words(one: Example, rate: float) -> None:
    if one.document.tokens is None:
        return
    before = [one.document.text[start:end] for start, end in one.document.tokens]
    for copy in made("swaps", one, rate):
        assert sorted(copy.document.text[start:end] for start, end in copy.document.tokens or ()) == sorted(before)
    for copy in made("insertions", one, rate):
        after = [copy.document.text[start:end] for start, end in copy.document.tokens or ()]
        assert len(after) > len(before) and set(after) - set(before) <= {w for near in NEAR.values() for w in near}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_marks_and_addresses_stay(kind: str) -> None:
    text = "the bank <e1>Profit</e1> rises with <e2>exports</e2> more at https://bank.example/profit now"
    for copy in made(kind, example(text), 0.8):
        for kept in ("<e1>", "</e1>", "<e2>", "</e2>", "https://bank.example/profit"):
            assert copy.document.text.count(kept) == 1
        if kind != "typos":
            assert "<e1>Profit</e1>" in copy.document.text and "<e2>exports</e2>" in copy.document.text


def test_what_each_kind_does() -> None:
    text = " ".join(WORDS)
    one = example(text)
    assert {copy.document.text.count(" ") for copy in made("swaps", one)} == {text.count(" ")}
    assert all(sorted(copy.document.text.split()) == sorted(WORDS) for copy in made("swaps", one))
    assert all(len(copy.document.text.split()) < len(WORDS) for copy in made("deletions", one))
    assert all(len(copy.document.text.split()) > len(WORDS) for copy in made("insertions", one))
    replaced = {word for copy in made("synonyms", one) for word in copy.document.text.split()} - set(WORDS)
    assert replaced and replaced <= {"lender", "gain", "income", "grows", "hoped"}
    changed = [copy.document.text for copy in made("typos", one, 0.05)]
    assert all(other != text and abs(len(other) - len(text)) <= 6 for other in changed)
    assert {copy.targets["label"] for copy in made("typos", one)} == {"a"}
    assert all(copy.document.id == "7#typos" for copy in made("typos", one))


def test_the_same_seed_makes_the_same_copies() -> None:
    one = example(" ".join(WORDS))
    for kind in KINDS:
        assert made(kind, one, seed=4) == made(kind, one, seed=4)
        assert len({copy.document.text for copy in made(kind, one, seed=4)}) > 1
    assert made("typos", one, seed=4) != made("typos", one, seed=5)


def test_either_text_of_a_pair_is_changed_and_the_other_stays() -> None:
    one = example("the bank rises", pair="the profit rises")
    found = [copy.document for copy in made("synonyms", one)]
    assert {document.text == "the bank rises" for document in found} == {True, False}
    assert all((document.text == "the bank rises") != (document.pair == "the profit rises") for document in found)
    lone = example("12", pair="the profit")
    assert all(copy.document.text == "12" and copy.document.pair != "the profit" for copy in made("typos", lone))


def test_texts_without_words_have_no_copies() -> None:
    for kind in KINDS:
        assert made(kind, example("12 %")) == []
        assert made(kind, example("")) == []
    assert made("synonyms", example("nothing near here")) == []


def test_rates_are_kept_on_average() -> None:
    rng = Random(3)
    assert np.mean([amount(7, 0.3, rng) for _ in range(4000)]) == pytest.approx(2.1, abs=0.05)
    assert amount(3, 0.01, rng) == 1 and amount(0, 0.5, rng) == 0 and amount(5, 1.0, rng) == 5


def test_neighbouring_keys() -> None:
    assert set(NEIGHBOURS["g"]) == set("tyfhvb")
    assert set(NEIGHBOURS["q"]) == set("wa") and set(NEIGHBOURS["m"]) == set("njk")
    assert all(key in NEIGHBOURS[other] for key, others in NEIGHBOURS.items() for other in others)


def test_chinese_typos_are_homophones_from_the_corpus() -> None:
    table = homophones(["他的心得是对的", "事情很好", "鑫"])
    assert set(table["是"]) == {"事"}
    assert "得" in table["的"] and "的" not in table["的"]
    assert "心" in table["鑫"]
    assert table["很"] and all(other != "很" for other in table["很"])  # from the common characters
    copy = next(copies([example("这是好的")], Plan("typos", 0.5, 1), Sources(homophones=table)))
    assert copy is not None and len(copy.example.document.text) == 4
    assert homophones(["plain English"]) == {}


def test_chinese_words_are_found_in_the_corpus() -> None:
    rng = Random(1)
    rest = "天地人山水火木金土日月星风雨雪云花草"
    texts = ["".join(rng.sample(rest, 9)) + "服务态度" + "".join(rng.sample(rest, 9)) for _ in range(40)]
    found = lexicon(texts)
    assert "服务态度" in found
    assert not {"务态", "务态度", "服务态"} & found
    part = passage(Example(Document("这家服务态度好"), {}), found)
    assert [part.text[start:end] for start, end in part.words] == ["这", "家", "服务态度", "好"]
    assert lexicon(["no Chinese"]) == frozenset()


def test_the_vocabulary_is_the_corpus_own() -> None:
    examples = [example("The profit of Berlin Berlin NATO profit the the"), example("nato? NATO 12 of", pair="grows")]
    words = vocabulary(examples, frozenset())
    assert set(words) == {"profit", "Berlin", "NATO", "grows"}
    assert words[0] == "NATO"


def test_neighbours_are_near_of_the_same_case_and_no_forms() -> None:
    words = ["rise", "rises", "grow", "Grow2", "fall", "Oslo"]
    vectors = np.array([[1, 0.1], [1, 0.1], [0.9, 0.1], [0.9, 0.1], [-1, 0.2], [-1, 0.3]], dtype=np.float32)
    found = neighbours(words, vectors)
    assert found["rise"] == ("grow",) and "rises" in found["grow"]
    assert "Grow2" not in found["grow"] and "fall" not in found  # the only near one is a name
    assert neighbours(["one"], vectors[:1]) == {} and neighbours([], vectors[:0]) == {}


def test_case_follows_the_word_that_was_there() -> None:
    assert [shaped("nATO", like) for like in ("bank", "Bank", "BANK")] == ["nato", "NATO", "NATO"]
    assert made("synonyms", example("PROFIT"), 1.0)[0].document.text in ("GAIN", "INCOME")


def test_masked_words_are_drawn_but_never_the_one_that_stood_there() -> None:
    one = example("the profit rises", (4, 10))

    def fill(texts, places):
        assert all(text == "the profit rises" for text in texts)
        return [[{text[start:end].upper(): 0.9, "##x": 0.05, "new": 0.05} for start, end in own] for text, own in
                zip(texts, places, strict=True)]  # fmt: skip

    found = [copy.example for copy in filled([one], Plan("masked", 0.4, 1, copies=6), SOURCES, fill) if copy]
    assert len(found) == 6
    for copy in found:
        assert "profit" in copy.document.text and "new" in copy.document.text.lower() and "##" not in copy.document.text
        assert copy.targets["tags"][0].text == "profit"


def test_translation_leaves_spans_words_and_marks_alone() -> None:
    examples = [example("the bank"), example("in Berlin", (3, 9)), example("<e1>a</e1> <e2>b</e2>"), example("so")]
    asked: list[str] = []

    def back(texts: list[str], number: int) -> list[str]:
        asked.extend(texts)
        return ["so" if text == "so" else f"{text} again {number}" for text in texts]

    found = list(translated(examples, Plan("translate", 1.0, 1, copies=2), back))
    assert [copy and copy.example.document.text for copy in found[:4]] == ["the bank again 0", None, None, None]
    assert found[4] is not None and found[4].origin == 0 and found[4].example.document.text == "the bank again 1"
    assert set(asked) == {"the bank", "so"}
