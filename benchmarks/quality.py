"""What the quality measurements share: where the data is, one run a seed, a test split that is touched once."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import metier
from metier.evaluate.findings import Findings
from metier.progress import Progress
from metier.run import write_text


def data(name: str) -> Path:
    """A file or folder of the real data. `METIER_TEST_DATA` says where it is."""
    return Path(os.environ.get("METIER_TEST_DATA", "../shared/data")) / name


def fit(source: Any, *, seed: int, **settings: Any) -> Findings:
    """One run; the report of its evaluation."""
    with tempfile.TemporaryDirectory() as folder, Progress(sys.stderr) as watch:
        options = {"suspects": False, "checkpoint_seconds": 1e9, **settings}
        model = metier.train(source, out=Path(folder) / "run", seed=seed, watch=watch, **options)
        return Findings.read(model.run / "evaluation.json")


def kept(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` found, kept in a file: a measurement that was cut off goes on behind it."""
    if not file.is_file():
        found = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(found, indent=1) + "\n")
        print(f"{file.stem}: {found}", file=sys.stderr, flush=True)
    return dict(json.loads(file.read_text(encoding="utf-8")))


def over_seeds(source: Any, seeds: int, bar: float | None, **settings: Any) -> dict[str, Any]:
    """Figures of the only head over seeds 13, 14, ...: mean, deviation, each seed, the baselines, the bar."""
    found = []
    for seed in range(13, 13 + seeds):
        findings = fit(source, seed=seed, **settings)
        head = next(iter(findings.heads.values()))
        found.append((seed, findings, head))
        print(f"seed {seed}: {head.test['headline']}", file=sys.stderr, flush=True)
    values = [head.test["headline"]["value"] for _, _, head in found]
    _, findings, head = found[0]
    return {
        "metric": head.test["headline"]["name"],
        "mean": mean(values),
        "sd": stdev(values) if len(values) > 1 else None,
        "bar": bar,
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()},
        "rows": findings.data["rows"],
        "baselines": {name: line["headline"]["value"] for name, line in head.baselines.items()},
        "seeds": [
            {
                "seed": seed,
                "test": one.test["headline"],
                "valid": one.valid.get("headline"),
                "ece": one.test.get("calibration", {}).get("ece"),
                "ece_before": one.test.get("calibration", {}).get("ece_before"),
                "costs": {key: each.costs.get(key) for key in ("seconds", "steps", "tokens_per_second", "peak_memory")},
            }
            for seed, each, one in found
        ],
    }
