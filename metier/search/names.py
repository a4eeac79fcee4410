"""Names of people, places and organisations in Chinese, which no capital letter tells: those of jieba's dictionary."""

from __future__ import annotations

import re
from threading import Lock

from metier.search.words import cutter

_name = re.compile(r"^(\S{2,}) \d+ n[rstz]\S*$", re.MULTILINE)
"""A line of jieba's dictionary: people, places, organisations and other names."""
_lock = Lock()
_known: list[frozenset[str]] = []


def names(run: str) -> list[str]:
    """The names in a run of Chinese, of two characters or more, as jieba cuts it. Raises `MissingExtra` without jieba.

    A name that the dictionary does not have is not found, and some of its names are common words, too.
    """
    known = _names()
    return [word for word in cutter().cut(run, HMM=False) if word in known]


def _names() -> frozenset[str]:
    if not _known:
        asked = cutter()
        with _lock:
            if not _known:
                with asked.get_dict_file() as file:
                    _known.append(frozenset(_name.findall(file.read().decode("utf-8"))))
    return _known[0]
