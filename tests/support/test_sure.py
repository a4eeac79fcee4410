"""How sure an answer is: the fit, its prior, the curve, the threshold."""

from __future__ import annotations

from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest

from metier.apps.support.answer.known import features
from metier.apps.support.answer.sure import FEATURES, FEW, Sure, Trial, fitted
from metier.apps.support.curve import picture


def trials(count: int, good: float = 0.9, bad: float = 0.4, blur: float = 0.0, seed: int = 5) -> list[Trial]:
    """Questions with their answer there (its match is near) and without (the nearest is not)."""
    random = Random(seed)

    def row(cosine: float, lead: float) -> list[float]:
        near, ahead = cosine + random.gauss(0, 0.05), lead + random.gauss(0, blur)
        return [near, ahead, near / 2, near / 2, ahead, 0.0, 0.0]

    found = []
    for at in range(count):
        found.append(Trial([row(good, 0.4), row(bad, -0.4)], 0, f"entry {at}"))
        found.append(Trial([row(bad, 0.0), row(bad, 0.0)], None, f"entry {at}"))
    return found


def test_a_fit_tells_what_is_right():
    sure = fitted(trials(100), 0.95)
    scores = sure(np.array([[0.9, 0.4, 0.45, 0.45, 0.4, 0, 0], [0.4, 0.0, 0.2, 0.2, 0.0, 0, 0]]))
    assert scores[0] > 0.9 > 0.1 > scores[1]
    assert scores[0] >= sure.threshold > scores[1]


def test_the_threshold_gives_the_wanted_share_and_the_curve_goes_one_way():
    hard = trials(150, 0.62, 0.5, blur=0.2)
    sure = fitted(hard, 0.85)
    answered = [point.answered for point in sure.curve]
    thresholds = [point.threshold for point in sure.curve]
    assert answered == sorted(answered)
    assert thresholds == sorted(thresholds, reverse=True)
    assert fitted(hard, 0.97).threshold > sure.threshold
    above = [point for point in sure.curve if point.threshold >= sure.threshold]
    assert above[-1].right >= 0.85


def test_with_few_entries_the_prior_stands():
    sure = fitted(trials(FEW - 1), 0.99)
    assert (sure.weights, sure.bias, sure.threshold, sure.rows) == (Sure().weights, Sure().bias, 0.5, 0)
    assert fitted([], 0.9) == Sure()


def test_few_trials_move_the_prior_less_than_many():
    rows = np.array([[0.62, 0.1, 0.2, 0.3, 0.1, 0.0, 0.0]])

    def moved(count: int) -> float:
        return abs(float(fitted(trials(count, 0.62, 0.5), 0.9)(rows)[0] - Sure()(rows)[0]))

    assert moved(FEW) < moved(40 * FEW)


def test_features_that_never_change_break_nothing():
    same = [Trial([[0.5] * FEATURES], 0 if at % 2 else None, str(at)) for at in range(60)]
    sure = fitted(same, 0.9)
    assert np.isfinite(sure(np.array([[0.5] * FEATURES]))).all()
    assert sure(np.array([[0.5] * FEATURES]))[0] < sure.threshold, "half of it is right, which is not enough"


def test_it_is_kept_and_read():
    sure = fitted(trials(40), 0.9)
    assert Sure.of(sure.describe()) == sure


@pytest.mark.parametrize("count", [FEW, 100])
def test_the_picture_is_whole_and_marks_the_threshold(count):
    drawn = ElementTree.fromstring(picture(fitted(trials(count), 0.9), 0.9))
    looks = [one.get("class", "") for one in drawn.iter()]
    assert "line own" in looks or "dot own" in looks
    assert "dot chosen" in looks
    assert picture(Sure(), 0.9) == ""


def test_a_text_without_a_vector_is_compared_by_its_terms():
    read = features("转账多久到账", [("转账多久到账", 0.0), ("怎么开户", 0.0)])
    assert read[0][0] == pytest.approx(1.0)
    assert read[1][0] < 0.3
    assert read[0][1] > 0.7 > 0 > read[1][1]
    seen = features("how long", [("how long", 0.8), ("how much", 0.5)])
    assert [row[0] for row in seen] == [0.8, 0.5]
