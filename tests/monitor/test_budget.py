"""Budgets are read strictly; a table becomes thresholds; false episodes become a table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.apps.monitor.detection.budget import Budget, Thresholds, log_line, shipped
from metier.apps.monitor.item import SeriesKey
from metier.errors import RecipeError

MONTH = Budget.read("1 per series per 30 days")


def test_a_budget_is_read() -> None:
    assert Budget.read("1 per topic per 30 days") == Budget(1, "topic", 30 * 86_400)
    assert Budget.read(" 0.5 per Company per week ") == Budget(0.5, "company", 7 * 86_400)
    assert Budget.read("3 per series per 12 hours").a_month == pytest.approx(180)
    assert MONTH.ticks(900) == 2880
    assert MONTH.ticks(900, sharing=4) == 4 * 2880


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one a month", "The budget of false alarms is 'one a month'"),
        ("-1 per topic per 30 days", "'-1' in the budget"),
        ("0 per topic per 30 days", "'0' in the budget"),
        ("1e9 per topic per day", "'1e9'"),
        ("1 per user per 30 days", "per 'user'"),
        ("1 per topic per 30 months", "ends with 'month'"),
        ("1 per topic per x days", "'x' in the budget"),
        ("", "is ''"),
    ],
)
def test_what_is_no_budget_says_why(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Budget.read(text)


@given(st.floats(0.75, 1.3), st.floats(-3, 0))
def test_the_line_of_a_cell_is_found(slope: float, level: float) -> None:
    """From the counts that are expected: nothing depends on a draw; the prior bends a scanty cell a little."""
    nats = np.linspace(4, 8, 300)
    a, b = log_line(nats, 20_000 * np.exp(level - slope * nats), 20_000)
    assert a - b * 5.5 == pytest.approx(level - slope * 5.5, abs=0.06)


@pytest.mark.parametrize("slope", [0.7, 1.0, 1.3])
def test_the_line_is_right_on_average(slope: float) -> None:
    nats, random = np.linspace(4, 8, 300), np.random.default_rng(3)
    draws = random.poisson(20_000 * np.exp(-1 - slope * nats), (200, 300))
    found = np.array([a - b * 5.5 for a, b in (log_line(nats, seen, 20_000) for seen in draws)])
    error = found.std() / np.sqrt(len(found))
    assert found.mean() == pytest.approx(-1 - slope * 5.5, abs=4 * error + 0.02)


def test_where_nothing_fired_the_rate_is_not_zero() -> None:
    a, b = log_line(np.linspace(4, 8, 100), np.zeros(100), 1000)
    assert 1e-7 < np.exp(a - b * 6) < 1e-4


def test_the_shipped_table_asks_for_more_where_less_is_borne() -> None:
    table = shipped()
    assert Thresholds.of(table.content()).content() == table.content()
    rate, spread = np.geomspace(1e-4, 1e3, 40), np.full(40, 2.0)
    month, year, hourly = (
        table.finder(tick, Budget.read(text))(rate, spread)
        for tick, text in (
            (900, "1 per series per 30 days"),
            (900, "1 per series per 365 days"),
            (3600, "1 per series per 30 days"),
        )
    )
    assert np.all(year > month)
    assert np.all(month >= 2.0)
    assert hourly.mean() < month.mean()
    assert np.all(month < 12)


def test_thresholds_do_not_jump_between_cells() -> None:
    finder = shipped().finder(900.0, MONTH)
    rates = np.geomspace(0.003, 60, 400)
    for spread in (1.1, 1.7, 3.0, 8.0):
        assert np.abs(np.diff(finder(rates, np.full(400, spread)))).max() < 0.25


def test_series_of_one_topic_share_its_budget() -> None:
    names = [
        SeriesKey(),
        SeriesKey("fraud"),
        SeriesKey("fraud", "acme"),
        SeriesKey("fraud", "brix"),
        SeriesKey("*", "acme"),
    ]
    rates = np.array([9.0, 2.0, 0.3, 0.0015, 1.0])
    topic, company, series = (Budget.read(f"1 per {whose} per 30 days") for whose in ("topic", "company", "series"))
    assert topic.sharers(names, rates) == {"fraud": 2.5}
    assert company.sharers(names, rates) == {"acme": 2.0, "brix": 1.0}
    assert series.sharers(names, rates) == {}
    copies = [(copy, name) for copy in range(2) for name in names]
    assert topic.sharers(copies, np.tile(rates, 2)) == {(0, "fraud"): 2.5, (1, "fraud"): 2.5}


def test_the_part_of_a_budget_is_as_a_smaller_budget() -> None:
    rate, spread = np.geomspace(0.003, 60, 40), np.full(40, 2.0)
    part = shipped().finder(900.0, MONTH)(rate, spread, np.full(40, 4.0))
    whole = shipped().finder(900.0, Budget.read("0.25 per series per 30 days"))(rate, spread)
    assert np.all(part >= whole - 1e-9), "a little careful where no lower threshold was tried"
    assert part == pytest.approx(whole, abs=0.1)
