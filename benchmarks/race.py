"""`--method auto` against the best of all methods run one after the other, on three data sets of at most 5,000 rows.

Every cell (a data set, a seed, a method) is a file in the work folder: what is there is not fitted again. `auto` comes
last of each seed; its budget is the share of the exhaustive time that it may take, so it has to do with that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality import data, fit, kept
from metier.errors import RecipeError
from metier.recipe import METHODS

POINTS, SHARE = 0.5, 0.4
"""The bars: how far below the best the pick may be, and the share of the exhaustive time that the race may take."""
EXHAUSTIVE = tuple(method for method in METHODS if method != "few_shot")
"""Every method but the one that asks a generator."""


def _trec() -> pl.DataFrame:
    return _train(pl.read_csv(data("text_trec/trec.csv.gz")), 500)


def _sst2() -> pl.DataFrame:
    return _train(pl.read_csv(data("text_sst2/sst2.csv.gz")), 300)


def _banking77() -> pl.DataFrame:
    """Five training texts an intent, whose numbers are uneven in the data."""
    return _train(pl.read_csv(data("support_banking77/banking77.csv.gz")), 385, even=True)


SOURCES: dict[str, Callable[[], pl.DataFrame]] = {"trec": _trec, "sst2": _sst2, "banking77_5": _banking77}


def run(
    seeds: int = 2,
    work: str = "runs/benchmark-race",
    sources: tuple[str, ...] = tuple(SOURCES),
    rows: int = 0,
    methods: tuple[str, ...] = EXHAUSTIVE,
    threads: int = 0,
) -> dict[str, Any]:
    """The pick of the race, how far it is below the best, and the share of the exhaustive time that it took.

    Args:
        seeds: of the fits; the split is the same for all.
        work: the folder of the cells.
        sources: of `SOURCES`.
        rows: training rows at most, for a trial of the measurement itself; 0: as they are.
        methods: that are run one after the other.
        threads: of the processor; 0: all.
    """
    found: dict[str, Any] = {"bar": {"points": POINTS, "share_of_time": SHARE}, "methods": list(methods), "sources": {}}
    for name in sources:
        frame = SOURCES[name]()
        frame = _train(frame, rows) if rows else frame
        entries = []
        for seed in range(13, 13 + seeds):
            stem = Path(work) / f"{name}-{seed}"
            settings = {"seed": seed, "threads": threads}
            cells = {method: _cell(stem, method, frame, method=method, **settings) for method in methods}
            total = sum(cell["seconds"] for cell in cells.values())
            auto = _cell(stem, "auto", frame, method="auto", budget=SHARE * total, **settings)
            entries.append(_compared(seed, cells, auto, total))
            print(f"{name} seed {seed}: {entries[-1]}", file=sys.stderr, flush=True)
        found["sources"][name] = entries
    gaps = [entry["below_best"] for entries in found["sources"].values() for entry in entries]
    shares = [entry["share_of_time"] for entries in found["sources"].values() for entry in entries]
    met = max(gaps) <= POINTS and max(shares) <= SHARE
    return {**found, "worst_below_best": max(gaps), "worst_share_of_time": max(shares), "met": met}


def _compared(seed: int, cells: dict[str, Any], auto: dict[str, Any], total: float) -> dict[str, Any]:
    tested = {method: cell["test"] for method, cell in cells.items() if cell["test"] is not None}
    best = max(tested, key=lambda method: tested[method])
    return {
        "seed": seed,
        "best": best,
        "best_test": tested[best],
        "pick": auto["race"]["winner"],
        "pick_test": auto["test"],
        "below_best": 100 * (tested[best] - auto["test"]),
        "share_of_time": auto["seconds"] / total,
        "exhaustive_seconds": total,
        "race_seconds": auto["seconds"],
        "cells": cells,
        "race": auto["race"],
    }


def _cell(stem: Path, name: str, frame: pl.DataFrame, **settings: Any) -> dict[str, Any]:
    """One run's test headline and its seconds; a method that cannot do the task took none."""

    def make() -> dict[str, Any]:
        start = time.perf_counter()
        try:
            findings = fit(frame, label="label", **settings)
        except RecipeError as error:
            return {"test": None, "seconds": 0.0, "refused": str(error)}
        head = next(iter(findings.heads.values()))
        seconds = time.perf_counter() - start
        return {"test": head.test["headline"]["value"], "seconds": seconds, "race": dict(findings.race)}

    return kept(stem.with_name(f"{stem.name}-{name}.json"), make)


def _train(frame: pl.DataFrame, rows: int, even: bool = False) -> pl.DataFrame:
    """The official test split whole, and about so many training rows: labels as in the data, or as many of each."""
    train, rest = frame.filter(pl.col("split") == "train"), frame.filter(pl.col("split") == "test")
    labels = train["label"].unique().sort().to_list()
    order = np.random.default_rng(7).permutation(len(train))
    shuffled = train[order]
    kept = []
    for label in labels:
        own = shuffled.filter(pl.col("label") == label)
        kept.append(own.head(rows // len(labels) if even else max(2, round(rows * len(own) / len(train)))))
    return pl.concat([*kept, rest])
