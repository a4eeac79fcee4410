"""Financial PhraseBank (Malo et al. 2014): sentiment for investors, at two levels of agreement, the split given."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BARS = {"50agree": 0.865, "allagree": 0.975}


def run(seeds: int = 3, **settings: Any) -> dict[str, Any]:
    """Accuracy at both levels, over seeds."""
    options = {"epochs": 4, **settings}
    return {
        level: over_seeds(data(f"finance_phrasebank/phrasebank_{level}.csv.gz"), seeds, bar, label="label", **options)
        for level, bar in BARS.items()
    }
