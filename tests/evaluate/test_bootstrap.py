import numpy as np
import pytest

from metier.evaluate import bootstrap


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def counts(right):
    right = np.asarray(right, dtype=float)
    return np.stack([right, np.ones(len(right))], axis=1)


def test_interval_is_that_of_the_binomial():
    low, high = bootstrap.interval(counts(np.arange(2000) < 1800), accuracy, resamples=4000, seed=3)
    spread = 1.96 * np.sqrt(0.9 * 0.1 / 2000)
    assert low == pytest.approx(0.9 - spread, abs=0.002)
    assert high == pytest.approx(0.9 + spread, abs=0.002)


def test_grouping_equal_rows_is_the_plain_bootstrap():
    rng = np.random.default_rng(0)
    statistics = rng.integers(0, 3, (300, 2)).astype(float) + np.array([0, 1])
    plain = [accuracy(statistics[rng.integers(0, 300, 300)].sum(axis=0)) for _ in range(4000)]
    found = bootstrap.interval(statistics, accuracy, resamples=4000)
    assert found == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=0.01)


def test_same_seed_same_interval_and_chunks_do_not_matter(monkeypatch):
    statistics = counts(np.arange(50) % 3 > 0)
    found = bootstrap.interval(statistics, accuracy, seed=5)
    monkeypatch.setattr(bootstrap, "_CELLS", 7)
    assert bootstrap.interval(statistics, accuracy, seed=5) == found


def test_nothing_to_resample():
    assert np.isnan(bootstrap.interval(np.zeros((0, 2)), accuracy)).all()


def test_paired_sees_a_small_but_steady_difference():
    a = np.ones(500)
    b = np.ones(500)
    b[:20] = 0
    found = bootstrap.paired(counts(a), counts(b), accuracy)
    assert found["difference"] == pytest.approx(0.04)
    assert found["p_value"] < 0.01
    assert found["interval"][0] > 0


def test_paired_of_equals_is_no_difference():
    right = counts(np.arange(100) % 4 > 0)
    found = bootstrap.paired(right, right, accuracy)
    assert (found["difference"], found["p_value"]) == (0, 1)


def test_paired_p_values_are_uniform_under_chance():
    rng = np.random.default_rng(1)
    values = [
        bootstrap.paired(counts(rng.random(200) < 0.7), counts(rng.random(200) < 0.7), accuracy, resamples=300)[
            "p_value"
        ]
        for _ in range(200)
    ]
    assert 0.01 <= np.mean(np.array(values) < 0.05) <= 0.12


def test_paired_refuses_different_documents():
    with pytest.raises(ValueError, match="shape"):
        bootstrap.paired(counts(np.ones(3)), counts(np.ones(4)), accuracy)
