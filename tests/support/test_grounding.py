"""What words can tell of a sentence: whether its source has its words, numbers and names, and denies what it denies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.apps.grounding import alike, cited_sentences, fit, numbers, weighed

SOURCE = [
    "You may return an item within 30 days, but not sale items, and the refund reaches your account in 5 to 10 days.",
    "Parcels to Norway cost 12.50 euros; we do not ship batteries.",
    "Smith & Sons repair watches in Geneva, not only quartz ones.",
]
CHINESE = ["商品签收后三十天内可以退货，特价商品不能退货。", "顺丰快递寄往北京的运费是12元，由王建国负责。"]


@pytest.mark.parametrize(
    "sentence",
    [
        SOURCE[0],
        "An item may be returned within 30 days.",
        "Within thirty days you may return an item.",
        "The refund reaches your account in 5 to 10 days.",
        "Sale items may not be returned.",
        "Batteries are not shipped, and parcels to Norway cost 12.5 euros.",
        "Smith repairs quartz watches in Geneva.",
        "商品签收后30天内可以退货。",
        "特价商品不能退货。",
        "寄往北京的运费是十二元。",
    ],
)
def test_what_the_source_says_is_right(sentence):
    found = weighed(sentence, SOURCE if sentence.isascii() else CHINESE)
    assert found.wrong == "" and found.share >= 0.6


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("An item may be returned within 60 days.", "number"),
        ("An item may be returned within sixty days.", "number"),
        ("An item may be returned within 30 weeks.", "number"),
        ("Parcels to Sweden cost 12.50 euros.", "name"),
        ("Watches are repaired in Geneva by Miller.", "name"),
        ("An item may not be returned within 30 days.", "negation"),
        ("We do ship batteries.", "negation"),
        ("The refund never reaches your account.", "negation"),
        ("商品签收后六十天内可以退货。", "number"),
        ("商品签收后三十天内不可以退货。", "negation"),
        ("特价商品能退货。", "negation"),
        ("寄往上海的运费是12元。", "name"),
        ("由欧阳克明负责运费。", "name"),
    ],
)
def test_what_it_does_not_say_is_told(sentence, wrong):
    assert weighed(sentence, SOURCE if sentence.isascii() else CHINESE).wrong == wrong


def test_opposites_of_the_table_are_told():
    assert weighed("Fees are lower abroad.", ["Fees are higher abroad."]).wrong == "opposite"
    assert weighed("价格上升。", ["价格下降。"]).wrong == "opposite"


def test_a_sentence_about_something_else_shares_few_words():
    assert weighed("Our shops open on Sunday mornings.", SOURCE).share < 0.4
    assert weighed("", SOURCE).share == weighed("It is so.", SOURCE).share == 0.0


def test_only_so_many_pieces_may_be_drawn_on():
    pieces = ["apples grow", "pears ripen", "plums fall"]
    sentence = "Apples grow, pears ripen, plums fall."
    assert weighed(sentence, pieces, most=2).share == pytest.approx(4 / 6)
    assert weighed(sentence, pieces, most=3).share == 1.0
    assert weighed("Plums fall.", pieces).pieces == (2,)
    assert weighed("Plums fall.", []).pieces == ()


def test_of_lines_that_differ_in_a_number_alone_the_right_one_is_found():
    pieces = [f"Shelf {number} holds the boxes of row {number}." for number in range(2, 12)]
    assert weighed("Shelf 7 holds the boxes of row 7.", pieces).pieces[0] == 5
    assert weighed("Shelf 17 holds the boxes of row 7.", pieces).wrong == "number"


def test_names_may_come_from_the_title():
    assert weighed("The Aurora card costs nothing.", ["The card costs nothing."]).wrong == "name"
    assert weighed("The Aurora card costs nothing.", ["The card costs nothing."], "Aurora").wrong == ""


def test_numbers_are_compared_as_numbers():
    assert numbers("1,200.50 twelve 十二 二〇〇八 三百二十 两千 一个 one 5.0") == {
        "1200.5", "12", "2008", "320", "2000", "5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("resigned", "resigns", True), ("halt", "halting", True), ("hypertension", "hypertrophy", False),
     ("dna", "rna", False), ("inquiry", "inquiries", True), ("heart", "heat", False)],
)  # fmt: skip
def test_forms_of_a_word(one, other, same):
    assert alike(one, other) is alike(other, one) is same


def test_citations_belong_to_the_sentence_before_them():
    answer = "Returns are free. [1] Refunds take days [2, 3]. [1]\n- **Nobody** pays。【2】\n2. Dr. Who helps [x]"
    assert list(cited_sentences(answer)) == [
        ("Returns are free.", ("1",)), ("Refunds take days.", ("2", "3", "1")), ("Nobody pays。", ("2",)),
        ("Dr. Who helps", ("x",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["see https://evil.example/a", "write to a@b.example", "go to evil.com now", "javascript:alert(1)", "<b>free</b>",
     "`rm -rf`", "a\u202eb", "a\u200bb", "a\x07b", "| a | b |", "![x]", "**free", "a\u2028b", "www.evil"],
)  # fmt: skip
def test_links_markup_and_steering_are_not_fit(text):
    assert not fit(text)
    assert fit("It costs $5.50, e.g. 3.5% at 9 a.m. in the U.S.; 免费。")


@given(st.text(max_size=200))
def test_whatever_is_said_is_cut_and_weighed(text):
    for plain, cited in cited_sentences(text):
        assert plain.strip() == plain and plain and all(cited) or "" in cited
        assert 0.0 <= weighed(plain, [plain, text]).share <= 1.0
