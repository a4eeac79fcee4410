"""Few labels: Banking77 and CLINC150 with 5 and 10 texts a class, SST-2 with 8, on the official test splits.

The shots of a seed are drawn from the official training split; nothing else of it is seen, and nothing validates: the
settings are the defaults of the method.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality import data, fit, kept

SOURCES = {
    "banking77": "support_banking77/banking77.csv.gz",
    "clinc150": "support_clinc150/clinc150.csv.gz",
    "sst2": "text_sst2/sst2.csv.gz",
}
BARS = {"banking77-5": 0.82, "banking77-10": 0.87, "clinc150-5": 0.90, "clinc150-10": 0.93, "sst2-8": 0.72}
OUT_OF_SCOPE = "oos"


def shots(name: str, count: int, seed: int) -> pl.DataFrame:
    """`count` training texts of each class, and the official test split."""
    frame = pl.read_csv(data(SOURCES[name]), infer_schema=False).filter(pl.col("label") != OUT_OF_SCOPE)
    train = frame.filter(pl.col("split") == "train")
    labels, random = train["label"].to_numpy(), np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(labels == label), count, replace=False) for label in sorted(set(labels.tolist()))
    ]
    return pl.concat([train[np.sort(np.concatenate(chosen)).tolist()], frame.filter(pl.col("split") == "test")])


def cell(name: str, count: int, method: str, seed: int, work: Path, **settings: Any) -> dict[str, Any]:
    """One fit: accuracy and seconds."""

    def make() -> dict[str, Any]:
        options = {"baselines": False, "fractions": (1.0, 0.0, 0.0), **settings}
        found = fit(shots(name, count, seed), seed=seed, label="label", method=method, **options)
        head = next(iter(found.heads.values()))
        return {"value": head.test["headline"]["value"], "seconds": found.costs["seconds"]}

    return kept(work / f"{name}-{count}-{method}-{seed}.json", make)


def run(seeds: int = 5, work: str = "/tmp/metier-few-shot", only: str = "", **settings: Any) -> dict[str, Any]:
    """Mean and deviation over seeds of the contrastive method, the probe, and for SST-2 of a full fit."""
    figures: dict[str, Any] = {}
    for key, bar in BARS.items():
        if only not in key:
            continue
        name, count = key.rsplit("-", 1)
        figures[key] = {"bar": bar}
        for method in ("contrastive", "probe", *(["full"] if name == "sst2" else [])):
            each = [cell(name, int(count), method, seed, Path(work), **settings) for seed in range(13, 13 + seeds)]
            values = [one["value"] for one in each]
            spread = stdev(values) if seeds > 1 else None
            seconds = mean(one["seconds"] for one in each)
            figures[key][method] = {"mean": mean(values), "sd": spread, "values": values, "seconds": seconds}
    return {"results": figures, "seeds": list(range(13, 13 + seeds))}
