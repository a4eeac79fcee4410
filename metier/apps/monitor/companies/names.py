"""Names of companies as they are compared: tokens of a text, legal forms, words that are no names."""

from __future__ import annotations

import re
from typing import NamedTuple

from metier.data.dedup import HAN

_HAN = "".join(f"{chr(low)}-{chr(high)}" for low, high in HAN)
_TOKEN = re.compile(rf"[{_HAN}]|(?:[A-Za-z]\.){{2,}}(?![a-z])|[^\W_{_HAN}]+|&")
_IS_HAN = re.compile(f"[{_HAN}]")
_GAP = re.compile(r"[\s\-'/]{0,3}")
_LOOSE_GAP = re.compile(r"[\s\-.,'/]{0,3}")
_PLAIN = {0x3000: 0x20, 0x00A0: 0x20, 0x2018: 0x27, 0x2019: 0x27, 0x2010: 0x2D, 0x2011: 0x2D, 0x2012: 0x2D}
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | _PLAIN

_LEGAL_WORDS = (
    "inc incorporated corp corporation co company ltd limited plc llc llp lp ag sa se nv spa gmbh kgaa kg ab"
    " asa oyj bv pty pte bhd sab sas srl kk jsc pjsc ooo holding holdings group"
)
LEGAL = frozenset(_LEGAL_WORDS.split())
"""Legal forms, and what is left out as readily."""
HAN_LEGAL = re.compile(
    r"(?:[(（][^()（）]{1,6}[)）])?(?:集团)?(?:控股)?(?:股份有限公司|有限责任公司|有限公司|股份公司)$|(?<=..)(?:集团|公司|股份|控股)$"
)
_WORDS_WORDS = (
    "a all an and any are as at be best big box but by can car cash cat chef cost dare day deal do dog ea eat"
    " ever fast fix flow for fun gap get go gold good great has he here hi his hot how i if in is it its job"
    " just key kind lead life live love low man may meet me mind more most my new next no now of oil old on"
    " one open or our out own pay peak play post real rest rise run safe save see self she ship site sky so"
    " son star step stop sun tap team tell than that the they this to too top trip true two uk up us usa vice"
    " wall was we well who why will win work x you your ai ceo cfo ceos ipo gdp eu un fed etf pm am er tv pc"
    " ad ads pr hr m b k q1 q2 q3 q4 fy yoy mom eps roi esg imf"
)
WORDS = frozenset(_WORDS_WORDS.split())
"""Words and abbreviations of headlines: a ticker that is one of them counts in the form of a ticker only."""
_NOUNS_WORDS = (
    "apple target gap visa shell oracle orange square block match meta amazon delta ford chase coach fox giant"
    " global intel key kraft linear lowe macy mask monster nucor pool progressive public regions ross snap"
    " southern sprint staples twitter unity universal united western wish zoom alphabet gold silver sun star"
    " titan vanguard discovery dollar general state street crown caterpillar sage next compass greggs wise"
    " reach dunelm virgin eagle phoenix everest mint vista galaxy liberty century frontier pioneer premier"
    " prime summit sterling"
)
NOUNS = frozenset(_NOUNS_WORDS.split())
"""Ordinary words that are the names of companies: at the beginning of a sentence a capital says nothing."""


class Token(NamedTuple):
    """A word, or one Chinese character: characters `start` to `end`, in lower case, and as it stands there."""

    start: int
    end: int
    word: str
    surface: str

    @property
    def han(self) -> bool:
        return bool(_IS_HAN.match(self.surface))


def narrowed(text: str) -> str:
    """A text with full-width letters, digits and signs as ordinary ones; every character keeps its place."""
    return text if text.isascii() else text.translate(_WIDE)


def tokens(text: str) -> list[Token]:
    """The words of a narrowed text, `&` being `and`, initials one word (`J.P.` is `jp`)."""
    found = []
    for match in _TOKEN.finditer(text):
        surface = match.group()
        word = "and" if surface == "&" else surface.replace(".", "").lower()
        if len(surface) > 3 and surface[-1] == "s" and surface[:-1].isupper():  # MNCs
            word = word[:-1]
        found.append(Token(match.start(), match.end(), word, surface))
    return found


def joined(text: str, one: Token, other: Token) -> bool:
    """Whether two neighbouring words can be of one name: nothing but blanks, hyphens or an apostrophe between them;
    before a legal form a comma, too, and a full stop after an abbreviation (`St. James`)."""
    if one.han or other.han:
        return one.end == other.start or (one.han != other.han and text[one.end : other.start] == " ")
    loose = other.word in LEGAL or (len(one.word) <= 3 and "," not in text[one.end : other.start])
    return one.end == other.start or bool((_LOOSE_GAP if loose else _GAP).fullmatch(text, one.end, other.start))


def phrase(name: str) -> tuple[str, ...]:
    """A name as the words that it is looked up by."""
    return tuple(token.word for token in tokens(narrowed(name)))


def without_form(name: str) -> str:
    """A name without its legal form: `Apple Inc.` is `Apple`, `贵州茅台酒股份有限公司` is `贵州茅台酒`.

    The name itself where nothing, or next to nothing, would be left.
    """
    plain = narrowed(name).strip()
    shorter = HAN_LEGAL.sub("", plain)
    if shorter != plain:
        return shorter if len(shorter) >= 2 else name
    words = tokens(plain)
    end = len(words)
    while end > 1 and words[end - 1].word in LEGAL:
        end -= 1
    if end > 1 and end < len(words) and words[end - 1].word == "and":  # Tiffany & Co
        end -= 1
    left = plain[: words[end - 1].end] if words else plain
    return left if end < len(words) and len(left) >= 2 else name
