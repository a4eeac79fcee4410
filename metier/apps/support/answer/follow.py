"""What a message means within its conversation: a question of its own, or one that goes on from the last."""

from __future__ import annotations

import re

from metier.apps.support.item import Asked

_OPENINGS = re.compile(
    r"(and|but|or|so|also|then|what about|how about|what if|and if|same for|only|even|for|in|from|with|to)\b"
    r"|(那|那么|那如果|如果|还有|另外|也|然后|呢|换成|在|对于)",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(it|its|that|this|they|them|those|these|there|one|ones|so|same|he|she|then)\b|(它|这个|那个|这些|那些|这|那|其|呢[?？]?$)",
    re.IGNORECASE,
)
WORDS, CHARACTERS = 7, 12
"""Words (or Chinese characters) up to which a message may go on from another one without saying so."""


def follows(asked: Asked) -> bool:
    """Whether a message looks as if it goes on from the question before: short, and opening or pointing back."""
    if not asked.context.question:
        return False
    text = asked.masked.strip()
    if _OPENINGS.match(text):
        return _size(text, asked.language) <= 2
    return _size(text, asked.language) <= 1.5 and bool(_POINTS.search(text)) or _size(text, asked.language) <= 0.4


def joined(asked: Asked) -> str:
    """The question before with what the message adds, as one question to search for."""
    return f"{asked.context.question.rstrip(' ?？.。!！')} {asked.masked.strip()}"


def _size(text: str, language: str) -> float:
    """The length in units of a short message."""
    return len(text) / CHARACTERS if language == "zh" else len(text.split()) / WORDS
