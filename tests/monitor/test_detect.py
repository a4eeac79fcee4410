"""The detectors: surges, volumes, gaps, levels, memory; the same bits alone or together, in one go or read back."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.detection.baseline import DAY, Calendar
from metier.apps.monitor.detection.detectors import Detectors, Settings
from metier.apps.monitor.detection.signals import NAMES, picture
from metier.apps.monitor.detection.simulate import MONDAY, Counts, Simulation, Surges, World
from metier.apps.monitor.item import SeriesKey, Tick
from metier.errors import DataError, RecipeError

HOURLY = Settings(tick=3600.0, warm_up=7)
WORLD = World(4.0, tick=3600.0, dispersion=1.5)


def fed(bank: Detectors, ticks: int, seed: int = 3, surges: Surges | None = None, world: World = WORLD) -> list:
    """The signals of a bank over a simulated stretch."""
    count = len(bank.places)
    return [bank.update(*each) for each in Simulation(world, count, ticks, seed, surges)]


def many(count: int, config: Settings = HOURLY) -> Detectors:
    return Detectors(config, range(count), count)


# -- surges ---------------------------------------------------------------------------------------------------------
def test_surges_are_found_told_when_they_began_and_over_when_they_end() -> None:
    begin = 24 * 21 + 5
    signals = fed(many(30), 24 * 24, surges=Surges(np.full(30, begin), 10_000, 12, 5.0))
    firing = np.stack([each.firing for each in signals])
    assert firing[begin : begin + 4].any(axis=0).all()
    assert firing[: begin - 1].sum(axis=0).astype(bool).mean() < 0.9
    place = int(np.flatnonzero(firing[begin + 3] & ~firing[begin - 1])[0])
    told = signals[begin + 3].of(place)
    assert told.firing
    assert told.since is not None
    assert abs(told.since - (MONDAY + begin * 3600)) <= 3 * 3600
    assert told.observed > told.high
    assert firing[begin + 24].mean() < 0.1


def test_while_it_warms_up_a_series_has_no_threshold_and_does_not_fire() -> None:
    bank = many(5)
    signals = fed(bank, 24 * 8, surges=Surges(np.full(5, 100), 10_000, 12, 10.0))
    assert not any(each.firing.any() for each in signals[: 24 * 7])
    assert signals[50].of(0).threshold == {}
    assert set(signals[-1].of(0).threshold) == set(NAMES)
    assert bank.warming(0) == 0.0
    assert many(1).warming(0) == 7.0


def steady(bank: Detectors, ticks: int, start: float, seed: int = 1, **level: float) -> list:
    """One series with Poisson counts: `negatives` of its own, `rest` of the stream, in a tick."""
    draw, found = np.random.default_rng(seed), []
    for at in range(ticks):
        negatives, rest = draw.poisson(level["negatives"]), draw.poisson(level["rest"])
        tone = -0.7 * negatives
        tick = {"x": Tick(start, int(negatives), int(negatives), sentiment=float(tone))}
        found.append(bank.tick(start + at * bank.settings.tick, tick, int(negatives + rest)))
    return found


def warm(config: Settings, days: int = 28, **level: float) -> tuple[Detectors, float]:
    bank = Detectors(config)
    ticks = int(days * DAY / config.tick)
    steady(bank, ticks, MONDAY, **level)
    return bank, MONDAY + ticks * config.tick


def test_a_stream_that_doubles_does_not_alarm_but_with_counts_alone_it_does() -> None:
    for share in (True, False):
        bank, now = warm(Settings(tick=3600.0, share=share), negatives=6, rest=24)
        after = steady(bank, 24, now, seed=2, negatives=14, rest=56)
        assert any(each.firing[0] for each in after) is not share


def test_a_share_that_jumps_on_the_first_day_after_weeks_of_gap_alarms() -> None:
    for told in (True, False):
        bank, now = warm(Settings(tick=3600.0), negatives=4, rest=36)
        for at in range(24 * 21 if told else 0):
            bank.tick(now + at * 3600, {}, 0)
        later = now + 24 * 21 * 3600
        quiet = steady(bank, 24, later, seed=3, negatives=2, rest=18)
        assert not any(each.firing[0] for each in quiet)
        jump = steady(bank, 8, later + 24 * 3600 * 14, seed=4, negatives=16, rest=30)
        assert any(each.firing[0] for each in jump)


def test_a_gap_is_neither_learned_nor_counted_as_silence() -> None:
    bank, now = warm(Settings(tick=3600.0), negatives=4, rest=36)
    age, due = bank.stream["age"][0], bank.baseline["slow_due"][0]
    live = [bool(bank.tick(now + at * 3600, {}, 0).live[0]) for at in range(100)]
    assert sum(live) <= 1
    assert bank.stream["age"][0] - age <= 3600
    assert bank.baseline["slow_due"][0] == pytest.approx(due, rel=0.03)
    told = bank.tick(now + 100 * 3600, {"x": Tick(0, 4, 4)}, 40, open_=False)
    assert not told.live[0]


def test_nights_in_which_nothing_ever_came_are_silence_and_no_gap() -> None:
    bank = Detectors(Settings(tick=3600.0))
    draw, live = np.random.default_rng(5), []
    for at in range(24 * 28):
        busy = 7 <= at % 24 < 20
        count = int(draw.poisson(5)) if busy else 0
        signal = bank.tick(MONDAY + at * 3600, {"x": Tick(0, count, count)}, count * 5)
        live.append(bool(signal.live[0]))
    assert np.mean(live[24 * 14 :]) > 0.97
    night = bank.baseline.calendar.cell(MONDAY + 2 * 3600)
    assert bank.stream.expect(night, 1 / 24).mean[0] < 2.5


def test_a_surge_without_end_is_the_new_level() -> None:
    bank, now = warm(Settings(tick=3600.0, longest=3), negatives=5, rest=40)
    after = steady(bank, 24 * 14, now, seed=6, negatives=20, rest=40)
    firing = [bool(each.firing[0]) for each in after]
    assert any(firing[:6])
    assert not any(firing[24 * 5 :])
    assert after[-1].expected[0] == pytest.approx(20, rel=0.3)


def test_a_turn_of_the_tone_is_a_signal_of_its_own() -> None:
    bank = Detectors(Settings(tick=3600.0))
    draw = np.random.default_rng(8)
    for at in range(24 * 30):
        tone = 0.1 if at < 24 * 29 else -0.5
        tick = Tick(0, 10, 3, sentiment=float(10 * tone + draw.normal(0, 1.2)))
        signal = bank.tick(MONDAY + at * 3600, {"x": tick}, 60).of(0)
        if signal.firing:
            break
    assert signal.firing == ("shift",)
    assert 24 * 29 <= at < 24 * 29 + 12


def test_a_company_never_heard_of_may_fire_when_the_stream_is_warm() -> None:
    bank, now = warm(Settings(tick=3600.0), negatives=4, rest=36)
    bank.add("new", silent=True)
    bank.add("late")
    ticks = {name: Tick(0, 5, 5, sentiment=-3.5) for name in ("new", "late")}
    signals = [bank.tick(now + at * 3600, ticks, 50) for at in range(4)]
    assert any(each.firing[1] for each in signals)
    assert not any(each.firing[2] for each in signals)


def test_daily_ticks_find_a_bad_day() -> None:
    config = Settings(tick=DAY, calendar=Calendar("America/New_York", frozenset(range(5))), warm_up=20)
    bank, draw = Detectors(config), np.random.default_rng(9)
    fired = []
    for day in range(200):
        busy = 0.4 if day % 7 >= 5 else 1.0
        negatives, rest = draw.poisson([6 * busy * (4 if day >= 198 else 1), 16 * busy])
        tick = Tick(0, int(negatives + rest), int(negatives), sentiment=float(0.2 * rest - 0.7 * negatives))
        fired.append(bool(bank.tick(MONDAY + day * DAY, {"*": tick}, int(negatives + rest)).firing[0]))
    assert fired[198] or fired[199]
    assert np.diff(np.array(fired[:198]).astype(int)).clip(0).sum() <= 12  # one a month


# -- the same bits ----------------------------------------------------------------------------------------------------
def same(one: list, other: list) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        for a, b in zip(one, other, strict=True)
        for name in ("live", "expected", "variance", "statistic", "threshold", "on", "since")
    )


@settings(max_examples=4)
@given(cut=st.integers(1, 24 * 12), seed=st.integers(0, 99))
def test_a_bank_that_is_read_back_goes_on_to_the_same_bits(cut: int, seed: int) -> None:
    feed = list(Simulation(WORLD, 3, 24 * 12, seed, Surges(np.array([200, 230, 260]), 10_000, 12, 6.0)))
    whole, half = many(3), many(3)
    told = [whole.update(*each) for each in feed]
    first = [half.update(*each) for each in feed[:cut]]
    back = Detectors.from_state(HOURLY, json.loads(json.dumps(half.state())), streams=3)
    assert same(told, first + [back.update(*each) for each in feed[cut:]])


def test_a_series_alone_is_what_it_is_among_many() -> None:
    feed = list(Simulation(WORLD, 9, 24 * 10, 4))
    together = many(9)
    told = [together.update(*each) for each in feed]
    for place in (0, 8):
        alone = Detectors(HOURLY, ["only"])
        for (start, counts, total), all_ in zip(feed, told, strict=True):
            one = alone.update(start, Counts(*(row[place : place + 1] for row in counts)), total[place : place + 1])
            assert one.expected[0] == all_.expected[place]
            assert np.array_equal(one.statistic[:, 0], all_.statistic[:, place])


def test_one_column_is_all_that_is_remembered_of_a_series_and_it_never_grows() -> None:
    bank = Detectors(HOURLY, [SeriesKey("oil"), SeriesKey("*", "ACME")], 2)
    sizes = set()
    for start, counts, total in Simulation(WORLD, 2, 24 * 9, 4):
        bank.update(start, counts, total)
        sizes.add(len(bank.column(SeriesKey("oil"))))
    assert sizes == {8 * bank.width}
    assert 8 * bank.width < 1400
    back = Detectors.from_state(HOURLY, json.loads(json.dumps(bank.state())), streams=2)
    assert list(back.places) == list(bank.places)
    with pytest.raises(DataError, match="has 3 numbers"):
        back.restore("x", b"\0" * 24)


def test_ticks_come_in_order() -> None:
    bank = many(1)
    fed(bank, 3)
    with pytest.raises(DataError, match="comes after"):
        bank.tick(MONDAY, {}, 0)


def test_settings_that_cannot_be_say_so() -> None:
    with pytest.raises(RecipeError, match="tick is 0"):
        Settings(tick=0)
    with pytest.raises(RecipeError, match="budget"):
        Settings(false_alarms="few")


def test_the_picture_of_a_series_is_columns_of_one_length() -> None:
    signals = [each.of(0) for each in fed(many(1), 24 * 8)]
    drawn = picture(signals)
    assert {len(column) for column in drawn.values()} == {24 * 8}
    assert drawn["cusum_threshold"][0] is None
    assert drawn["cusum_threshold"][-1] > 0
    assert all(low <= high for low, high in zip(drawn["low"], drawn["high"], strict=True))
    json.dumps(drawn)
    json.dumps([asdict(each) for each in signals])


def test_the_band_holds_ninety_five_of_a_hundred_counts() -> None:
    bank = many(20)
    signals = fed(bank, 24 * 35)[24 * 28 :]
    inside = []
    for each in signals:
        low, high = each.band(range(len(each.observed)))
        inside.append((each.observed >= low) & (each.observed <= high))
    assert 0.93 < np.mean(inside) < 0.995


def test_a_topic_with_companies_has_one_budget_and_a_restart_keeps_its_parts() -> None:
    names = [SeriesKey(), SeriesKey("fraud"), SeriesKey("fraud", "acme")]
    shared, alone = (
        Detectors(Settings(tick=3600.0, warm_up=1.0, false_alarms=f"1 per {whose} per 30 days"), names)
        for whose in ("topic", "series")
    )

    def feed(bank: Detectors, hours: range) -> list[float]:
        found: list[float] = []
        for hour in hours:
            ticks = {name: Tick(hour * 3600.0, stories=4, negatives=1 + hour % 2) for name in names}
            if hour > 80:  # a series that is new within a day is given its part, too
                ticks[SeriesKey("fraud", "brix")] = Tick(hour * 3600.0, stories=1)
            found = bank.tick(hour * 3600.0, ticks, 20).threshold[0].tolist()
        return found

    one, own = feed(shared, range(1, 79)), feed(alone, range(1, 79))
    assert one[0] == own[0], "the whole stream is of no topic"
    assert one[1] > own[1] + 0.3 and one[2] > own[2] + 0.3
    order = json.loads(json.dumps(shared.state()))
    again = Detectors.from_state(shared.settings, {**order, "series": order["series"][::-1]})
    rest, anew = feed(shared, range(79, 130)), feed(again, range(79, 130))
    places = {name: anew[place] for name, place in again.places.items()}
    assert rest == [places[name] for name in shared.places]
