"""The runs that the measurements of speed and size share: fitted on Banking77, TREC and SST-2 once, then made smaller.

What is in the work folder is not made again. Fits take about half an hour a data set on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl

import metier
from benchmarks.quality import data
from metier.pipeline.optimise.optimise import optimise
from metier.progress import Progress

SOURCES = {
    "banking77": "support_banking77/banking77.csv.gz",
    "trec": "text_trec/trec.csv.gz",
    "sst2": "text_sst2/sst2.csv.gz",
}
WORK = "runs/benchmark-small"


def fitted(name: str, work: Path, threads: int = 0) -> Path:
    """A full fit on the official training split."""
    out = work / name
    if not out.is_dir():
        with Progress(sys.stderr) as watch:
            metier.train(
                data(SOURCES[name]), label="label", method="full", out=out, seed=13, watch=watch,
                suspects=False, baselines=False, threads=threads,
            )  # fmt: skip
    return out


def smaller(name: str, kind: str, work: Path, threads: int = 0, **asked: Any) -> Path:
    """A run that `metier optimise` made of `fitted(name)`; the wishes stand in `asked`."""
    out = work / f"{name}-{kind}"
    if not out.is_dir():
        with Progress(sys.stderr) as watch:
            optimise(fitted(name, work, threads), out, asked, watch, threads=threads)
    return out


def tested(name: str) -> pl.DataFrame:
    """`text` and `label` of the official test split."""
    frame = pl.read_csv(data(SOURCES[name]), infer_schema=False)
    return frame.filter(pl.col("split") == "test").select("text", "label")


def accuracy(model: metier.Model, table: pl.DataFrame) -> float:
    """Share of right answers."""
    answers = (next(iter(one.values())).label for one in model.predict(table["text"].to_list()))
    return sum(a == b for a, b in zip(answers, table["label"], strict=True)) / len(table)


def megabytes(run: Path) -> float:
    """Of all files of a run."""
    return sum(file.stat().st_size for file in run.rglob("*") if file.is_file()) / 1e6
