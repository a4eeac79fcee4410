"""Words that change places: the random swap of EDA (Wei & Zou 2019)."""

from __future__ import annotations

from random import Random

from metier.data.augment.edits import Edit
from metier.data.augment.passages import Passage, amount
from metier.data.augment.sources import Sources


def swaps(passage: Passage, rate: float, rng: Random, sources: Sources) -> list[Edit]:
    """Two words drawn and exchanged, as many times as a share `rate` of the words comes to."""
    places = passage.movable()
    order = list(range(len(places)))
    if len(places) < 2:
        return []
    for _ in range(amount(len(passage.words), rate, rng)):
        one, other = rng.sample(range(len(places)), 2)
        order[one], order[other] = order[other], order[one]
    words = [passage.text[start:end] for start, end in places]
    return [Edit(*place, words[at]) for place, at, own in zip(places, order, words, strict=True) if words[at] != own]
