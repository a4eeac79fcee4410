"""What a text is compared by: its words, free of what a wire or a web site hangs on it; how alike they make two texts.

Made for headlines in English and Chinese, where one number or one name makes another story.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from rapidfuzz.distance import OSA

from metier.apps.monitor.stories.lexicon import (
    COMMON_WORDS,
    FREQUENT,
    HAN_NUMBER,
    HAN_POLES,
    KINDS,
    NUMBER,
    NUMBER_WORDS,
    POLE,
    POLES,
    SOURCE,
    UNITS,
    WIRE,
)
from metier.data.dedup import HAN

LONGEST = 2_000
"""Texts are compared by so many characters from the beginning."""
ALPHA, BETA = 0.85, 1.3
"""How much what only one text has counts against what both have: see `alike`."""
SUBSTITUTED = 0.7
"""What is left of the similarity of texts of which one has other words in the place of some."""
ALLOWED = 0.025
"""The share of words that an edited article may have other ones for."""
CONTRADICTED = 0.08
"""The share of the numbers (or of the directions) of a text that another one may have differently."""
TAIL = 50
"""Among so many characters at the end the name of a source is looked for."""
LEAD = 3
"""So many words that say something are the beginning that a text is known by, whatever comes after it."""
COMMON = 0.25
"""The weight of a word such as `the`."""

_HAN = "".join(f"{chr(low)}-{chr(high)}" for low, high in HAN)
_PARTS = re.compile(rf"[{_HAN}]+|[^\W\d_{_HAN}]*\d(?:[.,:]?\d)*|[^\W\d_{_HAN}]+(?:'[^\W\d_{_HAN}]+)?|%")
_HAN_GAP = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")
_IS_HAN = re.compile(f"[{_HAN}]")
_INITIALS = re.compile(r"\b(?:[a-z]\.){2,}(?![a-z])")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'"})

_CUT = re.compile(rf"(?<=.)(?:[^\W_{_HAN}]|(?<=\d)[.,](?=\d)){{0,30}}\s?(?:\.{{3}}|\u2026)$")
_FREQUENT = frozenset(
    FREQUENT + word + again
    for word in (*COMMON_WORDS, *UNITS.values())
    for again in ("", *(f"\t{times}" for times in range(2, 40)))
)
_FACTOR, _WORD = 0x9E3779B97F4A7C15, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Wording:
    """A text as it is compared.

    Args:
        key: 16 bytes, equal for texts that differ in case, width, punctuation, blanks, wire marks and source only.
        tokens: the words and pairs of Chinese characters in order. The first sign tells what a token is
            (`KINDS`); what comes again is told apart by a number behind it, so that sets of them are multisets.
        shingles: what MinHash sees: words that say something and pairs of neighbours, 64 bits each.
        lead: of the first words; 0 where the text is too short to be known by them.
        length: in words that say something, two Chinese characters being one.
    """

    key: bytes
    tokens: tuple[str, ...]
    shingles: tuple[int, ...]
    lead: int
    length: float


def bare(text: str) -> str:
    """A text without the marks of a wire before it and the name of a source behind it, its width normalised."""
    plain = unicodedata.normalize("NFKC", text[: 2 * LONGEST]).translate(_APOSTROPHES)[:LONGEST]
    plain = " ".join(plain.split())
    rest = WIRE.sub("", plain, count=1)
    source = SOURCE.search(rest, max(0, len(rest) - TAIL))
    rest = rest[: source.start()] if source else rest
    if rest.endswith(("...", "\u2026")):  # the last word may be half of one
        rest = _CUT.sub("", rest, count=1)
    return rest if _PARTS.search(rest) else plain


def wording(text: str) -> Wording:
    """What a text is compared by. One without any word or number (`???`) is known by its characters alone."""
    plain = bare(text)
    parts = _PARTS.findall(_INITIALS.sub(_together, plain.lower().replace("per cent", "%")))
    ordered, marks = _read(parts)
    length = sum(0.5 if han else 1.0 for token, han in ordered if token[0] != FREQUENT)
    hashes = [_hashed(token) for token, _ in ordered]
    pairs = [(one * _FACTOR + other) & _WORD for one, other in zip(hashes, hashes[1:], strict=False)]
    says = [number for number, (token, _) in zip(hashes, ordered, strict=True) if token[0] not in (FREQUENT, POLE)]
    return Wording(
        key=_digest(_HAN_GAP.sub("", " ".join(parts)) if parts else plain),
        tokens=_numbered([token for token, _ in ordered] + marks),
        shingles=tuple(says + pairs),
        lead=_lead(ordered) if length >= LEAD else 0,
        length=length,
    )


def _read(parts: list[str]) -> tuple[list[tuple[str, bool]], list[str]]:
    """The tokens in order, each with whether it is a Chinese pair; and the numbers and poles written in Chinese."""
    ordered: list[tuple[str, bool]] = []
    marks: list[str] = []
    before = ""
    for part in parts:
        if _IS_HAN.match(part):
            run = before + part
            ordered += [(run[at : at + 2], True) for at in range(max(1, len(run) - 1))]
            marks += [HAN_POLES[sign] for sign in part if sign in HAN_POLES]
            marks += [NUMBER + found for found in HAN_NUMBER.findall(part)]
            before = part[-1]
        else:
            after_number = bool(ordered) and ordered[-1][0][0] == NUMBER
            ordered.append((_word(part, after_number), False))
            before = ""
    return ordered, marks


def _numbered(tokens: list[str]) -> tuple[str, ...]:
    """Tokens with a number behind each that was there before."""
    if len(set(tokens)) == len(tokens):
        return tuple(tokens)
    times: dict[str, int] = {}
    for at, token in enumerate(tokens):
        seen = times[token] = times.get(token, 0) + 1
        if seen > 1:
            tokens[at] = f"{token}\t{seen}"
    return tuple(tokens)


def _lead(ordered: list[tuple[str, bool]]) -> int:
    """A hash of the first `LEAD` words that say something."""
    found, left = 1, float(LEAD)
    for token, han in ordered:
        if token[0] != FREQUENT:
            found = (found * _FACTOR + _hashed(token)) & _WORD
            left -= 0.5 if han else 1.0
            if left <= 0:
                break
    return found


@lru_cache(maxsize=1 << 16)
def _word(part: str, after_number: bool) -> str:
    """The token of a word: in the singular, of one of the poles (rises and gains are one), or a number."""
    if any(sign.isdigit() for sign in part):
        plain = part.replace(",", "").replace(":", "")
        return NUMBER + (plain.rstrip("0").rstrip(".") if "." in plain else plain)
    unit = UNITS.get(part)
    if unit is not None and (after_number or len(part) > 2):
        return FREQUENT + unit
    if part in COMMON_WORDS or part == "%":
        return FREQUENT + part
    stem = _singular(part.removesuffix("'s"))
    if part in NUMBER_WORDS:
        return NUMBER + NUMBER_WORDS[part]
    return POLES.get(part) or POLES.get(stem) or stem


def _singular(word: str) -> str:
    """Without the `s` of the plural and of the third person (the S stemmer, Harman 1991)."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]


@lru_cache(maxsize=1 << 17)
def _hashed(token: str) -> int:
    return int.from_bytes(blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _together(found: re.Match[str]) -> str:
    return found.group().replace(".", "")


def alike(one: Sequence[str], other: Sequence[str], least: float = 0.0) -> float:
    """How alike two texts are by their tokens, 0 to 1; 0 where that is under `least`, or they contradict each other.

    The symmetric index of Tversky (1977) by Jimenez, Becerra and Gelbukh (2013), over the weights of the tokens:
    `c / (c + beta * (alpha * a + (1 - alpha) * b))`, where `c` is what both have, `a` the smaller and `b` the larger of
    what only one has. With a large `alpha` a clause more or less (`a = 0`) costs little, words in place of others much.
    It is multiplied by `SUBSTITUTED` where one text has another word, or name, in the place of a word of the other.
    """
    first, second = set(one), set(other)
    both = first & second
    mine, theirs = first - both, second - both
    common, a, b = _weight(both), _weight(mine), _weight(theirs)
    if not common or _tversky(common, a, b) < least / 2:
        return 0.0
    if mine and theirs:
        spelt, moved = _pair_misspelt(mine, theirs), _moved(mine, theirs)
        common, a, b = common + spelt + moved / 2, a - spelt - moved, b - spelt - moved
    found = _tversky(common, a, b)
    if found < least or not mine or not theirs:
        return found if found >= least else 0.0
    if _contradict(first, second, mine, theirs):
        return 0.0
    inner, other_inner = _inner(one, both, mine), _inner(other, both, theirs)
    if _substituted(inner, other_inner) > ALLOWED * min(_words(one), _words(other)):
        found *= SUBSTITUTED
    return found if found >= least else 0.0


def _tversky(common: float, mine: float, theirs: float) -> float:
    return common / (common + BETA * (ALPHA * min(mine, theirs) + (1 - ALPHA) * max(mine, theirs)))


def _moved(mine: set[str], theirs: set[str]) -> float:
    """How many pairs of Chinese characters both have, torn apart by a character more or less, or by another order."""
    return (_signs(mine) & _signs(theirs)).total() / 2


def _words(tokens: Sequence[str]) -> float:
    return sum(0.5 if _IS_HAN.match(token) else 1.0 for token in tokens)


def _pair_misspelt(mine: set[str], theirs: set[str]) -> int:
    """Takes out of both the words that are one word spelt in two ways; how many there were."""
    words = sorted(word for word in mine if len(word) > 3 and word[0] not in KINDS)
    others = sorted(word for word in theirs if len(word) > 3 and word[0] not in KINDS)
    found = 0
    for word in words:
        near = next((other for other in others if _misspelt(word, other)), None)
        if near is not None:
            others.remove(near)
            mine.remove(word)
            theirs.remove(near)
            found += 1
    return found


def _weight(tokens: set[str]) -> float:
    return len(tokens) - (1 - COMMON) * len(tokens & _FREQUENT)


def _contradict(one: set[str], other: set[str], mine: set[str], theirs: set[str]) -> bool:
    """Whether both have numbers, or poles, that the other has not, and these are a good part of all they have."""
    for kind in (NUMBER, POLE):
        differ = min(sum(token[0] == kind for token in mine), sum(token[0] == kind for token in theirs))
        if differ:
            least = min(sum(token[0] == kind for token in one), sum(token[0] == kind for token in other))
            if differ > CONTRADICTED * least:
                return True
    return False


def _inner(tokens: Sequence[str], both: set[str], alone: set[str]) -> list[str]:
    """The plain words that only this text has, and that stand before a plain word which both have.

    What comes after the last of those is a clause that was hung on, or what a cut took away.
    """
    end = len(tokens)
    while end and (tokens[end - 1] not in both or tokens[end - 1][0] in KINDS):
        end -= 1
    return [token.partition("\t")[0] for token in tokens[:end] if token in alone and token[0] not in KINDS]


def _substituted(mine: list[str], theirs: list[str]) -> float:
    """How many words of one text stand against different ones of the other."""
    if not mine or not theirs:
        return 0.0
    han, other_han = _signs(mine), _signs(theirs)
    changed = min((han - other_han).total(), (other_han - han).total()) / 4  # a character is in two pairs
    words = sum(not _IS_HAN.match(word) for word in mine)
    return changed + min(words, sum(not _IS_HAN.match(word) for word in theirs))


def _signs(tokens: Iterable[str]) -> Counter[str]:
    return Counter("".join(token.partition("\t")[0] for token in tokens if _IS_HAN.match(token)))


def _misspelt(word: str, other: str) -> bool:
    """Whether two words differ in one letter, in two neighbours that changed places, or in an ending."""
    if word[0] != other[0] and word[1:3] != other[1:3]:
        return False
    return word[: len(other)] == other[: len(word)] or OSA.distance(word, other, score_cutoff=1) <= 1
