import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import oas
from sklearn.metrics import roc_auc_score

from metier.errors import DataError, RunError
from metier.evaluate import refusal, signals
from metier.evaluate.combine import Learned, Ranks
from metier.evaluate.outside import ARRAYS, MOST, SETTINGS, Outside, _drawn
from metier.evaluate.refusal import Curve
from metier.evaluate.signals import Answers, Gaussians

WIDTH, CLASSES = 16, 6


def world(rng, count, outside=False):
    """Vectors around the axes of the classes, or of one class that nobody was told of; the logits of a fitted head."""
    classes = rng.integers(CLASSES, CLASSES + 4, count) if outside else rng.integers(0, CLASSES, count)
    vectors = 3.0 * np.eye(WIDTH)[classes] + 0.6 * rng.standard_normal((count, WIDTH))
    logits = 2.0 * vectors[:, :CLASSES]
    shares = np.exp(logits / 1.5 - (logits / 1.5).max(axis=1, keepdims=True))
    return Answers(vectors, shares / shares.sum(axis=1, keepdims=True), logits), classes


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    train, labels = world(rng, 600)
    return train.vectors, [f"c{one}" for one in labels], world(rng, 200), world(rng, 80, outside=True)[0]


def test_both_combinations_tell_unseen_outsiders(scene):
    vectors, labels, (held, gold), outside = scene
    rng = np.random.default_rng(1)
    inside, _ = world(rng, 300)
    strange, _ = world(rng, 300, outside=True)
    for examples in (None, outside):
        found = Outside.fit(vectors, labels, held, examples)
        own, other = (found.score(each.vectors, each.probabilities, each.logits) for each in (inside, strange))
        assert own.shape == (300,) and own.min() >= 0 and other.max() <= 1
        assert signals.auroc(own, other) > 0.97
        assert found.combination.describe()["kind"] == ("ranks" if examples is None else "learned")
        alone = [signals.auroc(found.signal(name, inside), found.signal(name, strange)) for name in signals.SIGNALS]
        assert min(alone) > 0.8
    curve = Outside.curve(own, np.ones(300), other)
    assert curve.auroc == pytest.approx(roc_auc_score([0] * 300 + [1] * 300, np.concatenate([own, other])))


def test_what_was_saved_scores_the_same(scene, tmp_path):
    vectors, labels, (held, _), outside = scene
    for examples in (None, outside):
        found = Outside.fit(vectors, labels, held, examples, names=("neighbours", "odds", "relative"))
        found.save(tmp_path)
        again = Outside.load(tmp_path)
        np.testing.assert_array_equal(
            found.score(held.vectors, held.probabilities), again.score(held.vectors, held.probabilities)
        )
        assert again.describe() == found.describe() == json.loads((tmp_path / SETTINGS).read_text())


def test_broken_files_and_those_of_another_run_are_one_clear_line(scene, tmp_path):
    vectors, labels, (held, _), _ = scene
    replace(Outside.fit(vectors, labels, held), run="abc").save(tmp_path)
    assert Outside.load(tmp_path, run="abc").run == "abc"
    with pytest.raises(RunError, match="the outside of run abc, not of xyz"):
        Outside.load(tmp_path, run="xyz")
    whole = (tmp_path / ARRAYS).read_bytes()
    (tmp_path / ARRAYS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="cannot be read"):
        Outside.load(tmp_path)
    (tmp_path / SETTINGS).write_text("[]")
    with pytest.raises(RunError, match="cannot be read"):
        Outside.load(tmp_path)
    (tmp_path / SETTINGS).unlink()
    with pytest.raises(RunError, match="is missing"):
        Outside.load(tmp_path)


def test_too_little_or_too_odd_is_refused(scene):
    vectors, labels, (held, _), outside = scene
    with pytest.raises(DataError, match="fewer than two labels"):
        Outside.fit(vectors, ["a"] * len(vectors), held)
    with pytest.raises(DataError, match="3 held-out texts"):
        Outside.fit(vectors, labels, held.rows(np.arange(3)))
    with pytest.raises(DataError, match="8 and 16 numbers"):
        Outside.fit(vectors, labels, Answers(held.vectors[:, :8], held.probabilities))
    with pytest.raises(DataError, match="no signal 'enropy'"):
        Outside.fit(vectors, labels, held, names=("enropy",))
    with pytest.raises(DataError, match="needs logits"):
        Outside.fit(vectors, labels, Answers(held.vectors, held.probabilities), outside, names=("energy",))
    with pytest.raises(DataError, match="no numbers"):
        Answers(np.full((2, 3), np.nan), np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"shape \(1, 2\)"):
        Answers(np.zeros((2, 3)), np.zeros((1, 2)))
    found = Outside.fit(vectors, labels, held)
    assert found.score(np.zeros((0, WIDTH)), np.zeros((0, CLASSES))).shape == (0,)


def test_neighbours_are_those_of_a_full_comparison(scene):
    vectors, _, (held, _), _ = scene
    bank, own = signals.unit(vectors), signals.unit(held.vectors)
    every = np.sort(np.linalg.norm(own[:, None] - bank[None], axis=2), axis=1)
    np.testing.assert_allclose(signals.nearest(own, bank, [1, 7, 9999]), every[:, [0, 6, -1]], atol=2e-3)


def test_distances_are_mahalanobis_with_the_covariance_of_oas(scene):
    vectors, labels, (held, _), _ = scene
    names, classes = np.unique(labels, return_inverse=True)
    means = np.stack([vectors[classes == one].mean(axis=0) for one in range(len(names))])
    own, every = Gaussians.fit(vectors, classes).distances(held.vectors)
    for found, centred, centres in (
        (own, vectors - means[classes], means),
        (every, vectors - vectors.mean(axis=0), vectors.mean(axis=0)[None]),
    ):
        inverse = np.linalg.inv(oas(centred, assume_centered=True)[0])
        gaps = held.vectors[:, None] - centres[None]
        np.testing.assert_allclose(found, np.einsum("ncw,wv,ncv->nc", gaps, inverse, gaps).min(axis=1), rtol=1e-6)


def test_a_flat_space_has_distances_too():
    vectors = np.zeros((40, 4))
    vectors[:, 0] = np.arange(40) % 2
    own, every = Gaussians.fit(vectors, np.arange(40) % 2).distances(vectors)
    assert np.isfinite(own).all() and np.isfinite(every).all()


def test_odds_part_what_a_float_calls_certain():
    sure = np.array([[1.0, 1e-9], [1.0, 1e-6], [0.5, 0.5]])
    found = signals.odds(sure)
    assert found[0] < found[1] < found[2] == 0
    assert signals.entropy(np.array([[0.25] * 4]))[0] == pytest.approx(np.log(4))
    assert signals.energy(np.array([[1000.0, 1000.0]]))[0] == pytest.approx(-1000 - np.log(2))


def test_a_class_is_kept_even_where_the_bank_is_full():
    classes = np.repeat([0, 1], [MOST + 5000, 50])
    kept = _drawn(classes, 13)
    assert len(kept) == MOST == len(set(kept.tolist()))
    assert (classes[kept] == 1).sum() == 50


def test_a_misleading_signal_gets_no_weight():
    rng = np.random.default_rng(3)
    inside, outside = rng.standard_normal((400, 2)), rng.normal([2, -1], 1, (40, 2))
    found = Learned.fit(("good", "bad"), inside, outside)
    assert found.weights[1] == 0 and found.weights[0] > 0.5
    assert found.score(outside).mean() > 0.7 > 0.3 > found.score(inside).mean()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(-20, 20), st.floats(0.01, 20))
def test_further_out_is_never_less_outside(known, value, more):
    ranks = Ranks.fit(("a",), np.array(known)[:, None])
    near, far = ranks.score(np.array([[value], [value + more]]))
    assert 0 <= near <= far <= 1


def test_a_refused_text_in_scope_counts_as_wrong():
    curve = Curve(np.array([0.1, 0.2, 0.3, 0.9]), np.array([1, 0, 1, 1]), np.array([0.25, 0.5, 0.95, 0.96]))
    found = curve.point(0.4)
    assert (found.in_scope_accuracy, found.out_of_scope_recall) == (0.5, 0.75)
    picked = curve.at(0.5)
    assert (picked.threshold, picked.in_scope_accuracy, picked.out_of_scope_recall) == (0.3, 0.5, 0.75)
    assert curve.at(0.75).out_of_scope_recall == 0.5
    with pytest.raises(DataError, match=r"80\.0% is out of reach.* 75\.0%"):
        curve.at(0.8)
    assert curve.auroc == 13 / 16
    table = curve.table(3)
    assert [point.in_scope_accuracy for point in table] == sorted(point.in_scope_accuracy for point in table)
    assert len(table) == 3 and table[-1].out_of_scope_recall == 0


def test_a_surer_wish_refuses_less_and_holds_for_others():
    rng = np.random.default_rng(5)
    missed = {0.0: 0, 1.64: 0}
    for _ in range(60):
        one, other = (Curve(rng.random(500), rng.random(500) < 0.97, rng.random(50) + 0.5) for _ in range(2))
        for sure in missed:
            missed[sure] += other.point(one.at(0.9, sure=sure).threshold).in_scope_accuracy < 0.9
    assert missed[0.0] > 15 > 12 > missed[1.64]


def test_without_examples_of_outside_the_curve_has_one_side():
    curve = Curve(np.array([0.1, 0.5]), np.array([1, 1]), np.zeros(0))
    assert curve.at(0.5).describe() == {"threshold": 0.1, "in_scope_accuracy": 0.5, "out_of_scope_recall": None}
    assert curve.describe()["auroc"] is None
    with pytest.raises(DataError, match="no text in scope"):
        Curve(np.zeros(0), np.zeros(0), np.zeros(0))


def test_the_picture_holds_every_curve_and_the_point():
    curve = Curve(np.linspace(0, 0.6, 50), np.arange(50) % 10 > 0, np.linspace(0.4, 1, 30))
    drawn = refusal.picture({"learned": curve, "odds": curve}, [curve.at(0.8)], title="a <title>")
    assert drawn.count("<polyline") == 2 and drawn.count('class="dot own"') == 1
    assert "范围外召回率" in drawn or "In-scope accuracy" in drawn
    assert "<title>" not in drawn
