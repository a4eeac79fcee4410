"""Rehearsals on a history: what fired, what surges would have been found, what caution the budget asks for."""

from __future__ import annotations

import numpy as np
import pytest

from metier.apps.monitor.detection.detectors import Settings
from metier.apps.monitor.detection.rehearsal import FACTORS, History, caution, evaluate
from metier.apps.monitor.detection.simulate import Simulation, Surges, World
from metier.apps.monitor.item import SeriesKey, Tick
from metier.errors import DataError

HOURLY = Settings(tick=3600.0, warm_up=7)
KEYS = [SeriesKey("oil"), SeriesKey("banks"), SeriesKey("*", "ACME")]


def history(days: int, surges: Surges | None = None, seed: int = 2) -> History:
    """Three series that share a clock and a stream."""
    ticks: dict[SeriesKey, list[Tick]] = {key: [] for key in KEYS}
    for start, counts, _ in Simulation(World(5.0, tick=3600.0, dispersion=1.5), 3, days * 24, seed, surges):
        total = int(counts.stories.sum()) * 3
        for at, key in enumerate(KEYS):
            row = [float(each[at]) for each in counts]
            ticks[key].append(Tick(start, int(row[0]), int(row[1]), sentiment=row[2], total=total))
    return History.of(ticks)


def test_a_rehearsal_says_what_fired_and_what_would_have_been_found() -> None:
    real = Surges(np.array([24 * 20, 10_000, 10_000]), 10_000, 12, 6.0)
    found = evaluate(HOURLY, history(27, real), copies=8)
    assert found.budget == 1.0
    assert found.series_months == pytest.approx(3 * 20 / 30, rel=0.1)
    assert any(one.series == KEYS[0] and 0 <= (one.start - 345_600) / 3600 - 480 <= 3 for one in found.episodes)
    three, six = found.caught
    assert (three.ratio, six.ratio) == (3.0, 6.0)
    assert six.surges > 20
    assert six.caught == 1.0
    assert six.median_delay <= three.median_delay <= 240


def test_a_history_full_of_surges_asks_for_caution() -> None:
    calm, rates = caution(HOURLY, history(35))
    wild, more = caution(HOURLY, history(35, Surges(np.full(3, 24 * 8), 48, 4, 2.5)))
    assert calm in FACTORS
    assert list(rates) == list(FACTORS)
    assert wild > calm
    assert more[wild] <= 1.0 or wild == FACTORS[-1]


def test_no_history_says_so() -> None:
    with pytest.raises(DataError, match="no history"):
        History.of({})


def test_a_series_without_a_tick_had_no_story() -> None:
    both = History.of({"a": [Tick(0, 3, 1, total=9), Tick(60, 2, 2, total=5)], "b": [Tick(60, 1, 0, total=5)]})
    assert both.counts[0, :, 1].tolist() == [0, 0, 0]
    assert both.totals.tolist() == [9, 5]
