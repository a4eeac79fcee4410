"""Banking77 (Casanueva et al. 2020): 77 intents, official test split, every parameter fitted."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.935


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Accuracy on the official test split."""
    source = data("support_banking77/banking77.csv.gz")
    return over_seeds(source, seeds, BAR, label="label", **{"epochs": 6, **settings})
