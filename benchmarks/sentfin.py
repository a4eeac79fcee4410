"""SEntFiN (Sinha et al. 2022): sentiment towards each entity that a headline names, the split given."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import data, over_seeds

BAR = 0.88
BESIDE = "finance_phrasebank/phrasebank_50agree.csv.gz"


def run(seeds: int = 1, beside: bool = False, **settings: Any) -> dict[str, Any]:
    """Accuracy over the entities of the test headlines, over seeds; the intervals draw headlines.

    Args:
        seeds: 13 and on.
        beside: whether a second head of the same encoder learns the sentiment of sentences, from PhraseBank.
        settings: of the fit; by default those of the method.
    """
    options: dict[str, Any] = {"label": {"entities": "label"}, "mention": {"entities": "entity"}, **settings}
    if beside:
        options["label"] = {**options["label"], "sentence": "label"}
        options |= {"heads.sentence.path": str(data(BESIDE)), "heads.sentence.text": ("text",)}
    return over_seeds(data("finance_sentfin/sentfin.csv.gz"), seeds, BAR, **options)
