"""The power law through the scores of fits on parts of the data."""

import numpy as np
import pytest

from metier.evaluate.learning_curve import Point, forecast


def law(rows, floor=0.04, slope=0.9, exponent=0.35):
    return 1 - (floor + slope * rows**-exponent)


def test_a_true_power_law_is_continued():
    points = [Point(rows, law(rows), 0.004) for rows in (250, 500, 1000)]
    found = forecast(points, [1000, 2000, 4000])
    for one in found:
        assert one.score == pytest.approx(law(one.rows), abs=0.012)
        assert one.low <= law(one.rows) <= one.high
    assert found[0].score < found[1].score < found[2].score
    assert found[2].high - found[2].low > found[0].high - found[0].low


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    held = []
    for trial in range(60):
        floor, exponent = generator.uniform(0, 0.15), generator.uniform(0.2, 0.6)
        points = [
            Point(rows, law(rows, floor, 1.0, exponent) + 0.01 * generator.standard_normal(), 0.01)
            for rows in (250, 500, 1000)
        ]
        (one,) = forecast(points, [2000], seed=trial)
        held.append(one.low <= law(2000, floor, 1.0, exponent) <= one.high)
    assert np.mean(held) >= 0.88


def test_scores_that_fall_are_not_taken_for_a_law():
    (one,) = forecast([Point(100, 0.8, 0.01), Point(200, 0.79, 0.01), Point(400, 0.78, 0.01)], [1600])
    assert one.score == pytest.approx(0.79, abs=0.01)
    (perfect,) = forecast([Point(100, 1.0), Point(200, 1.0)], [800])
    assert perfect.score == pytest.approx(1.0) and perfect.high == 1.0


def test_one_point_and_none():
    here, there = forecast([Point(500, 0.8, 0.01)], [500, 1000])
    assert here.score == pytest.approx(0.8) and 0.81 < there.score < 0.85 and there.high - there.low > 0.03
    with pytest.raises(ValueError, match="needs a point"):
        forecast([], [100])


def test_the_same_points_give_the_same_answer():
    points = [Point(10, 0.5, 0.1), Point(20, 0.6, 0.1)]
    assert forecast(points, [40, 80]) == forecast(points, [40, 80])
