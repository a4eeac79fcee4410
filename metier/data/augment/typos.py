"""Slips of the fingers: neighbouring keys, two letters the wrong way round, one left out or doubled, a misplaced blank.

After the kinds of errors that Damerau (1964) counted and the neighbouring keys of a QWERTY keyboard (Belinkov & Bisk
2018). In Chinese, which nobody types by its strokes: a homophone in place of a character.
"""

from __future__ import annotations

from random import Random

from metier.data.augment.edits import Edit
from metier.data.augment.passages import CHARACTER, Passage, amount
from metier.data.augment.sources import Sources

KEYS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
"""The rows of a QWERTY keyboard and how far each begins to the right of the first, in widths of a key."""
REACH = 1.3
"""Keys are neighbours whose centres are at most so many widths apart."""
SLIPS = ("neighbour", "neighbour", "neighbour", "neighbour", "turn", "turn", "leave", "leave", "double", "blank")
"""The kinds of slips, as often as they are drawn."""


def _neighbours() -> dict[str, str]:
    places = {key: (at + indent, row) for row, (keys, indent) in enumerate(KEYS) for at, key in enumerate(keys)}
    return {
        key: "".join(
            other
            for other, (right, down) in places.items()
            if other != key and (right - x) ** 2 + (down - y) ** 2 <= REACH**2
        )
        for key, (x, y) in places.items()
    }


NEIGHBOURS = _neighbours()
"""The keys around each key."""


def typos(passage: Passage, rate: float, rng: Random, sources: Sources) -> list[Edit]:
    """Slips on a share `rate` of the letters of a text, at least on one."""
    places = [(at, start, end) for start, end in passage.words for at in range(start, end)]
    if not places:
        return []
    edits: list[Edit] = []
    done = 0
    for at, start, end in sorted(rng.sample(places, amount(len(places), rate, rng))):
        if at < done:  # turned round or joined with the letter before
            continue
        edit = _slip(passage, at, (start, end), rng, sources)
        if edit is not None:
            edits.append(edit)
            done = edit.end
    return edits


def _slip(passage: Passage, at: int, word: tuple[int, int], rng: Random, sources: Sources) -> Edit | None:
    letter = passage.text[at]
    if CHARACTER.match(letter):
        others = sources.homophones.get(letter)
        return Edit(at, at + 1, rng.choice(others)) if others else None
    slip = rng.choice(SLIPS)
    after = passage.text[at + 1] if at + 1 < word[1] else ""
    if slip == "turn" and after and after != letter:
        return Edit(at, at + 2, after + letter)
    if slip == "leave" and word[1] - word[0] > 2 and at > word[0]:  # the first letter stays, so that a word does
        return Edit(at, at + 1, "")
    if slip == "double":
        return Edit(at, at + 1, letter * 2)
    if slip == "blank" and not passage.spaced:
        return _blank(passage, at, word)
    keys = NEIGHBOURS.get(letter.lower())
    if keys is None:
        return None
    key = rng.choice(keys)
    return Edit(at, at + 1, key.upper() if letter.isupper() else key)


def _blank(passage: Passage, at: int, word: tuple[int, int]) -> Edit | None:
    """The blank after the last letter of a word is lost; inside a word one comes in."""
    if at > word[0]:
        if at + 1 < word[1]:
            return Edit(at, at + 1, " " + passage.text[at])
        if passage.text[at + 1 : at + 2] == " " and not {at + 1, at + 2} & passage.walls:
            return Edit(at + 1, at + 2, "")
    return None
