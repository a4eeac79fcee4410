"""Sentences of English and Chinese texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.data.sentences import sentence_spans, sentences


@pytest.mark.parametrize(
    "parts",
    [
        ["It costs 3.50 EUR a month.", "Is that too much?", "No!"],
        ["Dr. Smith of Acme Inc. called at 5 p.m. on Monday.", "He was late."],
        ["Use a card, e.g. Visa, or see Fig. 3 of the guide.", "Fees vs. limits are in Sec. 2."],
        ["J. K. Rowling wrote it.", "So did I.", "We agree."],
        ['She said "Stop."', "Then she left (at last.)", "Really..."],
        ["Write to help@example.com.", "See www.example.com/a.b for more."],
        ["他说：“今天不行。”", "明天可以吗？", "可以！", "手续费是3.5元……", "谢谢"],
        ["（见第2条。）", "其他情况请致电客服。"],
    ],
)
def test_sentences_end_where_they_end(parts):
    glue = "" if any("\u4e00" <= one <= "\u9fff" for one in parts[0]) else " "
    assert sentences(glue.join(parts)) == parts


def test_items_keep_their_numbers_and_empty_lines_end_sentences():
    assert sentences("1. Open the page\n2. Press Send") == ["1. Open the page\n2. Press Send"]
    assert sentences("no stop here\n\nAnd one more") == ["no stop here", "And one more"]
    assert sentences("The limit is 500.\nIt is raised in 2024. Then it ends.") == [
        "The limit is 500.", "It is raised in 2024.", "Then it ends.",
    ]  # fmt: skip


@given(st.text(alphabet='ab A1.!?。？”" \n一二', max_size=60))
def test_nothing_but_blanks_is_lost(text):
    spans = sentence_spans(text)
    covered = {at for start, end in spans for at in range(start, end)}
    assert all(one.isspace() for at, one in enumerate(text) if at not in covered)
    assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:], strict=False))
