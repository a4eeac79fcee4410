"""Names in texts: where they stand, rows that belong together, and names that stand nowhere."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.data import mentions, read
from metier.data.augment.edits import Edit, edited
from metier.errors import DataError
from metier.types import Document, Example, Span


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Gold", "Gold shines, gold loans dull", "Gold"),
        ("gold", "Marigold and gold", "gold"),
        ("tech", "biotech soars", "tech"),
        ("TATA  Steel", "Tata Steel rises", "Tata Steel"),
        ("C++ (lang)", "On C++ (lang) again", "C++ (lang)"),
        ("招商银行", "招商银行净利润增长", "招商银行"),
        ("gold", "Marigold, Gold", "Gold"),
        ("tech", "Biotech soars", "tech"),
        ("ai", "said " * 20 + "AI, chain", "AI"),
        ("TATA  Steel", "TATA" + " tata" * 20 + "\n steel", "tata\n steel"),
        ("i Bank", "\u0130stanbul  I  Bank", "I  Bank"),
    ],
)
def test_where_a_name_stands(name, text, found):
    start, end = mentions.place(name, text)
    assert text[start:end] == found


def test_whole_words_come_first():
    assert mentions.place("gold", "Marigold and gold") == (13, 17)
    assert mentions.place("Sun", "Gold") is None and mentions.place("  ", "Gold") is None


def test_the_longest_name_chooses_first():
    text = "HDFC Bank falls, HDFC rises"
    assert mentions.placed(["HDFC", "HDFC Bank"], text) == [(17, 21), (0, 9)]
    assert mentions.placed(["HDFC", "HDFC"], text) == [(0, 4), (17, 21)]
    assert mentions.placed(["招商", "招商银行"], "招商银行涨，招商跌") == [(6, 8), (0, 4)]
    assert mentions.placed(["HDFC Bank", "HDFC", "HDFC"], text)[1:] == [(17, 21), (0, 4)]


@given(st.text(max_size=30), st.text(max_size=8))
def test_a_place_holds_its_name(text, name):
    found = mentions.place(name, text)
    if found is not None:
        start, end = found
        assert 0 <= start < end <= len(text)
        assert "".join(text[start:end].split()).lower() == "".join(name.split()).lower() or text[start:end] == name
    elif name.strip():
        assert name.strip() not in text


@pytest.mark.parametrize(
    ("cell", "places"),
    [
        ("Gold", [(0, 4)]),
        (["Silver", "Gold", "Iron"], [(0, 4), (9, 15)]),
        ('["Silver"]', [(9, 15)]),
        ('[{"start": 0, "end": 4}, {"start": 4, "end": 99}, {"end": true}]', [(0, 4)]),
        ("[Gold", []),
        (None, []),
        (float("nan"), []),
    ],
)
def test_what_a_cell_asks_about(cell, places):
    assert mentions.asked(cell, "Gold and Silver") == places


ROWS = [
    {"text": "HDFC Bank  falls, HDFC rises", "who": "HDFC", "mood": "up", "topic": "banks"},
    {"text": "Gold shines", "who": "Gold", "mood": "up", "topic": "metals"},
    {"text": "HDFC Bank  falls, HDFC rises", "who": "HDFC Bank", "mood": "down", "topic": ""},
    {"text": "Gold shines", "who": "shines", "mood": "up", "topic": "words"},
]


def examples(rows):
    columns = read.resolve(rows, labels={"mood": "mood", "topic": "topic"}, mentions={"mood": "who"})
    assert columns.labels == {"mood": ("mood", "mention"), "topic": ("topic", "classify")}
    return list(read.examples(rows, columns))


def test_rows_of_one_text_are_one_example():
    found = mentions.gathered(examples(ROWS), {"mood": "who"})
    assert [example.document.id for example in found] == ["0", "1", "3"]
    both = found[0]
    assert both.targets == {"mood": (Span(0, 9, "down"), Span(18, 22, "up")), "topic": "banks"}
    assert both.document.mentions == ((0, 9), (18, 22))
    # the same text in two topics is a contradiction, which nobody loses silently
    assert [example.targets["topic"] for example in found[1:]] == ["metals", "words"]


def test_nothing_is_joined_without_such_a_head():
    rows = [Example(Document("a"), {"x": "1"}), Example(Document("a"), {"x": "1"})]
    assert mentions.gathered(rows, {}) == rows


def test_a_name_that_stands_nowhere():
    rows = [*ROWS, {"text": "Oil", "who": "Brent", "mood": "up", "topic": ""}] + [
        {"text": f"Oil {at}", "who": "WTI", "mood": "up", "topic": ""} for at in range(6)
    ]
    with pytest.raises(
        DataError, match=r"'who' names what does not stand.*'Brent' in row 5, 'WTI' in row 6.* and 2 more"
    ):
        examples(rows)


def test_empty_cells_have_no_label():
    rows = [
        {"text": "Oil", "who": "", "mood": "up", "topic": ""},
        {"text": "Oil", "who": "Oil", "mood": "", "topic": ""},
    ]
    assert [example.targets for example in examples([*ROWS, *rows])][-2:] == [{}, {}]


def test_columns_that_are_not_there():
    with pytest.raises(DataError, match="'whom'"):
        read.resolve(ROWS, labels=["mood"], mentions={"mood": "whom"})
    with pytest.raises(DataError, match="both a label and names mentions"):
        read.resolve(ROWS, labels=["mood"], mentions={"mood": "mood"})


def test_mentions_move_with_the_text():
    targets = {"mood": (Span(5, 9, "up", "Gold"),)}
    example = Example(Document("Dull Gold shines", mentions=((5, 9), (10, 16))), targets)
    moved = edited(example, [Edit(0, 4, "Very bright"), Edit(10, 16, "")])
    assert moved.document.text == "Very bright Gold "
    assert moved.document.mentions == ((12, 16),) and moved.targets["mood"] == (Span(12, 16, "up", "Gold"),)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"] * 64, "a " * 10_000),
        (["a" * count for count in range(1, 65)], "a" * 20_000),
        (["a a " * 100 + f"b{at}" for at in range(64)], "a a\n" * 5_000),
        (["a " * 9_999, *["a"] * 63], "a " * 10_000),
    ],
)
def test_many_names_in_a_long_text_cost_little(names, text):
    start = time.process_time()
    found = mentions.placed(names, text)
    assert time.process_time() - start < 1.5
    assert all(spot is None or text[slice(*spot)] == name.strip() for name, spot in zip(names, found, strict=True))
