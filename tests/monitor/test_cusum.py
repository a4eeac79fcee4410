"""Evidence: its formulas against plain ones, what it does with thresholds; the automaton against a plain Viterbi."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import nbinom

from metier.apps.monitor.detection import bursts
from metier.apps.monitor.detection.cusum import Evidence, evidence, log_gamma

ONE = np.ones(1)
LIVE = np.ones(1, dtype=bool)


@given(st.floats(1e-9, 1e7))
def test_log_gamma(x: float) -> None:
    assert log_gamma(np.array([x]))[0] == pytest.approx(gammaln(x), rel=1e-9, abs=1e-9)


@given(st.integers(0, 200), st.floats(0.01, 60), st.floats(0.05, 8), st.floats(1.2, 8))
def test_with_clusters_it_is_the_ratio_of_two_negative_binomials(y: int, mean: float, extra: float, k: float) -> None:
    found = evidence(np.array([float(y)]), mean * ONE, extra * ONE, 0 * ONE, [k])[0, 0]
    plain = [nbinom.logpmf(y, m / extra, 1 / (1 + extra)) for m in (k * mean, mean)]
    assert found == pytest.approx(plain[0] - plain[1], rel=1e-6, abs=1e-6)


@given(st.integers(0, 200), st.floats(0.01, 60), st.floats(0.05, 3), st.floats(1.2, 8))
def test_with_growth_alone_it_is_the_line_of_hoehle_and_paul(y: int, mean: float, growth: float, k: float) -> None:
    found = evidence(np.array([float(y)]), mean * ONE, 0 * ONE, growth * ONE, [k])[0, 0]
    size = 1 / growth
    slope, fall = np.log(k * (mean + size) / (k * mean + size)), size * np.log((k * mean + size) / (mean + size))
    assert found == pytest.approx(y * slope - fall, rel=1e-6, abs=1e-4)


def run(
    sums: Evidence, said: list[float], threshold: float, live: list[bool] | None = None
) -> list[tuple[float, bool]]:
    found = []
    for at, value in enumerate(said):
        flag = np.array([live[at] if live else True])
        step = sums.step(float(at), np.full((1, 1), value), np.full((1, 1), threshold), flag)
        found.append((float(step.statistic[0, 0]), bool(step.on[0, 0])))
    return found


def test_a_surge_begins_at_the_threshold_and_ends_when_half_is_gone() -> None:
    sums = Evidence(1, [0.5], np.inf)
    found = run(sums, [-1, 2, 2, 2, 9, -1, -1, -1, 1], threshold=5)
    assert [on for _, on in found] == [False, False, False, True, True, True, True, False, False]
    assert found[-1][0] == 1  # what has ended begins at zero
    assert sums["since"][0] == 8


def test_since_is_the_first_tick_after_the_last_zero() -> None:
    sums = Evidence(1, [0.5], np.inf)
    run(sums, [3, -9, -1, 1, 3, 3], threshold=5)
    assert sums["since"][0] == 3


def test_what_nothing_speaks_for_is_over() -> None:
    found = run(Evidence(1, [0.0], patience=3), [6, -0.1, -0.1, -0.1, -0.1], threshold=5)
    assert [on for _, on in found] == [True, True, True, False, False]


def test_in_a_gap_sums_stand_still_and_then_are_forgotten() -> None:
    sums = Evidence(1, [0.5], patience=3)
    found = run(sums, [3, 9, 9, 9, 1], threshold=5, live=[True, False, False, False, True])
    assert [value for value, _ in found] == [3, 3, 3, 3, 1]
    assert not any(on for _, on in found)


def kleinberg(ratios: np.ndarray, gamma: float) -> list[int | None]:
    """Forward Viterbi with back pointers; after each tick the newest state on which both survivors agree."""
    costs, paths, found = [0.0, gamma], [[0], [1]], []
    for at, ratio in enumerate(ratios):
        own = (0.0, -ratio)
        if at == 0:
            costs = [own[0], gamma + own[1]]
        else:
            ways = [
                min((costs[0], 0), (costs[1], 1)),
                min((costs[0] + gamma, 0), (costs[1], 1)),
            ]
            paths = [paths[ways[0][1]] + [0], paths[ways[1][1]] + [1]]
            costs = [ways[0][0] + own[0], ways[1][0] + own[1]]
        # what both survivors agree on, newest first
        agreed = next((a for a, b in zip(reversed(paths[0]), reversed(paths[1]), strict=True) if a == b), None)
        found.append(agreed)
    return found


@given(st.lists(st.floats(-3, 3).map(lambda x: round(x, 2) + 0.003), min_size=1, max_size=40), st.floats(1, 6))
def test_the_automaton_decides_as_plain_viterbi_does(ratios: list[float], gamma: float) -> None:
    """Survivors that merge do so one tick before they are seen to: the next tick's pointers say it."""
    said = bursts.decided(np.array(ratios), gamma)
    plain = kleinberg(np.array([*ratios, 0.0]), gamma)[1:]
    for state, agreed in zip(said, plain, strict=True):
        assert bool(state) == bool(agreed or 0)
