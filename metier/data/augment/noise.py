"""Noise for tests of robustness: made by other means than the copies that a model is fitted with.

Training knows neighbouring keys, turned, lost and doubled letters and misplaced blanks (`typos`). Here letters are
misread, as by a machine that reads scanned paper, or replaced by any letter that is no neighbour on the keyboard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from string import ascii_lowercase

from metier.data.augment.edits import Edit, Shift
from metier.data.augment.passages import CHARACTER, Passage, amount, passage
from metier.data.augment.typos import NEIGHBOURS
from metier.data.augment.vocabulary import shaped
from metier.types import Document, Example

MISREAD = {
    "rn": "m", "m": "rn", "cl": "d", "d": "cl", "vv": "w", "w": "vv", "l": "1", "i": "1", "o": "0", "e": "c",
    "c": "e", "s": "5", "b": "6", "g": "9", "h": "b", "u": "ii", "n": "ri", "t": "f", "f": "t", "a": "o", "y": "v",
    "I": "l", "O": "0", "B": "8", "S": "5", "Z": "2", "G": "6", "E": "F",
}  # fmt: skip
"""What is read where something else stands."""


def noisy(text: str, rate: float, seed: int) -> str:
    """A text with a share `rate` of its letters misread or replaced by random ones, at least one.

    In Chinese a character is replaced by any other one of the text. Addresses and the marks of entities stay.
    """
    rng = Random(f"{seed}/{text}")
    part = passage(Example(Document(text), {}))
    places = [(at, end) for start, end in part.words for at in range(start, end)]
    edits: list[Edit] = []
    done = 0
    for at, end in sorted(rng.sample(places, amount(len(places), rate, rng))) if rate and places else ():
        if at >= done:
            edits.append(_misread(text, at, end, rng) or _random(part, at, rng))
            done = edits[-1].end
    return Shift(edits).applied(text)


def substituted(text: str, rate: float, seed: int, source: Mapping[str, Sequence[str]]) -> str:
    """A text with a share `rate` of its words, at least one, replaced by others.

    Args:
        text: any.
        rate: of all words; only those that `source` knows are replaced.
        seed: the same seed gives the same text.
        source: of a word in small letters, what may stand for it.
    """
    rng = Random(f"{seed}/{text}")
    part = passage(Example(Document(text), {}))
    known = [word for word in part.movable() if source.get(text[slice(*word)].lower())]
    if not known or not rate:
        return text
    edits = []
    for word in rng.sample(known, min(len(known), amount(len(part.words), rate, rng))):
        old = text[slice(*word)]
        edits.append(Edit(*word, shaped(rng.choice(list(source[old.lower()])), old)))
    return Shift(edits).applied(text)


def _misread(text: str, at: int, end: int, rng: Random) -> Edit | None:
    if rng.random() < 0.5:
        return None
    for length in (2, 1):
        read = MISREAD.get(text[at : at + length]) if at + length <= end else None
        if read is not None:
            return Edit(at, at + length, read)
    return None


def _random(part: Passage, at: int, rng: Random) -> Edit:
    """Any letter that is neither the one that stands there nor a key beside it."""
    letter = part.text[at]
    if CHARACTER.match(letter):
        others = [item for item in part.text if CHARACTER.match(item) and item != letter]
        return Edit(at, at + 1, rng.choice(others) if others else letter)
    near = NEIGHBOURS.get(letter.lower(), "")
    new = rng.choice([item for item in ascii_lowercase if item != letter.lower() and item not in near])
    return Edit(at, at + 1, new.upper() if letter.isupper() else new)
