"""Which companies a text names: names, aliases, tickers, misspellings, homonyms, in English and Chinese."""

import itertools
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.companies.misspellings import Misspellings
from metier.apps.monitor.companies.names import without_form
from metier.apps.monitor.companies.table import Company

ROWS = [
    Company("apple", "Apple Inc.", (), ("AAPL",), "", "technology iPhone maker"),
    Company("alphabet", "Alphabet Inc", ("Google",), ("NASDAQ:GOOGL", "GOOG")),
    Company("youtube", "YouTube", (), (), "alphabet"),
    Company("caterpillar", "Caterpillar Inc", (), ("CAT",)),
    Company("allstate", "Allstate Corp", (), ("ALL",)),
    Company("gartner", "Gartner, Inc.", (), ("IT",)),
    Company("microsoft", "Microsoft Corporation", (), ("MSFT",)),
    Company("delta air", "Delta Air Lines", ("Delta",), ("DAL",), "", "airline flights travel"),
    Company("delta electronics", "Delta Electronics", ("Delta",), ("2308.TW",), "", "power supply electronics"),
    Company("icbc", "中国工商银行股份有限公司", ("工商银行", "工行"), ("601398.SH", "1398.HK")),
    Company("icbc asia", "工银亚洲", (), (), "icbc"),
    Company("moutai", "贵州茅台酒股份有限公司", ("贵州茅台", "茅台"), ("600519.SH",)),
    Company("ping an", "平安保险", ("平安",), (), "", "保险 寿险"),
    Company("ping an bank", "平安银行", ("平安",), (), "", "贷款 存款"),
    Company("ge", "General Electric", ("GE",), ("GE",)),
    Company("att", "AT&T Inc", (), ("T",)),
    Company("jpmorgan", "JPMorgan Chase & Co", ("J.P. Morgan", "JPMorgan"), ("JPM",)),
    Company("ebay", "eBay", (), ()),
    Company("sebi", "SEBI", (), ()),
    Company("st james", "St. James's Place plc", (), ()),
    Company("berkshire", "Berkshire Hathaway", (), ("BRK.A", "BRK.B")),
]


@pytest.fixture(scope="module")
def companies():
    return Companies(ROWS)


def linked(companies, text):
    return [(one.company, one.surface, one.how) for one in companies.link(text)]


CASES = [
    ("Shares of Apple rise", [("apple", "Apple", "name")]),
    ("apple growers fear frost", []),
    ("Why the apple harvest failed, by Apple Inc", [("apple", "Apple Inc", "name")]),
    ("Google and YouTube", [("alphabet", "Google", "alias"), ("youtube", "YouTube", "name")]),
    ("Delta Air Lines' flights", [("delta air", "Delta Air Lines", "name")]),
    ("Delta cancels flights", [("delta air", "Delta", "alias")]),
    ("Delta rises", []),
    ("Power supply maker Delta expands", [("delta electronics", "Delta", "alias")]),
    ("Buy AAPL, and all IT stocks for a cat", [("apple", "AAPL", "ticker")]),
    ("CAT and ALL and IT rise", []),
    ("Caterpillar (CAT) digs", [("caterpillar", "Caterpillar", "name"), ("caterpillar", "(CAT)", "ticker")]),
    ("$ALL and $IT rise, NYSE: T falls", [("allstate", "$ALL", "ticker"), ("gartner", "$IT", "ticker"),
                                          ("att", "NYSE: T", "ticker")]),
    ("T rises", []),
    ("<JPM.N> falls", [("jpmorgan", "<JPM.N>", "ticker")]),
    ("BRK.A and (BRK/B)", [("berkshire", "(BRK/B)", "ticker")]),
    ("Microsft cuts jobs", [("microsoft", "Microsft", "fuzzy")]),
    ("Micros cuts jobs", []),
    ("J.P. Morgan's loan, JP Morgan's bond", [("jpmorgan", "J.P. Morgan", "alias"),
                                               ("jpmorgan", "JP Morgan", "alias")]),
    ("AT&T sues", [("att", "AT&T", "name")]),
    ("Ebay and ebay", [("ebay", "Ebay", "name"), ("ebay", "ebay", "name")]),
    ("Ge falls, GE rises", [("ge", "GE", "alias")]),
    ("The regulator Sebi warns", [("sebi", "Sebi", "name")]),
    ("St. James's Place PLC pays", [("st james", "St. James's Place PLC", "name")]),
    ("General, Electric rises", []),
    ("中国工商银行（601398.SH）与工行", [("icbc", "中国工商银行", "name"), ("icbc", "（601398.SH）", "ticker"),
                                      ("icbc", "工行", "alias")]),
    ("贵州茅台酒股份有限公司涨", [("moutai", "贵州茅台酒股份有限公司", "name")]),
    ("平安银行下调利率", [("ping an bank", "平安银行", "name")]),
    ("平安寿险增长", [("ping an", "平安", "alias")]),
    ("一路平安", []),
    ("ＡＰＰＬＥ　Ｉｎｃ跌，（０１３９８．ＨＫ）", [("apple", "ＡＰＰＬＥ　Ｉｎｃ", "name"),
                                                 ("icbc", "（０１３９８．ＨＫ）", "ticker")]),
    ("苹果Apple公司", [("apple", "Apple", "name")]),
    ("", []),
    ("？？？ ...", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_links(companies, text, wanted):
    assert linked(companies, text) == wanted


def test_a_mention_knows_where_it_stands_and_how_sure_it_is(companies):
    text = "Apple sues Microsft; Google wins (GOOG)"
    found = companies.link(text)
    assert all(text[one.start : one.end] == one.surface for one in found)
    scores = {one.surface: one.score for one in found}
    assert scores["Apple"] == 0.6 and scores["(GOOG)"] == 1 and 0.7 < scores["Microsft"] < 0.9 < scores["Google"]
    assert companies.link("iPhone sales: Apple rises")[0].score > 0.6


def test_another_mention_tells_homonyms_apart(companies):
    found = linked(companies, "Delta Electronics expands; Delta rises")
    assert [company for company, _, _ in found] == ["delta electronics"] * 2


def test_a_parent_is_counted_once(companies):
    assert companies.rolled_up(["youtube", "alphabet", "youtube"]) == ("alphabet", "youtube")
    assert companies.rolled_up(["icbc asia"]) == ("icbc", "icbc asia") and companies.rolled_up([]) == ()


def test_what_is_not_in_the_table_is_listed(companies):
    found = companies.find("Foo Bar Ltd, $XYZQ and Delta; 深圳华强实业股份有限公司与贵州茅台签约")
    assert [(one.surface, one.how) for one in found.unlinked] == [
        ("Foo Bar Ltd", "suffix"), ("$XYZQ", "ticker"), ("Delta", "homonym"), ("深圳华强实业股份有限公司", "suffix"),
    ]  # fmt: skip
    assert all(one.company == "" for one in found.unlinked) and [one.company for one in found.linked] == ["moutai"]


def test_a_headline_in_capitals(companies):
    assert linked(companies, "GE TO CUT ALL IT JOBS, MICROSOFT TOO") == [
        ("ge", "GE", "alias"), ("microsoft", "MICROSOFT", "name"),
    ]  # fmt: skip


def test_warnings_name_homonyms():
    warnings = Companies([*ROWS, Company("x", "X", (), ("JPM",))]).warnings
    assert [line for line in warnings if "'Delta'" in line] and [line for line in warnings if "'平安'" in line]
    assert [line for line in warnings if "JPM" in line] and [line for line in warnings if "too short" in line]


@pytest.mark.parametrize(
    ("name", "short"),
    [("Apple Inc.", "Apple"), ("Tiffany & Co", "Tiffany"), ("BP plc", "BP"), ("Siemens AG", "Siemens"),
     ("Group Ltd", "Group"), ("Inc", "Inc"), ("腾讯控股有限公司", "腾讯"),
     ("中国平安保险(集团)股份有限公司", "中国平安保险"),
     ("宝钢股份", "宝钢"), ("集团公司", "集团")],
)  # fmt: skip
def test_legal_forms(name, short):
    assert without_form(name) == short


@settings(max_examples=80)
@given(st.text(alphabet="aA.&$()<> '-,Apple公司工行DeltaＡ１", max_size=60))
def test_any_text_gives_mentions_in_order_and_in_place(text):
    found = Companies(ROWS[:3] + ROWS[9:11]).find(text)
    for mentions in (found.linked, found.unlinked):
        assert list(mentions) == sorted(mentions, key=lambda one: (one.start, one.end))
        assert all(one.surface == text[one.start : one.end] and one.surface for one in mentions)


@pytest.mark.parametrize("piece", ["Apple ", "Microsft ", "(", "工", "Foo Bar Inc ", "$A", "A.", "股份有限公司与", "x"])
def test_a_huge_text_takes_little_time(companies, piece):
    start = time.process_time()
    companies.find(piece * (2_000_000 // len(piece)))
    assert time.process_time() - start < 3


def test_no_companies_link_nothing():
    assert Companies([]).link("Apple rises") == []


def test_the_names_of_a_large_table_take_little_memory():
    first = map("".join, itertools.product("bdfgk", "aeo", "lmnrs", "iu", "ptvz", "aeo"))
    names = [((word, "holding"), f"c{at}") for at, word in enumerate(first)]
    tracemalloc.start()
    try:
        found = Misspellings(names)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1_000 * len(names), "they were 2,500 bytes a name: gigabytes for 200,000 companies"
    assert found._whose("balipaholdimg")[0] == "c0"
