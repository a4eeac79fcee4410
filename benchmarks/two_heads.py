"""Two heads on one encoder against two runs with one head each: documents a second at prediction."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

import metier
from benchmarks.quality import data
from metier.data import read
from metier.sample import path

BAR = 1.8


def run(pairs: int = 7, texts: int = 3000, threads: int = 0) -> dict[str, Any]:
    """Median of the pairwise ratios, A B A B ..., same texts, same threads."""
    corpus = pl.concat(read.frames(data("support_banking77/banking77.csv.gz")))["text"].head(texts).to_list()
    with tempfile.TemporaryDirectory() as folder:
        fit = {"method": "probe", "baselines": False, "suspects": False, "threads": threads}
        both = metier.train(path(), label=["sentiment", "topic"], out=Path(folder) / "both", **fit)
        single = [metier.train(path(), label=name, out=Path(folder) / name, **fit) for name in ("sentiment", "topic")]
        both.predict(corpus[:200])
        ratios, rates = [], []
        for _ in range(pairs):
            together = _seconds(both, corpus)
            apart = sum(_seconds(model, corpus) for model in single)
            ratios.append(apart / together)
            rates.append(texts / together)
    return {
        "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios)},
        "bar": BAR,
        "documents_per_second": median(rates),
        "texts": texts,
    }


def _seconds(model: metier.Model, corpus: list[str]) -> float:
    start = time.perf_counter()
    model.predict(corpus)
    return time.perf_counter() - start
