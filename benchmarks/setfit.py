"""`contrastive` against the setfit package: same backbone, same shots, the package's documented 20 iterations; in turn.

The package reads both texts of each of its pairs; ours compares all texts of a batch. Names of labels are left out of
ours, for the package does not read them. Seconds are those of the processor, one thread, of the fit alone.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import polars as pl

from benchmarks.few_shot import shots
from benchmarks.quality import fit, kept
from metier.models.backbone import find

BARS = {"points": -0.5, "speed": 2.0}
CASES = {"sst2": (8, 3), "banking77": (5, 1)}
"""Texts a class, and seeds: at Banking77 the package takes a quarter of an hour for one."""


def theirs(table: pl.DataFrame, seed: int, peers: str, iterations: int) -> dict[str, float]:
    """Accuracy and seconds of the package."""
    parts = {part: table.filter(pl.col("split") == part).select("text", "label").rows() for part in ("train", "test")}
    with tempfile.TemporaryDirectory() as folder:
        asked = {
            **parts, "model": str(find("minilm").folder), "seed": seed, "threads": 1, "folder": folder,
            "iterations": iterations,
        }  # fmt: skip
        done = subprocess.run(
            [peers, "-P", str(Path(__file__).with_name("setfit_peer.py"))],
            input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=folder,
        )  # fmt: skip
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def ours(table: pl.DataFrame, seed: int) -> dict[str, float]:
    """Accuracy and seconds of the contrastive method."""
    settings = {"fractions": (1.0, 0.0, 0.0), "threads": 1, "baselines": False, "names": False}
    found = fit(table, seed=seed, label="label", method="contrastive", **settings)
    head = next(iter(found.heads.values()))
    return {"accuracy": head.test["headline"]["value"], "seconds": found.costs["processor_seconds"]}


def run(peers: str, iterations: int = 20, work: str = "/tmp/metier-setfit", only: str = "") -> dict[str, Any]:
    """Both in turn, a seed after the other; cells are kept, so that what was cut off goes on."""
    folder = Path(work)
    cases = {}
    for name, (count, seeds) in CASES.items():
        found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
        for seed in range(13, 13 + (seeds if only in name else 0)):
            table = shots(name, count, seed)
            for who in ("ours", "theirs"):
                make = partial(ours, table, seed) if who == "ours" else partial(theirs, table, seed, peers, iterations)
                found[who].append(kept(folder / f"{name}-{count}-{seed}-{who}-{iterations}.json", make))
        if found["ours"]:
            pairs = list(zip(found["ours"], found["theirs"], strict=True))
            cases[f"{name}-{count}"] = {
                **{who: mean(one["accuracy"] for one in each) for who, each in found.items()},
                "points": 100 * mean(a["accuracy"] - b["accuracy"] for a, b in pairs),
                "speed": median(b["seconds"] / a["seconds"] for a, b in pairs),
                "seeds": seeds,
                "cells": found,
            }
    return {"cases": cases, "bars": BARS, "iterations": iterations}
