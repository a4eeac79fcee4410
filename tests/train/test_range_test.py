"""The range test on a bowl whose best rates are known, and on shapes of curves."""

import numpy as np
import pytest
import torch
from torch import nn

from metier.train import loop
from metier.train.optimiser import Optimiser
from metier.train.range_test import SKIPPED, Curve, range_test


class Bowl(nn.Module):
    """A quadratic loss, least at 0, from weights of 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))


class Rows:
    def plan(self, epoch):
        return [np.array([epoch * 3 + place]) for place in range(3)]

    def batch(self, units):
        return units


def bowl(seen=None):
    network = Bowl()

    def objective(units):
        if seen is not None:
            seen.append(int(units[0]))
        yield (network.weight**2).sum()

    settings = loop.Settings(epochs=1, clip=1e9)
    return network, loop.Fit(network, Optimiser(network, lr=1e-3), Rows(), objective, None, settings)


def test_rates_rise_by_one_factor_and_batches_go_on_over_epochs():
    seen = []
    _, fit = bowl(seen)
    curve = range_test(fit, 1e-6, 1e-3, steps=13)
    ratios = curve.rates[1:] / curve.rates[:-1]
    assert curve.rates[0] == pytest.approx(1e-6) and curve.rates[-1] == pytest.approx(1e-3)
    assert np.allclose(ratios, ratios[0]) and seen == list(range(13))


def test_the_steepest_fall_is_found_where_adam_crosses_the_bowl():
    _, fit = bowl()
    curve = range_test(fit, 1e-5, 10.0)
    # Adam moves by about a rate an update: the weights of 1 are gone when the rates add up to 1
    assert 0.01 < curve.steepest < 0.5
    assert curve.steepest / 20 < curve.tenth < curve.steepest


def test_it_stops_where_the_loss_explodes():
    network, fit = bowl()
    curve = range_test(fit, 1e-4, 1e4)
    assert curve.rates[-1] < 1e3 and np.isfinite(curve.losses).all()
    assert torch.isfinite(network.weight).all()


def test_a_loss_that_never_falls_suggests_nothing():
    rates = np.geomspace(1e-5, 1e-1, 30)
    assert Curve(rates, np.linspace(1.0, 2.0, 30)).steepest is None
    assert Curve(rates[:4], np.ones(4)).steepest is None and Curve(rates[:SKIPPED], np.ones(SKIPPED)).tenth is None


def test_the_ends_must_be_in_order():
    _, fit = bowl()
    with pytest.raises(ValueError, match="rise"):
        range_test(fit, 1e-3, 1e-3)
