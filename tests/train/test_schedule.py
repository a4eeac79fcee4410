"""Schedules as functions of progress."""

import pytest

from metier.train.schedule import scale

POINTS = [at / 100 for at in range(101)]


@pytest.mark.parametrize("shape", ["linear", "cosine", "constant"])
def test_warm_up_is_linear(shape):
    assert [scale(at, warmup=0.2, shape=shape) for at in (0, 0.05, 0.1)] == pytest.approx([0, 0.25, 0.5])
    assert scale(0.2, warmup=0.2, shape=shape) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_falls_to_nothing(shape):
    values = [scale(at, warmup=0.0, shape=shape) for at in POINTS]
    assert values[0] == 1 and values[-1] == pytest.approx(0) and values == sorted(values, reverse=True)
    assert values[50] == pytest.approx(0.5)


def test_constant():
    assert {scale(at, warmup=0.0, shape="constant") for at in POINTS} == {1.0}


def test_nothing_but_warm_up():
    assert scale(1.0, warmup=1.0, shape="linear") == 1.0
