"""Where the sentences of English and Chinese texts begin and end, by rules.

A stop ends a sentence unless it belongs to an abbreviation, an initial, a number or the word behind it goes on in small
letters; Chinese stops always do. Quotation marks and brackets that close behind a stop belong to its sentence.
"""

from __future__ import annotations

import re

CLOSING = "\"'\u201d\u2019)]\u300d\u300f\uff09\u300b\u3011\uff3d"
_goes_on = "etc inc ltd co corp a.m p.m u.s u.k al jr sr"
GOES_ON = frozenset(_goes_on.split())
"""Abbreviations that end a sentence, too, where a capital follows."""
_short = """
mr mrs ms dr prof st no nos vs dept approx est fig figs sec secs art p pp vol ed eds ca cf e.g i.e eg ie tel ext min max
incl excl resp jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun gen col capt rev hon
ave blvd rd
"""
ABBREVIATIONS = GOES_ON | frozenset(_short.split())
_closing = f"[{re.escape(CLOSING)}]*"
_stop = re.compile(rf"[。！？…]+{_closing}|[.!?\uff0e]+{_closing}(?=\s|$)|\n\s*\n|\uff01|\uff1f")
_before = re.compile(r"[^\s(\[\"']*$")


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """`(start, end)` of each sentence, without the blanks around it; an empty line ends one, too."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in _stop.finditer(text):
        if match[0][0] == "." and not _ends(text, match, start):
            continue
        _add(found, text, start, match.end())
        start = match.end()
    _add(found, text, start, len(text))
    return found


def _add(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        first = start + len(piece) - len(piece.lstrip())
        found.append((first, first + len(stripped)))


def _ends(text: str, stop: re.Match[str], start: int) -> bool:
    """Whether a stop with a blank behind it ends a sentence."""
    after = text[stop.end() : stop.end() + 20].lstrip()
    if not after:
        return True
    if after[0].islower():
        return False
    if len(stop[0]) > 1:  # an ellipsis, or a quotation that closes
        return True
    window = text[max(start, stop.start() - 20) : stop.start()]
    found = _before.search(window)
    word = found[0] if found else ""
    known = word.lower()
    if known in ABBREVIATIONS:
        return known in GOES_ON and after[0].isupper()
    if len(word) == 1 and word.isupper() and word != "I":  # an initial
        return False
    # the number of an item at the beginning of a line: "2. Open the page"
    line = text.rfind("\n", 0, stop.start()) + 1
    return not (word.isdigit() and len(word) <= 3 and not text[max(line, start) : stop.start() - len(word)].strip())
