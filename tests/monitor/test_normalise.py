"""What becomes of a document: an item, or one that is set aside with a reason."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.item import Item, Received
from metier.apps.monitor.normalise import Fields, Normaliser, Quarantined, Rules, normalise
from metier.apps.monitor.published import written
from metier.apps.monitor.sources.lines import json_line
from metier.apps.zones import zone_of
from metier.data.markup import matchable, plain
from metier.errors import RecipeError

NOW = 1_780_000_000.0  # 28 May 2026


def item(content: Any, rules: Rules | None = None, at: float = NOW) -> Item:
    found = normalise(Received("wire", content, at), rules)
    assert isinstance(found, Item), found
    return found


def aside(content: Any, rules: Rules | None = None) -> Quarantined:
    found = normalise(Received("wire", content, NOW), rules)
    assert isinstance(found, Quarantined), found
    return found


def test_a_document_becomes_an_item() -> None:
    found = item({"id": 7, "text": "  Acme  fell\n", "time": "2026-05-28T00:00:00+02:00", "url": "https://a.example/1",
                  "source": "Reuters", "language": "en", "ticker": "ACM", "price": 3.5, "list": [1]})  # fmt: skip
    assert (found.id, found.text, found.source, found.language) == ("7", "Acme fell", "Reuters", "en")
    assert found.time == 1_779_919_200.0
    assert found.received == NOW
    assert {**found.meta, "marks": None} == {"ticker": "ACM", "price": 3.5, "marks": None}


def test_private_data_is_masked_before_anything_is_kept() -> None:
    row = {"id": "4111111111111111", "title": "Refund for 4111 1111 1111 1111", "text": "Ann at 650-253-0000"}
    row |= {"url": "https://a.example/650-253-0000", "time": "2026-05-28T00:00:00Z", "agent": "ann@example.com"}
    found = item(row)
    assert found.text == "Refund for [card]. Ann at [phone]"
    assert (found.id, found.url) == (row["id"], row["url"])
    assert found.meta["agent"] == "[email]"
    assert item(row, Rules(private=False)).text == "Refund for 4111 1111 1111 1111. Ann at 650-253-0000"
    without = [{"text": f"Call 650-253-000{last}", "time": "2026-05-28"} for last in range(2)]
    assert item(without[0]).text == item(without[1]).text
    assert item(without[0]).id != item(without[1]).id


def test_private_data_is_masked_in_what_is_set_aside() -> None:
    found = aside({"title": 3, "text": "ann@example.com", "id": "x", "time": "2026-05-28"})
    assert json.loads(found.content) == {"title": 3, "text": "[email]", "id": "x", "time": "2026-05-28"}
    assert aside('{"text": "ann@example.com"').content == '{"text": "[email]"'
    nested: Any = "ann@example.com"
    for _ in range(300):
        nested = [nested]
    found = aside({"text": ["ann@example.com", {"a": "650-253-0000"}], "deep": nested})
    assert json.loads(found.content)["text"] == ["[email]", {"a": "[phone]"}]
    assert "ann@" not in found.content
    long = aside('{"text": "ann@example.com"' + "1 " * 60_000).content
    assert len(long) < 1_001 and long.startswith('{"text": "[email]"')
    assert "ann@" in aside('{"text": "ann@example.com"', Rules(private=False)).content


def test_title_and_body_are_one_text() -> None:
    assert item({"title": "Acme falls", "text": "Shares lost 3 %."}).text == "Acme falls. Shares lost 3 %."
    assert item({"title": "Why?", "text": "Because."}).text == "Why? Because."
    assert item({"title": "利润下降", "text": "公司说"}).text == "利润下降。公司说"
    assert item({"title": "Acme falls", "text": "Acme falls by a third"}).text == "Acme falls by a third"
    assert item({"headline": "a", "body": "b"}, Rules(Fields(text=("headline", "body")))).text == "a. b"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"title": None}, "empty"),
        ({"text": " \u200b\n"}, "empty"),
        ({}, "empty"),
        ({"text": 3}, "not text"),
        ({"text": ["a"]}, "not text"),
        ({"text": "\x00\x01\x02\x03PNG\x00\x00\x04"}, "not text"),
        ({"text": "a", "id": [1]}, "bad id"),
        ({"text": "a", "id": True}, "bad id"),
        ({"text": "a", "id": 1.5}, "bad id"),
        ("not an object", "unreadable"),
        ({"text": "x" * (11 << 20)}, "too long"),
    ],
)
def test_what_cannot_be_used_is_set_aside_with_its_reason(content: Any, kind: str) -> None:
    found = aside(content)
    assert found.kind == kind
    assert found.reason
    assert found.at == NOW
    assert len(found.content) < 1_000_000


def test_what_was_set_aside_can_be_corrected_and_read_again() -> None:
    found = aside({"headline": "Acme \ud800 fell", "time": 5})
    corrected = found.content.replace("headline", "text").encode()
    again = normalise(json_line(corrected, found.source, found.at))
    assert isinstance(again, Item)
    assert again.text.startswith("Acme ")
    found.content.encode("utf-8")  # a data base takes it


def test_long_texts_are_cut_and_marked() -> None:
    found = item({"text": "word " * 100}, Rules(characters=52))
    assert found.text == "word " * 10 + "wo"
    assert found.meta["marks"]["cut"] == 499


def test_odd_characters_do_not_reach_the_model() -> None:
    assert item({"text": "a\x00b\ud800c\u202ed", "id": "x\x00\ud800"}).text == "a b\ufffdcd"
    assert item({"text": "ok", "id": "x\x00y"}).id == "x y"
    assert item({"text": "ok", "url": "http://a\x00/\u202e"}).url == "http://a /"


def test_ids_are_given_or_follow_from_the_content() -> None:
    one = item({"text": "a", "url": "http://x.example"})
    assert one.id == item({"text": "a", "url": "http://x.example"}, at=NOW + 5).id
    assert one.id != item({"text": "b", "url": "http://x.example"}).id
    # the same headline on another day is another document, unless an address says that it is the same
    assert item({"text": "a", "time": "2026-01-01"}).id != item({"text": "a", "time": "2026-01-02"}).id
    timed = {"text": "a", "url": "http://x.example"}
    assert item({**timed, "time": "2026-01-01"}).id == item({**timed, "time": "2026-01-02"}).id
    assert item({"text": "a", "id": "1"}, Rules(prefix="wire ")).id == "wire 1"
    assert len(item({"text": "a", "id": "1" * 5_000}).id) == 20


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000+00:00", "2026-01-02 11:04:05+08:00", "20260102T030405Z",
        1767323045, 1767323045.0, 1767323045000, "1767323045", 1767323045000000, 1767323045 * 10**9,
        "Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 2 Jan 2026 04:04:05 +0100", "2026/1/2 3:04:05", "2026年1月2日 03:04:05",
        "2026年1月2日3时04分05秒", " 2026-01-02T03:04:05 ",
    ],
)  # fmt: skip
def test_times_are_understood(value: Any) -> None:
    found = written(value)
    assert found is not None
    assert found.seconds == 1767323045.0
    assert not found.day


@pytest.mark.parametrize("value", ["2026-01-02", "20260102", 20260102, "2026/01/02", "2026.1.2", "2026年1月2日"])
def test_days_alone_are_understood(value: Any) -> None:
    assert written(value) == (1767312000.0, True)
    assert item({"text": "a", "time": value}).meta["marks"]["day"] is True


def test_naive_times_are_those_of_the_zone() -> None:
    assert written("2026-01-02T11:04:05", zone_of("Asia/Shanghai")) == written("2026-01-02T03:04:05Z")
    assert written("2026-01-02", zone_of("Asia/Shanghai")) == (1767312000.0 - 8 * 3600, True)
    assert written("02-JAN-2026 03:04", formats=["%d-%b-%Y %H:%M"]) == (1767323040.0, False)
    assert written("2016-12-31T23:59:60Z") == written("2016-12-31T23:59:59Z")
    with pytest.raises(RecipeError, match="no time zone"):
        Normaliser(Rules(zone="Mars/Olympus"))


@pytest.mark.parametrize(
    ("value", "clock"),
    [
        (None, "undated"), ("", "undated"), ("yesterday", "unreadable"), ({}, "unreadable"), (True, "unreadable"),
        (float("nan"), "unreadable"), ("0001-01-01T00:00:00+05:00", "absurd"), (0, "absurd"), (1, "absurd"),
        (-5, "absurd"), ("1970-01-01T00:00:00Z", "absurd"), ("9999-12-31", "absurd"), (1e300, "absurd"),
        (NOW + 901, "future"), ("2027-01-01", "future"), ("x" * 10_000, "unreadable"), ("2026-13-45", "unreadable"),
        ("2026-02-30 25:00", "unreadable"),
    ],
)  # fmt: skip
def test_what_has_no_believable_time_is_counted_by_its_arrival(value: Any, clock: str) -> None:
    found = item({"text": "a", "time": value})
    assert found.time == NOW
    assert found.meta["marks"]["clock"] == clock


def test_late_documents_are_kept_and_say_how_late() -> None:
    assert item({"text": "a", "time": NOW - 3601}).meta["marks"] == {"late": 3601.0}
    assert not item({"text": "a", "time": NOW - 3599}).meta
    assert item({"text": "a", "time": NOW + 899}).time == NOW + 899  # clocks differ a little


def test_html_becomes_the_text_that_is_seen() -> None:
    page = "<p>Profit &amp; loss<br>up</p><script>alert('x')</script><style>p {}</style><li>3&nbsp;%</li>"
    assert item({"text": page}, Rules(html=True)).text == "Profit & loss up 3 %"
    assert item({"text": "a < b & c > d"}).text == "a < b & c > d"
    assert item({"text": "<b>x</b>"}).text == "<b>x</b>"  # where nobody says that it is HTML it is text
    assert plain("a &lt;script&gt;") == "a <script>"
    for broken in ("<![x[ a", "<!-- a", "<p", "<a href='", "&#xffffffff;", "<![CDATA[ x ]]>", "</" * 1000):
        assert isinstance(plain(broken), str)


@pytest.mark.parametrize("piece", ["<a ", "<!--‹!--", "<", "<a href='", "</", "<?", "<!"])
def test_markup_that_never_ends_costs_no_more_than_its_length(piece: str) -> None:
    begun = time.process_time()
    assert isinstance(plain(piece * 60_000), str)
    assert time.process_time() - begun < 10, "the square of it would take minutes"


def test_the_form_for_matching_is_as_long_as_the_text() -> None:
    assert matchable("ＡＢＣ　１２％ İstanbul") == "abc 12% İstanbul"
    assert item({"text": "ＡＢＣ"}).text == "ＡＢＣ"


def test_languages_are_given_or_guessed() -> None:
    assert item({"text": "The company said that it expects a loss for the year"}).language == "en"
    assert item({"text": "公司预计全年亏损"}).language == "zh"
    assert item({"text": "The company", "language": "de"}).language == "de"
    assert item({"text": "The company said that it expects a loss"}, Rules(detect=False)).language == ""


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["id", "text", "title", "time", "url", "source", "language", "marks"]) | st.text()


@given(content=st.dictionaries(names, values, max_size=8), html=st.booleans())
@settings(max_examples=300)
def test_whatever_comes_is_an_item_or_set_aside(content: dict[str, Any], html: bool) -> None:
    found = normalise(Received("s", content, NOW), Rules(html=html, characters=10))
    if isinstance(found, Item):
        assert found.text
        assert len(found.text) <= 10
        assert found.id
        for text in (found.id, found.text, found.url, found.source, found.language):
            text.encode("utf-8")
            assert "\x00" not in text
        assert found.time <= NOW + 900
        json.dumps(dict(found.meta)).encode()
    else:
        found.content.encode("utf-8")
        assert "\x00" not in found.content


@given(line=st.binary(max_size=60) | st.text().map(lambda text: json.dumps({"text": text}).encode()))
@settings(max_examples=300)
def test_whatever_line_comes_is_read_or_has_a_fault(line: bytes) -> None:
    found = json_line(line, "s", NOW)
    assert isinstance(found.content, str) == bool(found.fault)


@given(text=st.text(max_size=20) | st.from_regex(r"[0-9年月日T:/. +-]{1,24}", fullmatch=True))
@settings(max_examples=500)
def test_no_text_breaks_the_reading_of_times(text: str) -> None:
    found = written(text, zone_of("Asia/Shanghai"))
    assert found is None or isinstance(found.seconds, float)
