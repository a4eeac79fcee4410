"""Documents to predictions: order, windows, floors."""

import numpy as np
import pytest
import toy

import metier
from metier.errors import DataError
from metier.types import Document


@pytest.fixture(scope="module")
def model(toy_run):
    return metier.load(toy_run)


def test_order_and_batching_change_nothing(model):
    texts = [" ".join(toy.FILLER[: at % 9]) + f" Berlin {at}" for at in range(40)]
    together = model.predict(texts)
    for text, expected in zip(texts[::7], together[::7], strict=True):
        (found,) = model.predict(text)
        assert found["place"].label == expected["place"].label
        assert found["place"].score == pytest.approx(expected["place"].score, abs=1e-5)
        assert dict(found["place"].probabilities) == pytest.approx(dict(expected["place"].probabilities), abs=1e-5)


def test_nothing_in_nothing_out(model):
    assert model.predict([]) == []
    assert len(model.predict("")) == 1


def test_strings_and_documents(model):
    found = model.predict(["Berlin gains", Document("Berlin gains"), Document("Berlin  gains\x00")])
    assert found[0] == found[1] == found[2]
    with pytest.raises(DataError, match="a string for each text"):
        model.predict([("Berlin gains", "Oslo falls")])


def test_only_some_heads(model):
    assert set(model.predict("Berlin", heads=["place"])[0]) == {"place"}


def test_floors(model):
    runtime = model.runtime
    floors, runtime.floors = runtime.floors, {"place": 1.01, "sentiment": 0.0}
    (found,) = model.predict("Berlin gains")
    runtime.floors = floors
    assert found["place"].abstain and not found["sentiment"].abstain


def test_windows_are_merged(model):
    text = " ".join(f"Berlin gains {word}" for word in toy.FILLER * 3)
    table_calls = model.runtime.tokeniser.rows([Document(text)])
    assert len(table_calls) > 2 and table_calls.truncated == 0
    (found,) = model.predict(text)
    assert found["place"].label == "Berlin"


def test_the_mean_of_windows_is_weighted_by_their_length(model):
    from metier.models.table import Table

    runtime = model.runtime
    text = " ".join(toy.FILLER * 4)
    table = Table.of([Document(text)], runtime.tokeniser, runtime.tasks)
    merged = runtime.logits(table)["place"][0]
    network = runtime.network.eval()
    rows = [network(table.plain(np.array([row])))["place"][0].detach().numpy() for row in range(len(table.rows))]
    expected = np.average(rows, axis=0, weights=table.rows.lengths)
    np.testing.assert_allclose(merged, expected, atol=1e-5)
