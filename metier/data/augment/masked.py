"""Words that a masked-language model puts in the place of others, as the rest of the text wants them.

Contextual augmentation (Kobayashi 2018), with a bidirectional masked model as in Wu et al. (2019) and, of the
replacements, Garg & Ramakrishnan (2020). The model is handed in: this file chooses places and words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from metier.data.augment.edits import Edit
from metier.data.augment.passages import CHARACTER, WORD, Passage, amount
from metier.data.augment.vocabulary import shaped

Places = Sequence[tuple[int, int]]
Fill = Callable[[Sequence[str], Sequence[Places]], list[list[dict[str, float]]]]
"""Texts and the places that are masked in each, to the probable words for each place with their probabilities."""


def places(passage: Passage, rate: float, rng: Random) -> list[tuple[int, int]]:
    """The words to be masked: a share `rate` of all, of those that may be replaced. Of a Chinese word one character."""
    free = passage.movable()
    if not free:
        return []
    words = sorted(rng.sample(free, min(len(free), amount(len(passage.words), rate, rng))))
    return [_character(passage.text, *word, rng) for word in words]


def _character(text: str, start: int, end: int, rng: Random) -> tuple[int, int]:
    if not CHARACTER.match(text, start):
        return start, end
    at = rng.randrange(start, end)
    return at, at + 1


def chosen(passage: Passage, masked: Places, probable: Sequence[dict[str, float]], rng: Random) -> list[Edit]:
    """A word drawn for every place, by its probability, but never the one that stood there."""
    edits = []
    for place, words in zip(masked, probable, strict=True):
        old = passage.text[slice(*place)]
        others = {word: share for word, share in words.items() if word.lower() != old.lower() and WORD.fullmatch(word)}
        if others:
            word = rng.choices(list(others), weights=list(others.values()))[0]
            edits.append(Edit(*place, shaped(word, old)))
    return edits
