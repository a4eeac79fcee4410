"""Near ones of a text's words put in at random places: the random insertion of EDA (Wei & Zou 2019)."""

from __future__ import annotations

from random import Random

from metier.data.augment.edits import Edit
from metier.data.augment.passages import CHARACTER, Passage, amount
from metier.data.augment.sources import Sources


def insertions(passage: Passage, rate: float, rng: Random, sources: Sources) -> list[Edit]:
    """As many words put in as a share `rate` of those that are there, each before another word."""
    places = passage.movable()
    keys = [passage.text[start:end].lower() for start, end in places]
    known = [key for key in keys if key in sources.neighbours]
    if not known:
        return []
    before = rng.sample(places, min(len(places), amount(len(passage.words), rate, rng)))
    edits = []
    for start, _ in sorted(before):
        word = rng.choice(sources.neighbours[rng.choice(known)])
        edits.append(Edit(start, start, word if CHARACTER.match(word) else f"{word} "))
    return edits
