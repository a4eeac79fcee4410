"""Every regulariser and every kind of made text, one at a time beside a plain `full` fit, on two small data sets.

200 training rows of TREC and of SST-2, drawn anew for each seed with labels in the proportions of the split; the
official test splits. Nothing validates: settings are the defaults of each switch. The difference is taken seed by seed,
so that the draw of the rows, which moves accuracy more than any switch, falls out.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality import data, fit, kept

SOURCES = {"trec": "text_trec/trec.csv.gz", "sst2": "text_sst2/sst2.csv.gz"}
PLAIN = "full"
SWITCHES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "fgm": {"adversarial": "fgm"},
    "pgd": {"adversarial": "pgd"},
    "freelb": {"adversarial": "freelb"},
    "vat": {"adversarial": "vat"},
    "r_drop": {"r_drop": 1.0},
    "supcon": {"supcon": 0.3},
    "mixup": {"mixup": 0.4},
    "layer_decay": {"layer_decay": 0.8},
    "ema": {"ema": 0.9},
    "focal": {"focal": 2.0},
    "no label_smoothing": {"label_smoothing": 0.0},
    "head_start": {"head_start": "probe"},
    "typos": {"typos": 0.05},
    "synonyms": {"synonyms": 0.1},
    "insertions": {"insertions": 0.1},
    "swaps": {"swaps": 0.1},
    "deletions": {"deletions": 0.1},
    "names": {"names": True},
}
SIGNIFICANT = {3: 4.303, 5: 2.776}
"""Two-sided 5 % points of Student's t, by the number of seeds."""


def drawn(name: str, rows: int, seed: int) -> pl.DataFrame:
    """So many training rows in the proportions of the labels, at least two of each, and the official test split."""
    frame = pl.read_csv(data(SOURCES[name]), infer_schema=False)
    train, random = frame.filter(pl.col("split") == "train"), np.random.default_rng(seed)
    labels = train["label"].to_numpy()
    chosen = []
    for label in sorted(set(labels.tolist())):
        own = np.flatnonzero(labels == label)
        chosen.append(random.choice(own, max(2, round(rows * len(own) / len(labels))), replace=False))
    return pl.concat([train[np.sort(np.concatenate(chosen)).tolist()], frame.filter(pl.col("split") == "test")])


def cell(name: str, switch: str, seed: int, rows: int, work: Path, threads: int) -> dict[str, Any]:
    """Test accuracy and seconds of one fit."""

    def make() -> dict[str, Any]:
        options = {"fractions": (1.0, 0.0, 0.0), "baselines": False, "threads": threads, **SWITCHES[switch]}
        found = fit(drawn(name, rows, seed), seed=seed, label="label", method="full", **options)
        head = next(iter(found.heads.values()))
        return {"value": head.test["headline"]["value"], "seconds": found.costs["processor_seconds"]}

    return kept(work / f"{name}-{switch.replace(' ', '_')}-{rows}-{seed}.json", make)


def compared(cells: list[dict[str, Any]], plain: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation, the mean difference from the plain fits in points with its 95 % interval, times longer."""
    values = [one["value"] for one in cells]
    points = [100 * (one["value"] - other["value"]) for one, other in zip(cells, plain, strict=True)]
    count = len(points)
    half = SIGNIFICANT[count] * stdev(points) / sqrt(count) if count in SIGNIFICANT else None
    return {
        "mean": mean(values),
        "sd": stdev(values) if count > 1 else None,
        "points": mean(points),
        "half": half,
        "times": sum(one["seconds"] for one in cells) / sum(one["seconds"] for one in plain),
        "values": values,
    }


def run(
    seeds: int = 5, rows: int = 200, work: str = "/tmp/metier-ablation", only: str = "", threads: int = 1
) -> dict[str, Any]:
    """Each switch on each data set; a switch that was cut off goes on behind its last seed."""
    found: dict[str, Any] = {}
    for switch in SWITCHES:
        for name in SOURCES:
            if only in (switch, ""):
                each = {
                    key: [cell(name, key, seed, rows, Path(work), threads) for seed in range(13, 13 + seeds)]
                    for key in (PLAIN, switch)
                }
                found.setdefault(switch, {})[name] = compared(each[switch], each[PLAIN])
    return {"results": found, "rows": rows, "seeds": seeds}
