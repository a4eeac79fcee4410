"""The words of a corpus, and which of them mean nearly the same: a thesaurus that every trade brings with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from metier.data.augment.passages import CHARACTER, passage
from metier.data.languages import WORDS
from metier.types import Example

MORE = (
    "has had did does done will would should could can may might must been being were am many most more much some any "
    "all each every other there here their them they our us his her she he its me him who whom whose when where which "
    "how why if than then so no nor into onto over under about after before between because while also only just very"
)
STOP = frozenset(f"{' '.join(WORDS.values())} {MORE}".split())
"""The commonest words of some languages: their place in a text matters, their meaning does not."""
STOP_CHARACTERS = frozenset("的了是在和与及或就都而也被把给从对吗呢吧啊着过个这那我你他她它们不没有很")
MOST = 20_000
"""Words that are looked at, the most frequent ones."""
SHORTEST = 3
"""Letters."""
ALIKE, NEAREST = 0.5, 5
"""A neighbour's cosine to a word at least, and how many are kept."""
BLOCK = 1_000


def vocabulary(examples: Iterable[Example], lexicon: frozenset[str]) -> list[str]:
    """The words that carry meaning, in the case in which they occur most often; the most frequent first."""
    forms: dict[str, Counter[str]] = {}
    for example in examples:
        for pair in (False, True) if example.document.pair else (False,):
            part = passage(example, lexicon, pair=pair)
            for start, end in part.words:
                word = part.text[start:end]
                if telling(word):
                    forms.setdefault(word.lower(), Counter())[word] += 1
    ranked = sorted(forms.values(), key=lambda counts: (-counts.total(), min(counts)))
    return [min(counts, key=lambda word: (-counts[word], word)) for counts in ranked[:MOST]]


def telling(word: str) -> bool:
    """Whether a word is no stop word."""
    if CHARACTER.match(word):
        return word not in STOP_CHARACTERS
    return len(word) >= SHORTEST and word.lower() not in STOP


def shape(word: str) -> str:
    """`upper`, `title` or `lower`."""
    if len(word) > 1 and word.isupper():
        return "upper"
    return "title" if word[:1].isupper() else "lower"


def shaped(word: str, like: str) -> str:
    """A word in the case of another."""
    kind = shape(like)
    return word.upper() if kind == "upper" else word[:1].upper() + word[1:] if kind == "title" else word.lower()


def neighbours(
    words: Sequence[str], vectors: np.ndarray, *, alike: float = ALIKE, nearest: int = NEAREST
) -> Mapping[str, tuple[str, ...]]:
    """For each word, in small letters, the nearest others of the same case in the space of their vectors.

    The mean of all vectors is taken off before cosines are compared: encoders put every text into a narrow cone, in
    which all is alike (Mu & Viswanath 2018). Forms of a word (`rise`, `rises`) are no others.

    Args:
        words: different from one another, whatever their case.
        vectors: `(words, width)`.
        alike: the least cosine.
        nearest: how many neighbours a word has at most.
    """
    if len(words) < 2:
        return {}
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    shapes = np.array([shape(word) for word in words])
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(words), BLOCK):
        rows = slice(start, start + BLOCK)
        cosines = unit[rows] @ unit.T
        cosines[shapes[rows, None] != shapes[None, :]] = -1.0
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : 4 * nearest]
        for row, (others, own) in enumerate(zip(order, cosines, strict=True), start):
            near = [words[at] for at in others if at != row and own[at] >= alike and not _akin(words[at], words[row])]
            if near:
                found[words[row].lower()] = tuple(near[:nearest])
    return found


def _akin(one: str, other: str) -> bool:
    """Whether two words are forms of one: most of the shorter one begins both."""
    if CHARACTER.match(one):
        return False
    least = max(SHORTEST, min(len(one), len(other)) - 2)
    return one[:least].lower() == other[:least].lower()
