"""The table of companies: every mistake of a file is told at once, with its line."""

import pytest

from metier.apps.monitor.companies.link import Companies
from metier.errors import DataError

GOOD = """id,name,aliases,ticker,parent
alphabet,Alphabet Inc,Google|谷歌,GOOGL | GOOG,
youtube,YouTube,,,alphabet
"""


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "companies.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_is_read(tmp_path):
    companies = Companies.read(written(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n")))
    assert len(companies) == 2 and companies.warnings == ()
    row = companies.companies["alphabet"]
    assert row.aliases == ("Google", "谷歌") and row.tickers == ("GOOGL", "GOOG")
    assert companies.rolled_up(["youtube"]) == ("alphabet", "youtube")


def test_all_mistakes_are_told_with_their_lines(tmp_path):
    rows = ("a,A One,,,", "a,A Two,,,", ",Nameless,,,", "b,,,,", "c,C Corp,,,aa", "d,D,,", "e,E,,,f", "f,F,,,e")
    text = "\n".join(("id,name,aliases,ticker,parent", *rows))
    with pytest.raises(DataError) as told:
        Companies.read(written(tmp_path, text))
    said = str(told.value)
    for part in ("7 mistakes", "line 3: the id 'a' is that of line 2, too", "line 4: the id is empty",
                 "line 5: the name of 'b' is empty", "line 6: the parent 'aa' is no id. Did you mean 'a'?",
                 "line 7: 4 fields, 5 columns", "e -> f -> e"):  # fmt: skip
        assert part in said, part


def test_a_company_is_not_its_own_parent(tmp_path):
    with pytest.raises(DataError, match="a -> a"):
        Companies.read(written(tmp_path, "id,name,parent\na,A One,a\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,nam\na,A\n", "column 'nam'. Did you mean 'name'"),
        ("id,alias,name\n", "column 'alias'. Did you mean 'aliases'"),
        ("name\nA\n", "no column 'id'"),
        ("id,id,name\n", "column 'id' twice"),
        ("", "no column 'id'"),
        ('id,name\n"a,A\n', "no CSV file"),
    ],
)
def test_what_is_no_table_is_one_clear_line(tmp_path, text, said):
    with pytest.raises(DataError) as told:
        Companies.read(written(tmp_path, text))
    assert said in str(told.value) and "\n" not in str(told.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Companies.read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="UTF-8"):
        Companies.read(written(tmp_path, "id,name\na,公司\n", "gb18030"))
