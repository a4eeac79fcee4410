"""Words that are said more often than usual: weighted log-odds with an informative Dirichlet prior.

Monroe, Colaresi and Quinn (2008), "Fightin' Words: Lexical Feature Selection and Evaluation for Identifying the Content
of Political Conflict", Political Analysis 16(4), equations 16, 20 and 22. The prior keeps rare words from looking
important, which plain ratios do not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from metier.apps.stopwords import STOP, STOP_HAN
from metier.errors import MissingExtra
from metier.search import words as search_words

WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
PRIOR = 100.0
"""Tokens that the prior is worth; as many as there are, where there are fewer. A surge is a handful of headlines: a
prior that is worth much more than they are lets none of their words stand out."""
LONGEST = 20_000
"""Characters of a text that are read."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A word with its z-score, its log-odds against the baseline, how often it was said here and there."""

    word: str
    z: float
    log_odds: float
    here: int
    there: int


def compare(here: Mapping[str, int], there: Mapping[str, int], prior: float = PRIOR) -> list[Odd]:
    """The words of `here`, those that are most over-represented against `there` first.

    With counts y and sums n, and the prior α_w = α_0 · (share of w in both together), α_0 = `prior`:

        δ_w = ln((y_w + α_w) / (n + α_0 - y_w - α_w)) - ln((y'_w + α_w) / (n' + α_0 - y'_w - α_w))   (eq. 16)
        σ²_w ≈ 1 / (y_w + α_w) + 1 / (y'_w + α_w)                                                    (eq. 20)
        z_w = δ_w / σ_w                                                                              (eq. 22)

    Args:
        here: counts of the surge.
        there: counts of the baseline, those of the surge not among them.
        prior: α_0, in tokens.
    """
    n, m = sum(here.values()), sum(there.values())
    both = n + m
    strength = min(prior, float(both))
    found = []
    for word, count in here.items():
        other = there.get(word, 0)
        weight = strength * (count + other) / both if both else 0.0
        rest, rest_there = n + strength - count - weight, m + strength - other - weight
        if count <= 0 or rest <= 0 or rest_there <= 0:
            continue  # a word that is all there is says nothing
        delta = math.log((count + weight) / rest) - math.log((other + weight) / rest_there)
        spread = math.sqrt(1 / (count + weight) + 1 / (other + weight))
        found.append(Odd(word, round(delta / spread, 3), round(delta, 3), count, other))
    return sorted(found, key=lambda odd: (-odd.z, odd.word))


def terms(text: str) -> Iterator[str]:
    """Words and pairs of neighbouring words, in lower case; Chinese as jieba cuts it, or in pairs of characters."""
    text = text[:LONGEST].lower()
    place = 0
    for run in HAN.finditer(text):
        yield from _latin(text[place : run.start()])
        yield from _han(run.group())
        place = run.end()
    yield from _latin(text[place:])


def counted(texts: Iterable[str]) -> Counter[str]:
    """How often each term is said in all texts together."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update(terms(text))
    return found


def cutter() -> str:
    """How Chinese is cut here: what a replay elsewhere needs to know."""
    return "jieba" if _jieba() else "pairs of characters"


def _latin(text: str) -> Iterator[str]:
    before, end = "", 0
    for found in WORD.finditer(text):
        word = found.group()
        kept = word not in STOP and len(word) > 1 and not word[0].isdecimal()
        if kept:
            yield word
            if before and text[end : found.start()].isspace():
                yield f"{before} {word}"
        before, end = word if kept else "", found.end()


def _han(run: str) -> Iterator[str]:
    cut = _jieba()
    if cut is None:
        yield from (run[at : at + 2] for at in range(len(run) - 1) if not STOP_HAN & set(run[at : at + 2]))
        return
    before = ""
    for word in cut(run):
        kept = len(word) > 1
        if kept:
            yield word
            if before:
                yield before + word
        before = word if kept else ""


@cache
def _jieba() -> Callable[[str], list[str]] | None:
    """The word segmentation of jieba, where that is installed."""
    try:
        cut = search_words.cutter().cut
    except MissingExtra:
        return None
    return lambda run: [str(word) for word in cut(run, HMM=False)]
