"""WNUT17 (Derczynski et al. 2017): emerging entities in noisy text, strict entity F1, official splits."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Strict F1 on the official test split; reported, no bar."""
    return over_seeds(data("ner_wnut17"), seeds, None, label="spans", **{"epochs": 4, **settings})
