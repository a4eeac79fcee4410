"""Cleaning: what it takes out, what it leaves, and that both engines agree."""

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from metier.data.clean import clean_series, clean_text

odd = st.text(
    st.one_of(st.characters(), st.sampled_from("\x00\x1f\x7f\x85\xa0\u200b\u200d\ufeff\u3000\u2028\u00ad \n"))
)
encodable = odd.filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))


def test_what_goes_and_what_stays():
    assert clean_text(" a\x00b\t\u200bc\u3000\nd\ud800 ") == "a b c d\ufffd"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clean_text(family) == family
    assert (
        clean_text("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
        == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    )


@given(odd)
@example("\x1c\x1d \u2009")
def test_cleaning_twice_changes_nothing(text):
    assert clean_text(clean_text(text)) == clean_text(text)


@given(odd)
def test_length_is_kept_on_request(text):
    kept = clean_text(text, keep_length=True)
    assert len(kept) == len(text)
    assert clean_text(kept).replace(" ", "") == clean_text(text).replace(" ", "")


@given(st.lists(encodable, min_size=1), st.booleans())
def test_polars_agrees(texts, keep):
    found = clean_series(pl.Series(texts, dtype=pl.String), keep_length=keep).to_list()
    assert found == [clean_text(text, keep) for text in texts]
