import numpy as np
import pytest

from metier.evaluate import calibration


@pytest.fixture
def honest():
    rng = np.random.default_rng(0)
    score = rng.random(20_000) * 0.5 + 0.5
    return score, (rng.random(20_000) < score).astype(float)


def test_honest_scores_have_no_error(honest):
    for binning in ("mass", "width"):
        assert calibration.ece(*honest, binning=binning) < 0.02


def test_overconfidence_is_its_distance():
    score, correct = np.full(1000, 0.9), (np.arange(1000) < 700).astype(float)
    assert calibration.ece(score, np.random.default_rng(0).permutation(correct), bins=1) == pytest.approx(0.2)
    assert calibration.brier(score, correct) == pytest.approx(0.7 * 0.01 + 0.3 * 0.81)


def test_bins_hold_everything_once(honest):
    for binning in ("mass", "width"):
        assert sum(point["count"] for point in calibration.reliability(*honest, binning=binning)) == 20_000
    width = calibration.reliability(
        np.array([0.0, 0.05, 0.999, 1.0]), np.array([0.0, 0, 1, 1]), bins=15, binning="width"
    )
    assert [point["count"] for point in width] == [2, 2]


def test_risk_coverage_by_hand():
    score, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 1, 0, 1])
    curve = calibration.risk_coverage(score, correct)
    assert curve["coverage"] == [0.25, 0.5, 0.75, 1]
    assert curve["risk"] == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert calibration.aurc(score, correct) == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_ties_do_not_depend_on_the_order():
    score = np.full(100, 0.5)
    correct = (np.arange(100) < 60).astype(float)
    assert (
        calibration.aurc(score, correct) == pytest.approx(calibration.aurc(score, correct[::-1])) == pytest.approx(0.4)
    )
    assert calibration.risk_coverage(score, correct)["coverage"] == [1.0]


def test_the_floor_reaches_what_was_wished(honest):
    score, correct = honest
    found = calibration.floor_for(0.9, score, correct)
    kept = score >= found["floor"]
    assert correct[kept].mean() >= 0.9
    assert kept.mean() == pytest.approx(found["coverage"])
    assert calibration.floor_for(0.1, score, correct)["floor"] == 0
    assert calibration.floor_for(0.9, np.array([0.9]), np.array([0.0])) is None


def test_no_examples():
    nothing = np.zeros(0)
    found = calibration.summary(nothing, nothing)
    assert np.isnan(found["ece"])
    assert found["reliability"] == found["floors"] == found["risk_coverage"]["risk"] == []


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="must be"):
        calibration.ece(np.zeros(3), np.zeros(2))


def test_few_examples_get_few_bins():
    assert [calibration.bins_for(n) for n in (0, 19, 45, 80, 5000)] == [1, 1, 2, 4, 15]
    rng = np.random.default_rng(4)
    score = rng.uniform(0.5, 1.0, (200, 80))
    correct = (rng.uniform(size=score.shape) < score).astype(float)
    many, few = (
        np.mean([calibration.ece(s, c, bins=b) for s, c in zip(score, correct, strict=True)]) for b in (15, None)
    )
    assert few < 0.6 * many  # honest scores: what is counted as error here is luck
