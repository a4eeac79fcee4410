"""SemEval-2010 task 8 (Hendrickx et al. 2010): relations between marked nouns, macro-F1 of the official scorer."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.80


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Macro-F1 of the nine relations on the official test split."""
    source = data("relations_semeval2010/semeval2010.csv.gz")
    return over_seeds(source, seeds, BAR, label="relation", task="relate", **{"epochs": 5, **settings})
