"""Terms of texts: what stays whole, what is cut, what is the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metier.search import words


def test_width_and_case_do_not_matter() -> None:
    assert words.terms("ＲＥＳＥＴ Straße") == words.terms("reset STRASSE") == ["reset", "strasse"]


def test_numbers_and_codes_stay_whole_and_give_their_parts() -> None:
    assert words.terms("order INV-2024/03") == ["order", "inv-2024/03", "inv", "2024", "03"]
    assert words.terms("1,200.50 EUR") == ["1200.50", "1200", "50", "eur"]
    assert words.terms("Q1, 2024") == ["q1", "2024"]


def test_hyphens_and_possessives_join_nothing() -> None:
    assert words.terms("early-onset Parkinson's") == ["early", "onset", "parkinson"]
    assert words.terms("don\u2019t") == ["don't"]


def test_chinese_gives_words_and_pairs_of_characters() -> None:
    found = words.terms("信用卡怎么还款？")
    assert {"信用卡", "信用", "用卡", "还款"} <= set(found)
    assert not {"？"} & set(found)


def test_mixed_texts_give_both() -> None:
    found = words.terms("我的iPhone15无法登录App")
    assert {"iphone15", "登录", "app"} <= set(found)


def test_a_lone_character_is_a_term() -> None:
    assert words.terms("税") == ["税"]


def test_slips_of_one_letter_meet() -> None:
    for wrong in ("passwrd", "passwword", "pasword", "passwodr", "pazsword", "password"):
        assert set(words.slips("password")) & set(words.slips(wrong)), wrong
    assert not set(words.slips("password")) & set(words.slips("passport"))
    assert words.slips("pin") == words.slips("4711a") == words.slips("信用卡信用卡") == []


def test_keys_do_not_change_from_process_to_process() -> None:
    assert words.key("password") == 17663771187922409123


@given(st.text(max_size=80))
def test_any_text_has_terms_without_blanks(text: str) -> None:
    for term in words.terms(text):
        assert term and not any(mark.isspace() for mark in term)
