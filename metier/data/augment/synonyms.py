"""Words replaced by near ones: the synonym replacement of EDA (Wei & Zou 2019), with the corpus as the thesaurus."""

from __future__ import annotations

from random import Random

from metier.data.augment.edits import Edit
from metier.data.augment.passages import Passage, amount
from metier.data.augment.sources import Sources
from metier.data.augment.vocabulary import shaped


def synonyms(passage: Passage, rate: float, rng: Random, sources: Sources) -> list[Edit]:
    """As many words replaced as a share `rate` of all, but only such as have a near one."""
    near = {
        word: sources.neighbours[key]
        for word in passage.movable()
        if (key := passage.text[slice(*word)].lower()) in sources.neighbours
    }
    if not near:
        return []
    chosen = rng.sample(list(near), min(len(near), amount(len(passage.words), rate, rng)))
    return [Edit(*word, shaped(rng.choice(near[word]), passage.text[slice(*word)])) for word in sorted(chosen)]
