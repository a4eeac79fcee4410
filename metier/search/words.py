"""Terms of a text for lexical search, in English, Chinese and texts that mix both.

Folded by NFKC and case; words stay as they are (taking the plural's `s` off, Harman 1991, and leaving out stop words
did not help the hybrid search on MedQuAD). Runs of Chinese give the words that jieba finds and every two characters on
end; numbers and codes stay whole, and give their parts.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable

HAN = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Characters between which no blanks stand: Chinese and Japanese."""
_piece = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+(?:['_./:+#-][^\W_{HAN}]+)*")
_han = re.compile(rf"[{HAN}]")
_joint = re.compile(r"[_./:+#-]")
_digit = re.compile(r"\d")
_possessive = re.compile(r"'s?(?=$|[_./:+#-])")
_thousands = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
LONGEST = 20_000
"""Characters of a text that are looked at."""
WORD = 64
"""Characters of a longer word that count."""
STOP_ZH = frozenset("的了是在和有我你他她它们吗呢啊吧就也都与及或之其")
"""Characters that carry grammar: alone they are no term."""


def folded(text: str) -> str:
    """A text in one width and one case (NFKC, case folding), cut at `LONGEST` characters."""
    return unicodedata.normalize("NFKC", text[:LONGEST]).casefold().replace("\u2019", "'")


def terms(text: str) -> list[str]:
    """The terms of a text in their order, each as often as it occurs."""
    return [term for piece in _piece.findall(_thousands.sub("", folded(text))) for term in _of_piece(piece)]


def _of_piece(piece: str) -> Iterator[str]:
    if _han.match(piece):
        yield from chinese(piece)
    elif _digit.search(piece):
        yield piece[:WORD]
        parts = _joint.split(piece)
        if len(parts) > 1:
            yield from (part[:WORD] for part in parts if part)
    else:
        yield from (part[:WORD] for part in _joint.split(_possessive.sub("", piece)) if part)


def chinese(run: str) -> Iterator[str]:
    """Terms of a run of Chinese: jieba's words, pairs of characters; a lone character is a term itself."""
    if len(run) == 1:
        yield run
        return
    for word in cutter().cut_for_search(run, HMM=False) if len(run) > 2 else [run]:
        if len(word) > 2 or (len(word) == 1 and word not in STOP_ZH):
            yield word
    yield from (run[at : at + 2] for at in range(len(run) - 1))


_lock = Lock()
_cutter: list[Any] = []


def cutter() -> Any:
    """jieba's cutter with its own dictionary, read anew in each process. Raises `MissingExtra` without jieba.

    Its cache is a file in the shared temporary folder that it would unmarshal whoever wrote it: not used.
    """
    if not _cutter:
        with _lock:
            if not _cutter:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # its sources warn: escapes, pkg_resources
                    try:
                        import jieba
                    except ImportError:
                        raise MissingExtra("jieba", "apps") from None
                logging.getLogger("jieba").setLevel(logging.WARNING)
                cutter = jieba.Tokenizer()
                cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
                cutter.initialized = True
                _cutter.append(cutter)
    return _cutter[0]


@lru_cache(maxsize=200_000)
def key(term: str) -> int:
    """A 64-bit key of a term: two of a million terms have the same one with a chance of 3 in 100 million."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def keys(found: Iterable[str]) -> np.ndarray:
    """Keys `(n,)`, uint64, of terms."""
    return np.array([key(term) for term in found], dtype=np.uint64)


SHORTEST = 5
"""Letters of a word from which on it is looked for under one slip."""


def slips(word: str) -> list[str]:
    """A word, and what is left of it without one of its letters; nothing for short words, numbers, Chinese.

    Two words that differ by one letter left out, added, wrong, or by two exchanged ones share one of these (symmetric
    deletion: Bocek, Hunt & Stiller 2007).
    """
    if len(word) < SHORTEST or len(word) > WORD // 2 or not word.isalpha() or _han.match(word):
        return []
    return [word, *dict.fromkeys(word[:at] + word[at + 1 :] for at in range(len(word)))]
