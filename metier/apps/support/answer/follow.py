"""What a message means within its conversation: a question of its own, or one that goes on from the last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from metier.apps.support.answer.known import Match
from metier.apps.support.item import Asked

Reading = Literal["alone", "both", "rest"]
"""A question of its own; the question before with it; the same, and not what answered that."""

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
    return leans(asked) or bool(asked.context.question) and _size(asked.masked.strip(), asked.language) <= 0.4


def leans(asked: Asked) -> bool:
    """Whether a message says itself that it goes on: it opens or points back."""
    text = asked.masked.strip()
    if not asked.context.question:
        return False
    if _OPENINGS.match(text):
        return _size(text, asked.language) <= 2
    return _size(text, asked.language) <= 1.5 and bool(_POINTS.search(text))


def chosen(
    asked: Asked, alone: Sequence[Match], both: Sequence[Match], rest: Sequence[Match], threshold: float, offer: float
) -> Reading:
    """As what a message is answered that may go on from another one.

    The question before finds its own answer again, whatever the message adds to it. That it does says nothing of the
    message: what it asks for is looked for by its own words, and by both without that answer.

    Args:
        asked: the message.
        alone: what its own words find, the surest first.
        both: what the question before finds together with it.
        rest: the same without the entry that answered the question before.
        threshold: the score from which an answer is given.
        offer: the score from which an entry is offered.
    """
    own, joined, other = (found[0].score if found else 0.0 for found in (alone, both, rest))
    again = bool(both) and both[0].entry.id == asked.context.entry
    if both and not again and joined > own:
        return "both"
    if own >= threshold:
        return "alone"
    if other >= threshold:
        return "rest"
    if again and leans(asked) and (alone and alone[0].entry.id == asked.context.entry or max(own, other) < offer):
        return "both"
    if own >= max(other, offer) or not leans(asked):
        return "alone"
    return "rest"


def joined(asked: Asked) -> str:
    """The question before with what the message adds, as one question to search for."""
    return f"{asked.context.question.rstrip(' ?？.。!！')} {asked.masked.strip()}"


def _size(text: str, language: str) -> float:
    """The length in units of a short message."""
    return len(text) / CHARACTERS if language == "zh" else len(text.split()) / WORDS
