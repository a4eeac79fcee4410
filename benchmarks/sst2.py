"""SST-2 (Socher et al. 2013), sentences only (6,909 of them): sentiment of film reviews."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.89


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Accuracy on the official test split."""
    return over_seeds(data("text_sst2/sst2.csv.gz"), seeds, BAR, label="label", **settings)
