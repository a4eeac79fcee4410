"""BC5CDR (Li et al. 2016): chemicals and diseases in abstracts, strict entity F1, official splits."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.80


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Strict F1 on the official test split."""
    return over_seeds(data("ner_bc5cdr"), seeds, BAR, label="spans", **{"epochs": 6, **settings})
