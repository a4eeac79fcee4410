"""A company's table of questions and its past conversations."""

from __future__ import annotations

import json

import pytest

from metier.apps.support.reading import entries, history
from metier.errors import DataError


def written(folder, name: str, text: str):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_wordings_in_a_cell_and_rows_with_one_answer_are_one_entry(tmp_path):
    rows = ("Where is it? || Is it lost?,Here.,where", "I cannot find it,Here.,where", "When?,Now.,when")
    table = "question,answer,intent\n" + "\n".join(rows)
    first, second = entries(written(tmp_path, "faq.csv", table))
    assert (first.question, first.others, first.intent) == (
        "Where is it?",
        ("Is it lost?", "I cannot find it"),
        "where",
    )
    assert (second.answer, second.language) == ("Now.", "en")
    assert first.id != second.id
    assert entries(tmp_path / "faq.csv")[0].id == first.id, "the same table has the same ids"


def test_chinese_columns_and_language(tmp_path):
    found = entries(written(tmp_path, "faq.csv", "问题,回答\n怎么开户,带身份证\n"))
    assert (found[0].question, found[0].answer, found[0].language) == ("怎么开户", "带身份证", "zh")


def test_questions_are_masked_and_answers_are_not(tmp_path):
    table = "question,answer\nmail ann.lee@example.org or what?,Write to help@example.org.\n"
    found = entries(written(tmp_path, "faq.csv", table))
    assert found[0].question == "mail [email] or what?"
    assert found[0].answer == "Write to help@example.org."


@pytest.mark.parametrize(
    ("table", "said"),
    [("frage,answer\na,b\n", "no column 'question'"), ("question,answer\n,b\na,\n", "no row with a question")],
)
def test_a_table_that_says_nothing(tmp_path, table, said):
    with pytest.raises(DataError, match=said):
        entries(written(tmp_path, "faq.csv", table))


def test_conversations_of_the_past_give_the_last_question_before_each_reply(tmp_path):
    told = [("customer", "hello"), ("customer", "my card is 4539 1488 0343 6467, is it blocked?"), ("agent", "No."),
            ("agent", "Anything else?"), ("user", "no"), ("staff", "Bye.")]  # fmt: skip
    rows = [{"messages": [{"author": author, "text": text} for author, text in told]}]
    path = written(tmp_path, "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = [(one.question, one.answer) for one in history(path)]
    assert found == [("my card is [card], is it blocked?", "No."), ("no", "Bye.")]


def test_single_exchanges_and_what_is_neither(tmp_path):
    path = written(tmp_path, "past.jsonl", json.dumps({"question": "How?", "answer": "So."}) + "\n")
    assert [(one.question, one.answer) for one in history(path)] == [("How?", "So.")]
    with pytest.raises(DataError, match=r"row 1 is no conversation"):
        history(written(tmp_path, "wrong.jsonl", json.dumps({"text": "hm"}) + "\n"))
