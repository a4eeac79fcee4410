"""One forward pass a document: topics, sentiment and the vector come from it together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import metier
from metier.apps.monitor.item import Item
from metier.apps.monitor.understand import Heads, Reader
from metier.errors import RecipeError
from metier.pipeline.optimise.optimise import optimise
from metier.pipeline.watch import Silent

ITEMS = [Item(str(at), text, 0.0, 0.0) for at, text in enumerate(["profit rises", "profit falls " * 40, "a"])]


@pytest.fixture(scope="module")
def small(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "run"
    asked = {"precision": "fp32", "engines": ("onnxruntime",), "tolerance": 100.0}
    return optimise(toy_run, out, asked, Silent()).path


def test_everything_comes_from_one_pass(toy_run: Path, small: Path) -> None:
    heads = Heads(topic="place", sentiment="sentiment")
    for run in (toy_run, small):
        model = metier.load(run, threads=1)
        reader = Reader(model, heads)
        found = [reading.understood for reading in reader(ITEMS)]
        assert reader.passes == len(ITEMS)
        plain = model.predict([item.text for item in ITEMS])
        assert [one.sentiment.label for one in found] == [row["sentiment"].label for row in plain]
        assert [one.topics[0].label for one in found] == [row["place"].label for row in plain]
        assert all(np.linalg.norm(one.vector) > 0 for one in found)


def test_engines_give_the_same_vectors(toy_run: Path, small: Path) -> None:
    heads = Heads(topic="place", sentiment="sentiment")
    vectors = [
        np.array([one.understood.vector for one in Reader(metier.load(run, threads=1), heads)(ITEMS)])
        for run in (toy_run, small)
    ]
    assert vectors[0].shape == vectors[1].shape
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-4


@pytest.mark.parametrize(
    ("heads", "message"),
    [(Heads(topic="palce"), "Did you mean 'place'"), (Heads("place", "sentiment", "place"), "kind")],
)
def test_heads_that_cannot_answer(toy_run: Path, heads: Heads, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Reader(metier.load(toy_run, threads=1), heads)
