"""Columns: which one is the text, and what no column can be at once."""

import polars as pl
import pytest

from metier.data.doctor import examine
from metier.data.read import Columns, examples, resolve
from metier.errors import DataError

ROWS = [{"text": f"some words {i}", "more": f"other words {i}", "label": "ab"[i % 2]} for i in range(9)]


def refusal(rows, *arguments, **options):
    with pytest.raises(DataError) as raised:
        resolve(rows, *arguments, **options)
    return str(raised.value)


def test_string_columns_of_which_none_is_clearly_the_text():
    rows = [{"raw": f"{i}|10.0.0.{i}|GET|200", "host": "::1", "count": i} for i in range(9)]
    assert "no other is clearly the text (there are 'raw', 'host'): say --text NAME." in refusal(rows)


def test_no_string_column_at_all():
    assert "no other column holds texts" in refusal([{"n": 1}])


@pytest.mark.parametrize(
    ("text", "labels", "roles", "message"),
    [
        (("text",), ("text",), {}, "'text' is both the text and a label."),
        (("more", "label"), ("label",), {}, "'label' is both the text and a label."),
        (("text", "text"), ("label",), {}, "'text' is named twice as text."),
        (("text",), ("label",), {"split": "label"}, "'label' is both a label and the split."),
        (("text",), ("label",), {"group": "label"}, "'label' is both a label and the group."),
        (("text",), ("label",), {"time": "label"}, "'label' is both a label and the time."),
    ],
)
def test_roles_that_no_column_can_play_at_once(text, labels, roles, message):
    assert f"The column {message}" in refusal(ROWS, text, labels, roles=roles)
    found = resolve(ROWS, text, labels, roles=roles, strict=False)
    assert [problem.message for problem in examine(ROWS, found).problems if problem.code == "column-twice"]


def test_every_mistake_is_said_at_once():
    message = refusal(ROWS, ("more", "more"), ("lable",), roles={"group": "auther"})
    assert "'lable'. Did you mean 'label'?" in message and "'auther'" in message and "named twice" in message


def test_a_column_with_a_role_is_no_label_of_its_own_accord():
    assert not resolve(ROWS, roles={"group": "label"}).labels
    assert resolve([row | {"split": "x"} for row in ROWS], ("text",), ("split",)).split is None


@pytest.mark.parametrize(
    "values",
    [[["a", "b"], []], [{"a": 1}, None], [pl.Series([1]), None], [1.5, None], [None, None]],
)
def test_a_text_column_of_any_type(values):
    frame = pl.DataFrame({"body": pl.Series(values), "label": ["x", "y"]})
    assert resolve(frame, ("body",)) == Columns(("body",), {"label": ("label", "classify")})


def test_a_duration_is_shown():
    frame = pl.DataFrame({"text": pl.Series([1, None], dtype=pl.Duration("ms"))})
    assert [example.document.text for example in examples(frame, resolve(frame))] == ["0:00:00.001000", ""]


def test_a_text_column_of_bytes():
    frame = pl.DataFrame({"text": [b"\xff", b"a"], "label": ["x", "y"]})
    assert "The column 'text' holds bytes." in refusal(frame)
    with pytest.raises(DataError, match="The column 'text' holds bytes"):
        list(examples(frame, Columns()))
    found = examine(frame, resolve(frame, strict=False))
    assert "holds bytes" in found.problems[0].message
