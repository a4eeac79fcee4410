"""The life of an alert: a pure function of its ticks, whoever cuts them into batches."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.alerts.life import Alert, Book, Rules, Seen, acknowledge, heard, judge, remark, snooze
from metier.apps.monitor.item import SeriesKey, Signal
from metier.errors import MetierError

STEP = 900.0
SERIES = SeriesKey("fraud", "acme")


def seen(at: int, hit: bool = True, *, observed: int = 8, series: SeriesKey = SERIES, **rest: object) -> Seen:
    """The tick number `at`, whose end is `900 × (at + 1)`."""
    signal = Signal(
        at * STEP, 1.0, 0.0, 3.0, observed if hit else 1, {"cusum": 9.0 if hit else 0.5}, {"cusum": 6.0},
        ("cusum",) if hit else (), at * STEP if hit else None,
    )  # fmt: skip
    return Seen(series, signal, (at + 1) * STEP, **rest)  # type: ignore[arg-type]


def lived(pattern: str, rules: Rules, book: Book | None = None) -> list[Alert]:
    """The alerts after ticks: `x` over the threshold, `.` quiet, `-` no collection."""
    book = book or Book(rules)
    found = []
    for at, sign in enumerate(pattern):
        changed = book.observe(seen(at, sign == "x", open=sign != "-"))
        found += [changed] if changed else []
    return found


def test_it_is_pending_fires_and_is_resolved() -> None:
    states = [(alert.status, alert.updated_at / STEP) for alert in lived("..xxx...", Rules(hold=2 * STEP, keep=2))]
    assert states == [("pending", 3), ("pending", 4), ("firing", 5), ("firing", 6), ("resolved", 7)]


def test_a_short_one_is_never_fired() -> None:
    found = lived("xx.", Rules(hold=2 * STEP))
    assert [alert.status for alert in found] == ["pending", "pending", "inactive"]
    assert not Book(Rules()).state()["alerts"]


def test_a_gap_is_neither_a_surge_nor_quiet() -> None:
    found = lived("x---------.x", Rules(keep=2))
    assert [alert.status for alert in found] == ["firing", "firing", "firing"]
    assert len({alert.id for alert in found}) == 1


def test_one_that_comes_back_soon_is_the_same_and_later_another() -> None:
    soon = lived("x..x..", Rules(keep=1, reopen=3 * STEP))
    assert len({alert.id for alert in soon}) == 1
    assert [alert.status for alert in soon] == ["firing", "resolved", "firing", "resolved"]
    assert soon[-1].reopened == 1 and soon[-1].starts_at == STEP and soon[2].ends_at is None
    late = lived("x.....x", Rules(keep=1, reopen=3 * STEP))
    assert len({alert.id for alert in late}) == 2 and late[-1].reopened == 0


def test_coming_back_has_to_hold_as_well() -> None:
    rules = Rules(hold=2 * STEP, keep=1, reopen=10 * STEP)
    found = lived("xxx.x.xxx", rules)
    assert [alert.status for alert in found] == [
        "pending", "pending", "firing", "resolved", "resolved", "resolved", "resolved", "resolved", "firing",
    ]  # fmt: skip
    assert found[-1].reopened == 1 and len({alert.id for alert in found}) == 1


def test_the_end_is_forgotten_by_the_book_when_it_is_long_over() -> None:
    book = Book(Rules(keep=1, reopen=2 * STEP))
    lived("x....", Rules(), book)
    assert not book.alerts


def test_severity_rises_and_never_falls_and_says_why() -> None:
    book = Book(Rules())
    levels = [
        book.observe(seen(at, observed=count, sources=sources, watched=at == 2))
        for at, (count, sources) in enumerate([(2, 1), (30, 4), (1, 1)])
    ]
    assert [alert.severity.level for alert in levels if alert] == ["info", "critical", "critical"]
    last = levels[-1]
    assert last and last.labels["severity"] == "critical" and last.sources == 4
    assert "33 negative stories where 3.0 were expected" in last.severity.en
    assert "负面报道 33 篇" in last.severity.zh and "严重" in last.severity.zh
    assert last.severity.points == pytest.approx(sum(value for _, value in last.severity.parts))
    assert last.severity.points == 3.46 + 0.58 + 2.0 + 1.0  # log2(1 + 30/3), log2(9/6), log2(4 sources), watched


def test_an_alert_names_what_it_is_about() -> None:
    book = Book(Rules())
    everything = book.observe(
        seen(0, series=SeriesKey(), labels={"risk owner": "desk", "severity": "none", "empty": ""})
    )
    assert everything and everything.labels == {
        "alertname": "NegativeSurge", "risk_owner": "desk", "severity": everything.severity.level,
    }  # fmt: skip


def test_what_people_do() -> None:
    book = Book(Rules(least=1, keep=1, reopen=10 * STEP))
    alert = book.observe(seen(0, observed=2))
    assert alert and alert.severity.level == "info"
    kept = book.act(alert.id, lambda found: acknowledge(found, "wang", 1_000.0, "mine"))
    assert kept and kept.muted(1_000.0) and kept.deeds[0].who == "wang" and kept.deeds[0].comment == "mine"
    worse = book.observe(seen(1, observed=60))
    assert worse and not worse.muted(2_000.0), "worse than what was acknowledged"
    quiet = snooze(worse, 5_000.0, "li", 2_000.0)
    assert quiet.muted(4_999.0) and not quiet.muted(5_000.0) and not quiet.muted(None), "in a replay nobody snoozes"
    wrong = remark(judge(quiet, "false", "li", 2_100.0, "a joke"), "see above", "li", 2_200.0)
    assert wrong.verdict == "false" and [deed.kind for deed in wrong.deeds] == [
        "acknowledge", "snooze", "verdict", "comment",
    ]  # fmt: skip
    assert book.act("no such", lambda found: found) is None


def test_what_people_said_elsewhere_is_heard_once() -> None:
    book = Book(Rules())
    alert = book.observe(seen(0, observed=2))
    assert alert and heard(alert, None, None, None) is alert
    book.act(alert.id, lambda found: heard(found, 1_000.0, None, None))
    worse = book.observe(seen(1, observed=60))
    assert worse and not worse.acknowledged and heard(worse, 1_000.0, None, None) is worse
    assert heard(worse, 3_000.0, None, None).acknowledged and not heard(worse, None, None, "true").acknowledged
    assert heard(worse, 1_000.0, 9_000.0, "false").muted(8_000.0)


def test_mistakes_of_people_are_said() -> None:
    alert = lived("x", Rules())[0]
    with pytest.raises(MetierError, match="no verdict"):
        judge(alert, "maybe", "li", 1.0)
    with pytest.raises(MetierError, match="has passed"):
        snooze(alert, 1.0, "li", 2.0)
    with pytest.raises(MetierError, match="Nobody"):
        acknowledge(alert, " ", 2.0)
    with pytest.raises(MetierError, match="resolved"):
        acknowledge(lived("x.", Rules(keep=1))[-1], "li", 2.0)


@settings(max_examples=60)
@given(st.text("x.-", max_size=40), st.lists(st.integers(0, 40), max_size=5), st.integers(0, 3), st.integers(1, 3))
def test_it_does_not_depend_on_where_the_stream_is_cut(pattern: str, cuts: Sequence[int], hold: int, keep: int) -> None:
    rules = Rules(hold=hold * STEP, keep=keep, reopen=5 * STEP)
    whole = Book(rules)
    expected = [whole.observe(seen(at, sign == "x", open=sign != "-")) for at, sign in enumerate(pattern)]
    book, found = Book(rules), []
    for at, sign in enumerate(pattern):
        if at in cuts:
            book = Book(rules, json.loads(json.dumps(book.state())))
        found.append(book.observe(seen(at, sign == "x", open=sign != "-")))
    assert found == expected and book.state() == whole.state()
    ids = [alert.id for alert in expected if alert]
    assert len(ids) == 0 or len(set(ids)) <= pattern.count("x")


def test_it_does_not_fire_before_it_rests_on_enough() -> None:
    book, ticks = Book(Rules(least=3)), [seen(at, observed=1) for at in range(3)]
    assert [alert.status for one in ticks if (alert := book.observe(one))] == ["pending", "pending", "firing"]
