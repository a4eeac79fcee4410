"""Noise for tests of robustness: unlike the slips that training texts get."""

from __future__ import annotations

from metier.data.augment.noise import noisy, substituted
from metier.data.augment.typos import NEIGHBOURS

TEXT = "The bank says that its profit rises by five percent and more than anyone expected"


def test_noise_is_repeatable_and_of_the_size_that_was_asked_for() -> None:
    assert noisy(TEXT, 0.1, 3) == noisy(TEXT, 0.1, 3) != noisy(TEXT, 0.1, 4)
    assert noisy(TEXT, 0.0, 3) == TEXT
    for seed in range(20):
        assert noisy(TEXT, 0.001, seed) != TEXT
        assert abs(len(noisy(TEXT, 0.1, seed)) - len(TEXT)) <= 8
        assert noisy(TEXT, 0.1, seed).count(" ") == TEXT.count(" ")


def test_no_neighbouring_key_is_hit() -> None:
    for seed in range(200):
        word = "g" * 12
        for letter in noisy(word, 0.3, seed):
            assert letter not in NEIGHBOURS["g"]


def test_marks_numbers_and_chinese() -> None:
    for seed in range(20):
        marked = noisy("<e1>bank</e1> 2024 <e2>profit</e2>", 0.9, seed)
        assert all(mark in marked for mark in ("<e1>", "</e1>", "<e2>", "</e2>", " 2024 "))
        chinese = noisy("银行利润上涨", 0.3, seed)
        assert len(chinese) == 6 and set(chinese) <= set("银行利润上涨") and chinese != "银行利润上涨"


def test_words_are_substituted_from_what_is_handed_in() -> None:
    source = {"bank": ["lender"], "profit": ["gain"], "expected": []}
    found = {substituted(TEXT, 0.1, seed, source) for seed in range(10)}
    assert found <= {
        TEXT.replace("bank", "lender"),
        TEXT.replace("profit", "gain"),
        TEXT.replace("bank", "lender").replace("profit", "gain"),
    }
    assert len(found) > 1 and substituted(TEXT, 0.0, 1, source) == TEXT and substituted("12", 0.5, 1, source) == "12"
