"""SEntFiN (Sinha et al. 2022): sentiment towards each entity that a headline names, the split given."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.88


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Accuracy over the entities of the test headlines, over seeds; the intervals draw headlines."""
    options = {"epochs": 4, "mention": "entity", **settings}
    return over_seeds(data("finance_sentfin/sentfin.csv.gz"), seeds, BAR, label="label", **options)
