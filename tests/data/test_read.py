"""Reading: every format gives the same rows; CoNLL gives offsets that point at its tokens."""

import gzip
import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.data import conll
from metier.data.read import Columns, columns, documents, examples, fingerprint, frames, guess_task, resolve
from metier.errors import DataError
from metier.types import Span

ROWS = [
    {"text": "Profit rose, again", "label": "positive", "split": "train"},
    {"text": 'He said "no"\nand left', "label": "negative", "split": "dev"},
    {"text": "\u5229\u6da6\u4e0a\u5347", "label": "positive", "split": "test"},
]
ROLES = Columns(labels={"label": ("label", "classify")}, split="split")


def saved(folder, form):
    frame = pl.DataFrame(ROWS)
    path = folder / f"news.{form}"
    if form == "csv":
        frame.write_csv(path)
    elif form == "tsv":
        frame.write_csv(path, separator="\t")
    elif form == "jsonl":
        frame.write_ndjson(path)
    elif form == "parquet":
        frame.write_parquet(path)
    elif form == "json":
        path.write_text(json.dumps(ROWS))
    else:
        frame.write_excel(path)
    return path


def zipped(path):
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"])
def test_every_format_gives_the_same(tmp_path, form, packed):
    path = saved(tmp_path, form)
    path = zipped(path) if packed else path
    assert columns(path) == ["text", "label", "split"]
    assert pl.concat(frames(path, rows=2)).to_dicts() == ROWS
    assert [example.split for example in examples(path, ROLES)] == ["train", "valid", "test"]


def test_tables_in_memory():
    pandas = pytest.importorskip("pandas")
    for source in (pl.DataFrame(ROWS), pl.LazyFrame(ROWS), pandas.DataFrame(ROWS), ROWS):
        assert columns(source) == ["text", "label", "split"]
        assert [example.targets["label"] for example in examples(source, ROLES)] == [row["label"] for row in ROWS]


def test_batches_hold_at_most_so_many_rows(tmp_path):
    path = tmp_path / "a.csv"
    pl.DataFrame({"text": [str(i) for i in range(1000)]}).write_csv(path)
    heights = [frame.height for frame in frames(path, rows=300)]
    assert max(heights) <= 300 and sum(heights) == 1000


def test_csv_cells_stay_strings(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,code,empty\n1,007,\n2,1e5,\n")
    assert next(frames(path)).to_dicts()[0] == {"text": "1", "code": "007", "empty": ""}


def test_semicolons(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;label\na, b;x\n")
    assert columns(path) == ["text", "label"]
    assert next(examples(path, Columns(labels={"label": ("label", "classify")}))).document.text == "a, b"


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=30)


@settings(max_examples=60)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_round_trip(tmp_path_factory, rows):
    frame = pl.DataFrame(rows, schema={"text": pl.String, "note": pl.String}, orient="row")
    folder = tmp_path_factory.mktemp("trip")
    frame.write_csv(folder / "a.csv", quote_style="always")
    frame.write_ndjson(folder / "a.jsonl")
    for name in ("a.csv", "a.jsonl"):
        assert pl.concat(frames(folder / name, rows=3)).rows() == rows


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text("ab \u4e2d,'", min_size=1, max_size=9), st.sampled_from("xyz")), min_size=1, max_size=9)
)
def test_gb18030_and_utf8_read_the_same(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("gb")
    content = "text,label\n" + "".join(f'"{text}\u6211\u4eec",{label}\n' for text, label in rows)
    (folder / "a.csv").write_text(content, encoding="utf-8")
    (folder / "b.csv").write_text(content, encoding="gb18030")
    one, other = (pl.concat(frames(folder / name)) for name in ("a.csv", "b.csv"))
    assert one.equals(other)


# -- CoNLL -------------------------------------------------------------------------------------------------------
def conll_file(path, sentences):
    path.write_text("\n\n".join("\n".join(f"{token}\t{tag}" for token, tag in one) for one in sentences) + "\n")
    return path


@pytest.mark.parametrize(
    ("tags", "repaired"),
    [
        ("B-PER I-PER O B-LOC", 0),
        ("B-PER E-PER O S-LOC", 0),
        ("B-PER L-PER O U-LOC", 0),
        ("B-PER M-PER O S-LOC", 0),
        ("I-PER I-PER O I-LOC", 2),
        ("B-PER I-PER O I-LOC", 1),
    ],
)
def test_schemes(tmp_path, tags, repaired):
    path = conll_file(tmp_path / "a.conll", [list(zip(["Ada", "Lovelace", "in", "London"], tags.split(), strict=True))])
    example = next(examples(path, Columns(labels={"spans": ("spans", "tag")})))
    assert example.document.text == "Ada Lovelace in London"
    assert example.targets["spans"] == (Span(0, 12, "PER"), Span(16, 22, "LOC"))
    assert example.targets["spans"][0].text == "Ada Lovelace"
    assert example.document.tokens == ((0, 3), (4, 12), (13, 15), (16, 22))
    assert conll.repaired_tags(path) == repaired


def test_iob1_neighbours():
    assert conll.spans(["I-A", "B-A", "I-A", "I-B"]) == ([(0, 0, "A"), (1, 2, "A"), (3, 3, "B")], 2)


def test_bioes_ends_close():
    assert conll.spans(["B-A", "E-A", "I-A"]) == ([(0, 1, "A"), (2, 2, "A")], 1)


def test_chinese_has_no_blanks():
    assert conll.join(["\u4e2d", "\u56fd", "\u3002"])[0] == "\u4e2d\u56fd\u3002"
    assert conll.join(["\u4e2d\u56fd", "bank", "of"])[0] == "\u4e2d\u56fd bank of"
    assert conll.join(list("2008\u5e74A\u80a1"), close=True)[0] == "2008\u5e74A\u80a1"


@given(st.lists(st.text("ab1\u4e2d\u3002\uff0c\u00e9", min_size=1, max_size=4), min_size=1, max_size=12), st.booleans())
def test_offsets_point_at_the_tokens(tokens, close):
    text, offsets = conll.join(tokens, close=close)
    assert [text[start:end] for start, end in offsets] == tokens


def test_columns_comments_and_document_marks(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("-DOCSTART- -X- O O\n\n# id 7\nEU NNP B-NP B-ORG\r\n# O O O\n\n\n")
    assert next(frames(path))["text"].to_list() == ["EU #"]


def test_a_folder_of_conll(tmp_path):
    conll_file(tmp_path / "train.conll", [[("a", "O")], [("b", "B-X")]])
    zipped(conll_file(tmp_path / "dev.conll", [[("c", "O")]]))
    (tmp_path / "dev.conll").unlink()
    roles = resolve(tmp_path)
    assert roles == Columns(labels={"spans": ("spans", "tag")}, split="split")
    assert [(e.document.text, e.split) for e in examples(tmp_path, roles)] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "valid"),
    ]


# -- folders -----------------------------------------------------------------------------------------------------
def test_a_folder_of_texts(tmp_path):
    for name in ("train/pos/1", "train/neg/2", "test/pos/3"):
        path = tmp_path / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text {name}")
    found = list(examples(tmp_path, resolve(tmp_path)))
    assert {(e.document.id, e.targets["label"], e.split) for e in found} == {
        ("test/pos/3.txt", "pos", "test"),
        ("train/neg/2.txt", "neg", "train"),
        ("train/pos/1.txt", "pos", "train"),
    }


def test_a_folder_of_tables(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,x\n")
    (tmp_path / "test.csv").write_text("label,text,more\ny,b,c\n")
    frame = pl.concat(frames(tmp_path))
    assert frame.columns == ["text", "label", "more", "split"]
    assert frame["text"].to_list() == ["a", "b"] and frame["split"].to_list() == ["train", "test"]


def test_files_that_disagree_on_a_type(tmp_path):
    (tmp_path / "train.csv").write_text("text,label,n,only\na,1,2,x\n")
    pl.DataFrame({"text": ["b", "c"], "label": [1.0, None], "n": [2.5, 3.0], "late": [1, 2]}).write_parquet(
        tmp_path / "test.parquet"
    )
    found = list(frames(tmp_path))
    assert len({str(frame.schema) for frame in found}) == 1
    assert pl.concat(found).to_dict(as_series=False) == {
        "text": ["a", "b", "c"],
        "label": ["1", "1", None],
        "n": ["2", "2.5", "3"],
        "only": ["x", None, None],
        "split": ["train", "test", "test"],
        "late": [None, 1, 2],
    }


@pytest.mark.parametrize(
    ("one", "other", "kind", "values"),
    [
        (1, "1", pl.String, ["1", "1"]),
        (1, 1.5, pl.Float64, [1.0, 1.5]),
        (None, 2, pl.Int64, [None, 2]),
        ([], ["a"], pl.List(pl.String), [[], ["a"]]),
        ([1], "1", pl.String, ["[1]", "1"]),
        ([1], {"a": 1}, pl.String, ["[1]", "{'a': 1}"]),
        (True, 1, pl.String, ["true", "1"]),
    ],
)
def test_types_that_meet(tmp_path, one, other, kind, values):
    for name, value in (("train", one), ("test", other)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": name, "label": value}) + "\n")
    frame = pl.concat(frames(tmp_path))
    assert frame.schema["label"] == kind and frame["label"].to_list() == values


def test_a_file_of_a_folder_that_has_no_rows(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 1}\n')
    (tmp_path / "test.csv").write_text("text,label,more\n")
    frame = pl.concat(frames(tmp_path))
    assert frame.columns == ["text", "label", "more", "split"] and frame["more"].to_list() == [None]


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="holds nothing to read"):
        columns(tmp_path)


# -- roles -------------------------------------------------------------------------------------------------------
def test_the_only_text_column_is_taken(tmp_path):
    rows = [{"id": i, "when": "2024-01-01", "body": f"some words {i}", "label": "x"} for i in range(9)]
    assert resolve(rows).text == ("body",)


def test_two_text_columns_must_be_chosen():
    rows = [{"a": f"some words {i}", "b": f"more words {i}"} for i in range(9)]
    with pytest.raises(DataError, match=r"'a' or 'b'.*--text"):
        resolve(rows)
    assert resolve(rows, ("a", "b")).text == ("a", "b")


def test_pairs_ids_and_meta():
    rows = [{"id": 7, "q": "one", "a": None, "author": "x", "y": 1}]
    roles = Columns(("q", "a"), {"y": ("y", "classify")}, group="author")
    (example,) = examples(rows, roles)
    assert (example.document.text, example.document.pair, example.document.id) == ("one", "", "7")
    assert example.document.meta == {"author": "x"}
    assert example.targets == {"y": "1"}


def test_documents_of_a_batch():
    frame = pl.DataFrame({"text": ["a  b", None]})
    assert [(d.text, d.id) for d in documents(frame, ["text"], first=10)] == [("a b", "10"), ("", "11")]


def test_multilabel():
    rows = [{"text": "t", "l": value} for value in ("a|b", "c", "", "[]", '["d", "e"]', "['f']")]
    found = [e.targets.get("l") for e in examples(rows, Columns(labels={"l": ("l", "multilabel")}))]
    assert found == [("a", "b"), ("c",), None, (), ("d", "e"), ("f",)]
    rows = [{"text": "t", "l": value} for value in (["a", "b"], [], None)]
    assert [e.targets.get("l") for e in examples(rows, Columns(labels={"l": ("l", "multilabel")}))] == [
        ("a", "b"),
        (),
        None,
    ]


def test_a_comma_is_part_of_a_label_where_another_separator_stands():
    rows = [{"text": "t", "l": value} for value in ("money, fx|oil", "money, fx")]
    found = [e.targets["l"] for e in examples(rows, Columns(labels={"l": ("l", "multilabel")}))]
    assert found == [("money, fx", "oil"), ("money, fx",)]


def test_spans_keep_pointing_at_their_words_when_the_text_is_cleaned():
    text = "\u200b Dr.\x00 Who  lives"
    spans = [{"start": 6, "end": 9, "label": "PER"}]
    (example,) = examples([{"text": text, "spans": spans}], Columns(labels={"s": ("spans", "tag")}))
    assert example.targets["s"][0].text == text[6:9] and len(example.document.text) == len(text)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", None], "classify"),
        ([0, 1, 1, 0], "classify"),
        (["0.0", "1.0", "2.0"], "classify"),
        ([str(i / 4) for i in range(20)], "score"),
        (list(range(20)) * 2, "score"),
        ([str(i) for i in range(60)], "score"),
        ([float(i) for i in range(30)], "score"),
        ([Decimal(i) for i in range(30)], "score"),
        (list(range(20)) * 3, "classify"),
        (list(range(19)), "classify"),
        ([f"C{i}" for i in range(60)], "classify"),
        (["a|b", "a", "b|c", "c"] * 5, "multilabel"),
        ([["a"], [], ["b", "c"]], "multilabel"),
        ([[{"start": 0, "end": 1, "label": "X"}], []], "tag"),
        (["Cause-Effect(e1,e2)", "Other"], "classify"),
    ],
)
def test_guessing_the_task(values, kind):
    assert guess_task(values) == kind


def test_marks_make_a_relation():
    assert guess_task(["a"], ["the <e1>x</e1> of <e2>y</e2>"]) == "relate"


def test_fingerprint(tmp_path):
    (tmp_path / "a.csv").write_text("text\na\n")
    (tmp_path / "b.csv").write_text("text\na\n")
    (tmp_path / "c.csv").write_text("text\nb\n")
    one, same, other = (fingerprint(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv"))
    assert one == same != other and len(one) == 64
    assert fingerprint(ROWS) == fingerprint(pl.DataFrame(ROWS)) != fingerprint(ROWS[:2])
