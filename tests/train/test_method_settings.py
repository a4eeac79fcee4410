"""What each method fits."""

import pytest

from metier.errors import RecipeError
from metier.recipe import METHODS as NAMES
from metier.recipe import TrainPart
from metier.train.methods import METHODS, blank, epochs, frozen_layers


def test_the_recipe_knows_every_method():
    assert set(NAMES) == set(METHODS)


@pytest.mark.parametrize(("method", "layers"), [("full", 0), ("freeze", 3), ("head", 6), ("probe", 6)])
def test_frozen_layers(method, layers):
    assert frozen_layers(TrainPart(method=method), 6) == layers


def test_frozen_layers_by_hand():
    assert frozen_layers(TrainPart(method="freeze", frozen_layers=5), 6) == 5
    assert frozen_layers(TrainPart(method="full", frozen_layers=5), 6) == 0
    with pytest.raises(RecipeError, match="at most 6"):
        frozen_layers(TrainPart(method="freeze", frozen_layers=7), 6)


def test_epochs():
    assert epochs(TrainPart(epochs=2.5), 10) == 2.5
    low, high = METHODS["full"].epochs
    assert epochs(TrainPart(), 50) == high and epochs(TrainPart(), 10**7) == low
    assert low < epochs(TrainPart(), 15_000) < high
    assert epochs(TrainPart(method="probe"), 100) == 0


@pytest.mark.parametrize(
    ("settings", "rows", "labels", "smoothing", "found"),
    [
        ({"method": "full"}, 99, 2, 0.1, True),
        ({"method": "full"}, 100, 2, 0.1, False),
        ({"method": "lora"}, 99, 2, 0.1, True),
        ({"method": "full"}, 99, 2, 0.0, False),
        ({"method": "head"}, 99, 2, 0.1, False),
        ({"method": "full"}, 5, 0, 0.1, False),
        ({"method": "full", "head_start": "probe"}, 5, 2, 0.1, False),
        ({"method": "head", "head_start": "random"}, 5000, 0, 0.0, True),
    ],
)
def test_where_a_head_begins(settings, rows, labels, smoothing, found):
    assert blank(TrainPart(**settings), rows, labels, smoothing) is found
