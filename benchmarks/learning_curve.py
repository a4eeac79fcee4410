"""Is the outlook of a race honest? Curves through small fits of a probe, against what more labels gave.

As a race does it, three points (a quarter, half and all of n texts) foretell 2 n and 4 n; here these are known. All of
it on validation texts: the training texts of no fit, the same for all of them; no test split is touched.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.quality import data
from metier.data import split as splitting
from metier.evaluate.learning_curve import Point, forecast
from metier.pipeline.dataset import Dataset, read_dataset
from metier.pipeline.race import sheet
from metier.pipeline.race.cuts import Cut
from metier.pipeline.trial import trial
from metier.pipeline.watch import Silent
from metier.recipe import Recipe

SOURCES = {
    "banking77": "support_banking77/banking77.csv.gz",
    "trec": "text_trec/trec.csv.gz",
    "sst2": "text_sst2/sst2.csv.gz",
}
HELD = 1000
"""Training texts that are set aside to judge by."""
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def run(
    seeds: int = 2, limit: int = 5000, threads: int = 1, sources: tuple[str, ...] = tuple(SOURCES)
) -> dict[str, Any]:
    """The error of every forecast, in points, and how often its 95 % interval held what was measured."""
    found: dict[str, Any] = {"limit": limit, "held": HELD, "sources": {}}
    forecasts: list[dict[str, Any]] = []
    for name in sources:
        path = SOURCES[name]
        for seed in range(13, 13 + seeds):
            points = _points(data(path), limit, seed, threads)
            told = [{**one, "source": name, "seed": seed} for one in _told(points, seed)]
            forecasts += told
            curve = [{"rows": point.rows, "score": point.score} for point in points]
            found["sources"].setdefault(name, []).append({"seed": seed, "curve": curve, "forecasts": told})
    return {**found, "bar": 2.0, **_summary(forecasts)}


def _points(path: Path, limit: int, seed: int, threads: int) -> list[Point]:
    """The score of a probe on growing parts of the training texts, all of them judged by the same others."""
    recipe = Recipe.parse(
        {
            "data": {"path": str(path), "seed": seed},
            "heads": {"label": {"column": "label"}},
            "train": {"method": "probe", "threads": threads},
            "seed": seed,
        }
    )
    dataset = read_dataset(recipe, path, Silent())
    texts = dataset.examples["train"]
    order = np.random.default_rng(seed).permutation(len(texts))
    held = [texts[row] for row in order[:HELD]]
    pool = [texts[row] for row in order[HELD : HELD + limit]]
    found = []
    for share in SHARES:
        cut = Cut(share, _part(dataset, pool, share, seed), held)
        with TemporaryDirectory() as folder:
            judged = sheet.of_trial(trial(recipe, cut.dataset, Path(folder) / "fit", Silent()), cut)
        found.append(Point(cut.rows, judged.score(), judged.deviation()))
    return found


def _part(dataset: Dataset, pool: list[Any], share: float, seed: int) -> Dataset:
    """A stratified share of the pool; smaller ones are parts of larger ones."""
    labels = [splitting.label_set(example.targets) for example in pool]
    rows = np.arange(len(pool))
    for half in (1 / 2, 1 / 4, 1 / 8, 1 / 16):
        if share <= half:
            parts = splitting.stratified(
                [labels[row] for row in rows], np.array([0.5, 0.0, 0.5]), _generator(seed, half)
            )
            rows = rows[parts == 0]
    return replace(dataset, examples={**dataset.examples, "train": [pool[row] for row in rows], "test": []})


def _generator(seed: int, half: float) -> np.random.Generator:
    return np.random.default_rng([seed, round(1 / half)])


def _told(points: list[Point], seed: int) -> list[dict[str, Any]]:
    """Three points in a row, and what they say of those that follow at twice and four times their last."""
    found = []
    for last in range(2, len(points) - 1):
        known, ahead = points[last - 2 : last + 1], points[last + 1 : last + 3]
        for factor, one, truth in zip(
            (2, 4), forecast(known, [point.rows for point in ahead], seed=seed), ahead, strict=False
        ):
            found.append(
                {
                    "from": known[-1].rows,
                    "times": factor,
                    "measured": truth.score,
                    "said": one.score,
                    "interval": [one.low, one.high],
                    "error": 100 * (one.score - truth.score),
                    "unchanged": 100 * (known[-1].score - truth.score),
                    "held": one.low <= truth.score <= one.high,
                }
            )
    return found


def _summary(forecasts: list[dict[str, Any]]) -> dict[str, Any]:
    """At each distance the mean absolute error in points, that of "it stays as it is", and how many intervals held."""
    return {
        f"times_{factor}": {
            "forecasts": len(chosen),
            "mean_absolute_error": mean(abs(one["error"]) for one in chosen),
            "bias": mean(one["error"] for one in chosen),
            "error_of_no_change": mean(abs(one["unchanged"]) for one in chosen),
            "intervals_held": mean(one["held"] for one in chosen),
        }
        for factor in (2, 4)
        if (chosen := [one for one in forecasts if one["times"] == factor])
    }
