"""Reuters-21578, ModApte split: topics of news, several a story, micro-F1. Title and body enter as a pair."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.86


def run(seeds: int = 1, **settings: Any) -> dict[str, Any]:
    """Micro-F1 on the official test split, stories without a topic included; the first 64 tokens of a story."""
    source = data("finance_reuters/reuters.jsonl.gz")
    options = {"method": "freeze", "epochs": 3, "max_length": 64, "long": "truncate", **settings}
    return over_seeds(source, seeds, BAR, label="topics", text=("title", "text"), **options)
