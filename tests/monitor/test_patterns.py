"""Patterns that cannot be made slow mean what Python's `re` says of them, wherever both know them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.alerts.patterns import pattern
from metier.errors import RecipeError

ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", "中", r"\.", "[a-c1]", "^", "$"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + "|".join(parts) + ")"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(PATTERNS, st.text("abc1.中\n", max_size=6))
def test_it_means_what_the_standard_library_says(text: str, word: str) -> None:
    # `$` of Python also fits before a last line feed, RE2's does not: `\Z` is the same thing.
    there = re.fullmatch(text.replace("$", r"\Z"), word, re.ASCII)
    assert pattern(text).matches(word) == bool(there)


@pytest.mark.parametrize("text", ["(a*)*b", "(a|a)*b", "(a+)+$b", "(.*)*(.*)*x", "((a{1,5}){1,5}){1,5}b"])
def test_nothing_is_slow(text: str) -> None:
    start = time.process_time()
    assert not pattern(text).matches("a" * 300)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    "text", ["(", ")", "[", "[z-a]", "*a", "a**", r"\1", "(?=a)", "(?P<x>a)", "a{1001}", "((a{1000}){1000}){2}", "\\",
             "a" * 1_001, "(" * 60 + ")" * 60, "a{3,2}", r"\pL"],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_line(text: str) -> None:
    with pytest.raises(RecipeError, match="The pattern .* RE2"):
        pattern(text)


def test_letters_fold_where_asked() -> None:
    assert pattern("(?i)acme|ÄRA").matches("ACME") and pattern("(?i)acme|ÄRA").matches("ära")
    assert not pattern("acme").matches("ACME")


def test_both_ends_are_anchored() -> None:
    assert not pattern("bank").matches("banks") and pattern(".*bank.*").matches("a bank there")
    assert not pattern("a.b").matches("a\nb") and pattern("a{,2}").matches("a{,2}") and pattern("[]a-]+").matches("]-a")
