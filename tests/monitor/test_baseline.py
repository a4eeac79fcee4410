"""The baseline: shape, history, dispersion, calendars; against what was put into the simulation."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.apps.monitor.detection.baseline import DAY, Baseline, Calendar, quantiles
from metier.apps.monitor.detection.simulate import MONDAY, Simulation, World, season
from metier.errors import RecipeError


def fitted(world: World, days: int, replicas: int = 40, seed: int = 5, calendar: Calendar | None = None) -> Baseline:
    calendar = calendar or Calendar()
    base = Baseline(replicas, world.tick, calendar, prior=0.5)
    live = np.ones(replicas, dtype=bool)
    for at, (start, counts, _) in enumerate(Simulation(world, replicas, int(days * DAY / world.tick), seed)):
        if at % 24 == 0:
            base.refresh()
        cell = calendar.cell(start)
        base.learn(cell, world.tick / DAY, counts.negatives, base.expect(cell, world.tick / DAY), live)
    base.refresh()
    return base


WORLD = World(8.0, tick=3600.0, dispersion=2.0, daily=0.5, weekend=0.6)


def test_level_hours_and_weekdays_are_found() -> None:
    base = fitted(WORLD, days=56)
    for day, hour in ((1, 14), (1, 2), (3, 20), (5, 14), (6, 3)):
        start = MONDAY + day * DAY + hour * 3600
        true = 8.0 * season(WORLD, start)
        found = base.expect(base.calendar.cell(start), 3600 / DAY).mean
        assert found.mean() == pytest.approx(true, rel=0.08)
        assert found.std() / true < 0.15


def test_with_little_history_the_baseline_is_nearly_flat_and_says_how_sure_it_is() -> None:
    short, long = fitted(WORLD, days=2), fitted(WORLD, days=42)
    night = short.calendar.cell(MONDAY + 2 * DAY + 2 * 3600)
    early, late = short.expect(night, 1 / 24), long.expect(night, 1 / 24)
    assert 0.75 < early.hour.mean() < 1.0
    assert late.hour.mean() < 0.65
    assert late.error.mean() < 0.75 * early.error.mean()


@pytest.mark.parametrize(("dispersion", "growth"), [(1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (1.0, 0.25)])
def test_the_dispersion_is_found_at_the_mean(dispersion: float, growth: float) -> None:
    base = fitted(World(8.0, tick=3600.0, dispersion=dispersion, growth=growth), days=42)
    over = 1 + base["extra"] + base["growth"] * 8.0
    assert over.mean() == pytest.approx(dispersion + growth * 8.0, rel=0.15)


def test_bursts_in_the_past_move_it_little() -> None:
    clean, dirty = (Baseline(1, 3600.0, Calendar(), prior=0.5) for _ in range(2))
    live, draw = np.ones(1, dtype=bool), np.random.default_rng(3)
    for tick in range(24 * 21):
        cell, count = Calendar().cell(MONDAY + tick * 3600), draw.poisson(5, 1).astype(float)
        burst = 100.0 if 300 <= tick < 312 else 0.0
        for base, more in ((clean, 0.0), (dirty, burst)):
            base.learn(cell, 1 / 24, count + more, base.expect(cell, 1 / 24), live)
    one, other = (base.expect(cell, 1 / 24).mean[0] for base in (clean, dirty))
    assert other < 1.12 * one


def test_what_is_not_live_is_not_learned() -> None:
    base = fitted(WORLD, days=3, replicas=2)
    before = [base.column(at) for at in (0, 1)]
    cell = base.calendar.cell(MONDAY)
    base.learn(cell, 1 / 24, np.array([90.0, 90.0]), base.expect(cell, 1 / 24), np.array([True, False]))
    assert not np.array_equal(base.column(0), before[0])
    assert np.array_equal(base.column(1), before[1])


def test_trading_days_have_hours_of_their_own_and_holidays_a_weekday() -> None:
    calendar = Calendar("America/New_York", frozenset(range(5)), frozenset({date(2026, 7, 3)}))

    def cell(*moment: int) -> tuple[int, int]:
        return calendar.cell(datetime(*moment, tzinfo=UTC).timestamp())

    assert cell(2026, 7, 2, 13, 30) == (9, 3)  # 9:30 in New York, daylight saving
    assert cell(2026, 1, 8, 14, 30) == (9, 3)  # and without
    assert cell(2026, 7, 4, 13, 30) == (24 + 9, 5)
    assert cell(2026, 7, 3, 13, 30) == (24 + 9, 7)
    assert Calendar().cell(MONDAY + 5 * DAY) == (0, 5)


def test_calendars_that_cannot_be_say_so() -> None:
    with pytest.raises(RecipeError, match="time zone 'Mars/Base'"):
        Calendar("Mars/Base")
    with pytest.raises(RecipeError, match="Weekday 9"):
        Calendar(trading=frozenset({1, 9}))


@given(st.floats(0.001, 300), st.floats(1.02, 10), st.sampled_from([0.025, 0.5, 0.975]))
def test_quantiles_are_those_of_the_negative_binomial(mean: float, over: float, share: float) -> None:
    from scipy.stats import nbinom

    found = quantiles(np.array([mean]), np.array([mean * over]), share)[0]
    size = mean / (over - 1)
    assert nbinom.cdf(found, size, 1 / over) >= share - 1e-9
    assert found == 0 or nbinom.cdf(found - 1, size, 1 / over) < share + 1e-9
