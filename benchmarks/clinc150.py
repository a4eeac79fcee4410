"""CLINC150 (Larson et al. 2019): 150 intents in scope, and queries that belong to none of them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import polars as pl
from sklearn.metrics import roc_auc_score

import metier
from benchmarks.quality import data
from metier.data import read
from metier.progress import Progress

BAR = 0.955
OUT_OF_SCOPE = "oos"


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """In-scope accuracy, and the AUROC of telling scope by the calibrated score of the best intent."""
    settings = {"epochs": 4, **settings}
    rows = pl.concat(read.frames(data("support_clinc150/clinc150.csv.gz")))
    inside = rows.filter(pl.col("label") != OUT_OF_SCOPE)
    test = rows.filter(pl.col("split") == "test")
    found = [_seed(inside, test, seed, settings) for seed in range(13, 13 + seeds)]
    return {
        "metric": "in-scope accuracy",
        "mean": mean(one["accuracy"] for one in found),
        "bar": BAR,
        "out_of_scope_auroc": mean(one["auroc"] for one in found),
        "settings": settings,
        "seeds": found,
    }


def _seed(inside: pl.DataFrame, test: pl.DataFrame, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Progress(sys.stderr) as watch:
        options = {"suspects": False, "checkpoint_seconds": 1e9, **settings}
        model = metier.train(inside, label="label", seed=seed, out=Path(folder) / "run", watch=watch, **options)
        said = [row["label"] for row in model.predict(test["text"].to_list())]
    gold = test["label"].to_list()
    in_scope = [label != OUT_OF_SCOPE for label in gold]
    right = [p.label == label for p, label, known in zip(said, gold, in_scope, strict=True) if known]
    return {"seed": seed, "accuracy": mean(right), "auroc": roc_auc_score(in_scope, [p.score for p in said])}
