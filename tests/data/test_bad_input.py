"""Every kind of bad input that people hand over: each gives one clear `DataError`, or is read for what it is."""

import gzip
import json

import polars as pl
import pytest

from metier.data.doctor import examine
from metier.data.read import Columns, columns, examples, frames, resolve
from metier.errors import DataError

LABEL = Columns(labels={"label": ("label", "classify")})


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def read(path, roles=LABEL, **options):
    return list(examples(path, roles, **options))


def test_empty_file(tmp_path):
    with pytest.raises(DataError, match=r"news.csv is empty"):
        list(frames(write(tmp_path / "news.csv", "")))


@pytest.mark.parametrize("name", ["news.csv", "news.tsv"])
def test_only_blank_lines(tmp_path, name):
    with pytest.raises(DataError, match="is empty"):
        list(frames(write(tmp_path / name, "\n\n\r\n")))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_header_only(tmp_path, end):
    path = write(tmp_path / "news.csv", "text,label" + end)
    assert columns(path) == ["text", "label"]
    with pytest.raises(DataError, match="has no rows"):
        list(frames(path))


def test_jsonl_without_objects(tmp_path):
    with pytest.raises(DataError, match="has no rows"):
        list(frames(write(tmp_path / "a.jsonl", "\n\n")))


def test_missing_columns_are_named_all_at_once(tmp_path):
    path = write(tmp_path / "news.csv", "text,label,topic\na,b,c\n")
    with pytest.raises(DataError) as raised:
        resolve(path, ("txt",), ("lable", "topik"), roles={"group": "auther"})
    message = str(raised.value)
    assert "'txt'. Did you mean 'text'?" in message
    assert "'lable'. Did you mean 'label'?" in message
    assert "'topik'. Did you mean 'topic'?" in message
    assert "'auther'" in message


def test_examples_of_a_missing_column(tmp_path):
    with pytest.raises(DataError, match="no column 'label'"):
        read(write(tmp_path / "news.csv", "text,labels\na,b\n"))


def test_nan_labels_are_no_labels(tmp_path):
    found = read(write(tmp_path / "news.csv", "text,label\na,pos\nb,\nc,nan\nd,NaN\ne,  \nf,none\n"))
    assert [dict(example.targets) for example in found] == [{"label": "pos"}, {}, {}, {}, {}, {"label": "none"}]


def test_nan_labels_of_a_table():
    frame = pl.DataFrame({"text": ["a", "b", "c"], "label": [1.0, None, float("nan")]})
    assert [dict(example.targets) for example in examples(frame, LABEL)] == [{"label": "1"}, {}, {}]


def test_a_text_of_five_megabytes(tmp_path):
    long = "word " * 1_000_000
    path = write(tmp_path / "news.csv", f'text,label\nshort,a\n"{long}",b\nshort,c\n')
    found = read(path, clean=False)
    assert [len(example.document.text) for example in found] == [5, 5_000_000, 5]
    assert examine(path, LABEL).rows == 3


def test_emoji_and_right_to_left_text(tmp_path):
    family, flag = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7"
    text = f"{family} \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 {flag}"
    found = read(write(tmp_path / "news.csv", f"text,label\n{text},a\n"))
    assert found[0].document.text == text


def test_nul_bytes(tmp_path):
    path = write(tmp_path / "news.csv", b"text,label\nbefore\x00after,a\n")
    assert read(path)[0].document.text == "before after"
    assert read(path, clean=False)[0].document.text == "before\x00after"


def test_lone_surrogates_in_json_lines(tmp_path):
    path = write(tmp_path / "news.jsonl", '{"text": "a \\ud800 b", "label": "x"}\n{"text": "c", "label": "\\udc00"}\n')
    found = read(path)
    assert found[0].document.text == "a \ufffd b"
    assert found[1].targets == {"label": "\ufffd"}


def test_lone_surrogates_in_a_list():
    assert next(examples([{"text": "a\ud800", "label": "x"}], LABEL)).document.text == "a\ufffd"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-16"])
def test_other_encodings(tmp_path, encoding):
    rows = "".join(
        f"\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed{i},\u6b63\u9762\n" for i in range(50)
    )
    path = write(tmp_path / "news.csv", ("text,label\n" + rows).encode(encoding))
    found = read(path)
    assert len(found) == 50
    assert found[3].document.text == "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed3"
    assert found[3].targets == {"label": "\u6b63\u9762"}


def test_gb18030_after_a_megabyte_of_ascii(tmp_path):
    rows = "plain words,a\n" * 100_000
    path = write(
        tmp_path / "news.csv", b"text,label\n" + rows.encode() + "\u6211\u4eec\u7684\u4e2d\u56fd,b\n".encode("gb18030")
    )
    assert read(path)[-1].document.text == "\u6211\u4eec\u7684\u4e2d\u56fd"


def test_bytes_of_no_encoding(tmp_path):
    path = write(tmp_path / "news.csv", b"text,label\nfine,a\n\xff\xfe\xfa garbage \x81,b\n")
    with pytest.raises(DataError, match=r"news.csv, line 3: byte 0xff is neither UTF-8 nor GB18030.*iconv"):
        read(path)


def test_latin1_is_not_taken_for_chinese(tmp_path):
    path = write(tmp_path / "news.csv", "text,label\nCaf\xe9s \xe9taient ferm\xe9es,a\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 2"):
        read(path)


def test_a_name_that_ends_in_gz_and_is_no_gzip(tmp_path):
    with pytest.raises(DataError, match=r"news.csv.gz is not a gzip file"):
        read(write(tmp_path / "news.csv.gz", "text,label\na,b\n"))


def test_a_gzip_file_that_stops_early(tmp_path):
    whole = gzip.compress(("text,label\n" + "some text,a\n" * 5_000).encode())
    with pytest.raises(DataError, match="damaged gzip"):
        read(write(tmp_path / "news.csv.gz", whole[: len(whole) // 2]))


def test_gzip_without_the_name(tmp_path):
    assert len(read(write(tmp_path / "news.csv", gzip.compress(b"text,label\na,b\n")))) == 1


def test_a_broken_conll_line_names_file_and_line(tmp_path):
    path = write(tmp_path / "train.conll", "Paris\tB-LOC\nis\tO\n\nnice\nyes\tX-Y\n")
    with pytest.raises(DataError, match=r"train.conll, line 4: 'nice'; line 5: 'yes\\tX-Y'"):
        list(frames(path))


def test_a_ragged_row_names_the_row(tmp_path):
    path = write(tmp_path / "news.csv", 'text,label\n"a\nb",x\nc, d,y\ne,z\nf\n')
    with pytest.raises(DataError, match=r"row 2: 3 cells where the header has 2 \(and 1 row"):
        list(frames(path))


def test_quoted_newlines_and_quotes(tmp_path):
    path = write(tmp_path / "news.csv", 'text,label\n"one\ntwo, ""three""",a\nfour,b\n')
    assert [example.document.text for example in read(path, clean=False)] == ['one\ntwo, "three"', "four"]
    assert read(path)[0].document.text == 'one two, "three"'


def test_a_quotation_that_is_never_closed(tmp_path):
    rows = "x,y\n" * 5_000_000
    with pytest.raises(DataError, match="quotation mark"):
        list(frames(write(tmp_path / "news.csv", 'text,label\n"open,a\n' + rows)))


def test_tsv_with_bare_quotes(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"Gut\tpos\nschlecht"\tneg\n')
    assert [example.document.text for example in read(path)] == ['"Gut', 'schlecht"']


def test_a_json_line_that_is_broken(tmp_path):
    with pytest.raises(DataError, match=r"a.jsonl, line 3: not JSON"):
        list(frames(write(tmp_path / "a.jsonl", '{"text": "a"}\n\n{"text": \n')))


def test_a_json_line_that_is_no_object(tmp_path):
    with pytest.raises(DataError, match="line 2: a list instead of an object"):
        list(frames(write(tmp_path / "a.jsonl", '{"text": "a"}\n[1]\n')))


def test_json_nested_too_deep(tmp_path):
    with pytest.raises(DataError, match="line 1"):
        list(frames(write(tmp_path / "a.jsonl", '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n")))


def test_a_column_of_mixed_types_becomes_strings(tmp_path):
    lines = [{"text": "a", "label": 1}, {"text": "b", "label": "x"}, {"text": "c", "label": [1]}, {"text": 4}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    frame = pl.concat(frames(path, rows=1))
    assert frame["label"].to_list() == ["1", "x", "[1]", None]
    assert frame["text"].to_list() == ["a", "b", "c", "4"]


def test_two_columns_of_one_name(tmp_path):
    with pytest.raises(DataError, match="two columns named 'text'"):
        columns(write(tmp_path / "a.csv", "text,text\na,b\n"))


def test_columns_without_a_name(tmp_path):
    path = write(tmp_path / "a.csv", ",text, label ,column_1,\n0,a,x,one,\n1,b,y,two,\n")
    assert columns(path) == ["column_2", "text", "label", "column_1", "column_5"]
    frame = pl.concat(frames(path))
    assert frame.columns == columns(path)
    assert frame.row(1) == ("1", "b", "y", "two", "")


def test_names_that_differ_by_blanks_only(tmp_path):
    with pytest.raises(DataError, match="two columns named 'text'"):
        columns(write(tmp_path / "a.csv", "text,text ,\na,b,c\n"))


@pytest.mark.parametrize("start", ["\n", "\r\n \n", "\ufeff\n\n"])
def test_an_array_after_blank_lines(tmp_path, start):
    path = write(tmp_path / "a.json", start + json.dumps([{"text": "a"}, {"text": "b"}], indent=1))
    assert next(frames(path))["text"].to_list() == ["a", "b"]


def test_an_unknown_format(tmp_path):
    with pytest.raises(DataError, match="no known format"):
        columns(write(tmp_path / "a.docx", "x"))


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "news.csv", "text\na\n")
    with pytest.raises(DataError, match=r"new.csv. Did you mean 'news.csv'\? Try: check the path\.$"):
        columns(tmp_path / "new.csv")


def test_parquet_and_excel_that_are_not(tmp_path):
    for name in ("a.parquet", "a.xlsx"):
        with pytest.raises(DataError, match="not a readable") as raised:
            list(frames(write(tmp_path / name, "this is text")))
        assert ".." not in str(raised.value)


def test_spans_outside_their_text():
    rows = [{"text": "short", "spans": [{"start": 2, "end": 9, "label": "X"}]}]
    with pytest.raises(DataError, match="Row 1, column 'spans': the span 2..9"):
        list(examples(rows, Columns(labels={"spans": ("spans", "tag")})))


def test_a_score_that_is_no_number():
    rows = [{"text": "a", "grade": "3.5"}, {"text": "b", "grade": "good"}]
    with pytest.raises(DataError, match="Row 2, column 'grade': 'good' is no number"):
        list(examples(rows, Columns(labels={"grade": ("grade", "score")})))


def test_something_else_entirely():
    with pytest.raises(DataError, match="A int is no source"):
        list(frames(3))
