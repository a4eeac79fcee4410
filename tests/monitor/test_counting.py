"""Counting by the documents' own time: nothing twice, nothing of an open tick lost, the same from any restart."""

from __future__ import annotations

import json
from collections import Counter as Bag

import pytest
from hypothesis import given
from hypothesis import strategies as some

from metier.apps.monitor.counting import IDLE, Closed, Counter
from metier.apps.monitor.item import Item, Mention, SeriesKey, Tick, Understood
from metier.types import Prediction

TICK, LATENESS = 900.0, 600.0


def said(label: str = "negative", score: float = 0.9) -> Prediction:
    rest = (1 - score) / 2
    return Prediction(label, score, probabilities={"negative": rest, "neutral": rest, "positive": rest, label: score})


def document(time: float, topic: str = "deals", label: str = "negative", score: float = 0.9) -> Understood:
    item = Item(f"{time}", "Sales fall", time, time)
    return Understood(item, [Prediction(topic, 0.9)], said(label, score))


def close(counter: Counter, time: float) -> list[Closed]:
    return list(counter.pass_(time))


def test_a_tick_closes_when_the_watermark_has_passed_its_end() -> None:
    counter = Counter(TICK, LATENESS)
    assert close(counter, 10_000.0) == []
    assert counter.count(document(10_000.0), True, {"acme": ["acme"]}) == 9900.0
    assert close(counter, 10_800 + LATENESS - 1) == [Closed(9000.0, {}, 0)]
    assert close(counter, 10_100.0) == []
    (closed,) = close(counter, 10_800 + LATENESS)
    assert closed.start == 9900.0 and closed.total == 1
    assert set(closed.ticks) == {
        SeriesKey(), SeriesKey("deals"), SeriesKey(company="acme"), SeriesKey("deals", "acme"),
    }  # fmt: skip
    assert closed.ticks[SeriesKey()] == Tick(9900.0, 1, 1, 0, pytest.approx(0.05 - 0.9), 1, 1)
    assert counter.count(document(10_000.0), True) is None  # too late


def test_copies_raise_the_heat_alone_and_the_unsure_are_not_neutral() -> None:
    counter = Counter(TICK, LATENESS)
    close(counter, 1000.0)
    counter.count(document(1000.0), True)
    counter.count(document(1001.0), False)
    counter.count(document(1002.0, score=0.4), True)
    tick = dict(counter.changed())[SeriesKey()]
    assert (tick.stories, tick.negatives, tick.uncertain, tick.heat, tick.total) == (2, 1, 1, 3, 2)
    assert counter.changed() == []


def test_a_company_is_counted_by_what_is_said_of_it() -> None:
    one = document(1000.0, label="positive")
    mentions = [
        Mention("warns", 0, 5, "Warns", "exact", sentiment=said("negative", 0.8)),
        Mention("other", 9, 12, "O", ""),
    ]
    counter = Counter(TICK, LATENESS)
    close(counter, 1000.0)
    counter.count(
        Understood(one.item, one.topics, one.sentiment, mentions), True, {"warns": ["warns"], "other": ["other"]}
    )
    found = dict(counter.changed())
    assert found[SeriesKey(company="warns")].negatives == 1
    assert found[SeriesKey(company="other")].negatives == found[SeriesKey()].negatives == 0


def test_a_long_silence_is_left_out() -> None:
    counter = Counter(TICK, LATENESS)
    close(counter, 0.0)
    counter.count(document(0.0), True)
    ticks = close(counter, 365 * 86_400.0)
    assert len(ticks) == IDLE + 2 and counter.begin == counter.start_of(counter.watermark)
    counter.count(document(365 * 86_400.0), True)
    assert close(counter, 365 * 86_400.0 + 2 * TICK)[0].total == 0  # the tick that the watermark was in


@given(
    some.lists(some.tuples(some.floats(0, 20_000), some.sampled_from(["a", "b"])), max_size=60), some.integers(0, 60)
)
def test_every_document_counts_once_or_is_late_and_a_restart_changes_nothing(
    stream: list[tuple[float, str]], cut: int
) -> None:
    def run(restart: bool) -> tuple[list[Closed], int]:
        counter, closed, late, rows = Counter(TICK, LATENESS), [], 0, {}
        for at, (time, topic) in enumerate(stream):
            if restart and at == cut:
                state = json.loads(json.dumps(counter.state()))
                counter = Counter(TICK, LATENESS)
                counter.restore(state, [(series, tick) for (series, _), tick in rows.items()])
            closed += counter.pass_(time)
            late += counter.count(document(time, topic), True) is None
            rows.update({(series, tick.start): tick for series, tick in counter.changed()})
        closed += counter.pass_(1e6)
        return closed, late

    closed, late = run(False)
    assert (closed, late) == run(True)
    assert sum(one.total for one in closed) + late == len(stream)
    counted = Bag[str]()
    for one in closed:
        counted.update({series.topic: tick.stories for series, tick in one.ticks.items() if series.topic != "*"})
    assert counted.total() == len(stream) - late
    starts = [one.start for one in closed]
    assert starts == sorted(set(starts))


def test_what_is_a_little_late_counts_in_the_first_open_tick() -> None:
    counter = Counter(TICK, LATENESS, grace=3600.0)
    close(counter, 100_000.0)
    assert counter.count(document(counter.begin - 3599), True) == counter.begin
    assert counter.count(document(counter.begin - 3601), True) is None
