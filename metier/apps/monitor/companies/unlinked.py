"""What looks like the name of a company and is in no table: listed for review."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from metier.apps.monitor.companies.names import Token, joined

_STRONG_WORDS = "inc incorporated corp corporation ltd limited plc llc ag gmbh nv spa oyj asa bhd kgaa"
STRONG = frozenset(_STRONG_WORDS.split())
"""Legal forms that are hardly anything else."""
WINDOW = 5
_HAN_NAME = re.compile(
    r"[\u4e00-\u9fff]{2,16}?(?:[(][\u4e00-\u9fff]{1,6}[)])?[\u4e00-\u9fff]{0,8}?(?:股份有限公司|有限责任公司|有限公司)"
)
_BEFORE = re.compile(
    r"^.*(?:[与和及由向对将在为是的据称]|公告|宣布|表示|收购|起诉|旗下|子公司|股东)(?=[\u4e00-\u9fff]{4})"
)


def unknown_names(text: str, words: Sequence[Token], shouted: bool) -> Iterator[tuple[int, int]]:
    """`(start, end)` of capitalised words before a legal form, and of Chinese names with one."""
    for at, word in enumerate(words):
        if word.word in STRONG and word.surface[0].isupper() and at:
            first = at
            while first and at - first < (2 if shouted else WINDOW) and _goes_on(text, words, first):
                first -= 1
            if first < at:
                yield words[first].start, word.end
    if not text.isascii():
        for match in _HAN_NAME.finditer(text):
            before = _BEFORE.match(match.group())
            yield match.start() + (before.end() if before else 0), match.end()


def _goes_on(text: str, words: Sequence[Token], first: int) -> bool:
    before = words[first - 1]
    named = before.surface[0].isupper() or before.surface == "&"
    return (
        named
        and not before.han
        and "," not in text[before.end : words[first].start]
        and joined(text, before, words[first])
    )
