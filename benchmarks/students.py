"""Students: how near to their teacher, how much faster than the teacher in eight bits, on three tasks.

A student of two or three layers shall be within a point of its teacher on the official test splits and at least 2.5
times as fast; a static one within four points, at 20,000 documents a second on two cores. Teachers are full fits. Three
layers of six are twice as fast at best; with half of their feed-forward units they compute as much as two.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean
from typing import Any

import metier
from benchmarks.prediction import against
from benchmarks.small_runs import SOURCES, WORK, accuracy, fitted, megabytes, smaller, tested

BARS = {"points": -1.0, "faster": 2.5, "static_points": -4.0, "static_texts_per_second": 20_000}
KINDS: dict[str, dict[str, Any]] = {
    "3 layers": {"student": "layers", "layers": 3},
    "3 thin layers": {"student": "layers", "layers": 3, "units": 0.5},
    "static": {"student": "static"},
}
ALLOWED = 100.0
"""Points: nothing is refused, all of it is measured."""


def run(work: str = WORK, pairs: int = 5, threads: int = 2, only: str = "") -> dict[str, Any]:
    """Points on the test split and times faster, by task and kind of student."""
    folder = Path(work)
    tasks = {name: _task(name, folder, pairs, threads) for name in SOURCES if only in name}
    means = {kind: mean(task[kind]["points"] for task in tasks.values()) for kind in KINDS}
    return {"tasks": tasks, "mean_points": means, "bars": BARS, "threads": threads}


def _task(name: str, folder: Path, pairs: int, threads: int) -> dict[str, Any]:
    table = tested(name)
    texts = table["text"].to_list()
    right = accuracy(metier.load(fitted(name, folder, threads), threads=threads), table)
    teacher = metier.load(smaller(name, "int8", folder, threads), threads=threads)
    found: dict[str, Any] = {"teacher": right}
    for kind, asked in KINDS.items():
        made = smaller(name, kind.replace(" ", "-"), folder, threads, tolerance=ALLOWED, **asked)
        model = metier.load(made, threads=threads)
        many = texts * (20 if kind == "static" else 1)
        own = accuracy(model, table)
        found[kind] = {
            "accuracy": own,
            "points": 100 * (own - right),
            "megabytes": megabytes(made),
            "faster": against(model.predict, teacher.predict, texts, pairs),
            "texts_per_second": against(model.predict, model.predict, many, 3)["ours"],
        }
        print(f"{name} {kind}: {found[kind]}", file=sys.stderr, flush=True)
    return found
