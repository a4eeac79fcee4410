"""Kill loops: ten random moments of death, one result."""

import random
import time

import fits
import polars as pl
import pytest
from commands import kill, metier, started

pytestmark = pytest.mark.soak

TWO = {"sentiment": {"column": "sentiment"}, "place": {"column": "place"}}
CASES = {
    "full": (TWO, {}),
    "freeze": (TWO, {"method": "freeze", "ema": 0.9}),
    "head": (TWO, {"method": "head", "evaluations": 3}),
    "relate": ({"label": {"column": "label"}}, {"accumulate": 2, "ema": 0.95, "schedule": "cosine"}),
    "random start": (TWO, {"head_start": "random", "layer_decay": 0.9, "label_smoothing": 0.1, "patience": 0}),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES)
def test_ten_kills(case, tmp_path, toy_backbone, toy_news):
    heads, settings = CASES[case]
    rng = random.Random(case)
    data = fits.relations(tmp_path / "data.jsonl") if "label" in heads else toy_news
    settings = {"epochs": 30, "patience": 0, "checkpoint_seconds": 0.0, **settings}
    recipe = fits.recipe(tmp_path / "r.toml", data, heads, toy_backbone, **settings)
    start = time.monotonic()
    assert metier("train", recipe, "--out", tmp_path / "whole").code == 0
    length, torn, deaths = time.monotonic() - start, tmp_path / "torn", 0
    command = ["train", recipe, "--out", torn]
    while deaths < 10 and not torn.exists():
        process = started(tmp_path / "log", *command)
        process.join(timeout=rng.uniform(0.1, 1.0) * length)
        kill(process)
        deaths += process.exitcode != 0
        if torn.with_name("torn.partial").joinpath("recipe.toml").is_file():
            command = ["train", "--resume", torn]
    if not torn.exists():
        assert metier(*command).code == 0
    assert fits.weights(torn) == fits.weights(tmp_path / "whole")
    assert [item.name for item in tmp_path.glob("torn*")] == ["torn"]


@pytest.mark.timeout(1800)
def test_ten_kills_of_a_prediction(tmp_path, toy_run):
    texts = [f"Berlin gains {at}" for at in range(100_000)]
    corpus, out = tmp_path / "c.parquet", tmp_path / "s.parquet"
    pl.DataFrame({"text": texts}).write_parquet(corpus)
    rng = random.Random(1)
    for _ in range(10):
        process = started(tmp_path / "log", "predict", toy_run, corpus, "--out", out)
        process.join(timeout=rng.uniform(0.5, 3.0))
        kill(process)
    assert metier("predict", toy_run, corpus, "--out", out).code == 0
    assert pl.read_parquet(out)["text"].to_list() == texts
