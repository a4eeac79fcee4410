"""The packaged samples: whole, balanced, and with a test part that train does not give away."""

from __future__ import annotations

import re

import polars
import pytest

from metier import sample
from metier.errors import DataError

COLUMNS = ["text", "time", "company", "sentiment", "topic", "split"]


def frame(name: str) -> polars.DataFrame:
    return polars.read_csv(sample.path(name), infer_schema=False)


@pytest.mark.parametrize("name", sample.NAMES)
def test_whole(name: str) -> None:
    rows = frame(name)
    assert rows.columns == COLUMNS
    assert all((rows[column].str.strip_chars().str.len_chars() > 0).all() for column in COLUMNS)
    assert rows["text"].is_unique().all()
    assert rows["sentiment"].n_unique() == 3
    assert rows["topic"].n_unique() == 6
    assert (rows["time"].str.to_datetime("%Y-%m-%dT%H:%M:%S").dt.year().is_in([2024, 2025])).all()


def test_sizes() -> None:
    counts = dict(frame("headlines").group_by("split").len().iter_rows())
    assert counts == {"train": 280, "valid": 40, "test": 80}


@pytest.mark.parametrize("name", sample.NAMES)
def test_the_test_part_is_later_and_about_others(name: str) -> None:
    rows = frame(name)
    train, test = rows.filter(split="train"), rows.filter(split="test")
    assert train["time"].max() < test["time"].min()  # type: ignore[operator]
    assert not set(rows.filter(polars.col("split") != "test")["company"]) & set(test["company"])


def test_no_test_row_paraphrases_a_train_row() -> None:
    def words(text: str, company: str) -> set[str]:
        return set(re.findall(r"\w+", text.replace(company, "").lower()))

    rows = frame("headlines")
    train = [words(text, company) for text, company in rows.filter(split="train").select("text", "company").iter_rows()]
    test = [words(text, company) for text, company in rows.filter(split="test").select("text", "company").iter_rows()]
    assert max(len(a & b) / len(a | b) for a in test for b in train) < 0.5


def test_neither_trivial_nor_impossible() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = frame("headlines")
    train, test = rows.filter(split="train"), rows.filter(split="test")
    for head, chance in (("sentiment", 1 / 3), ("topic", 1 / 6)):
        words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
        accuracy = words.fit(train["text"].to_list(), train[head].to_list()).score(
            test["text"].to_list(), test[head].to_list()
        )
        assert chance + 0.1 < accuracy < 0.8, head


def test_unknown_name() -> None:
    with pytest.raises(DataError, match="Did you mean 'headlines'"):
        sample.path("headline")
