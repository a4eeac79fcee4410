"""What kinds of augmentation draw from: words that are alike, characters that sound alike, words of Chinese texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sources:
    """Everything by which a text can be changed.

    Args:
        neighbours: of a word in small letters, the words that are near it; see `vocabulary.neighbours`.
        homophones: of a Chinese character, those that sound like it; see `homophones.homophones`.
        lexicon: Chinese words; see `passages.lexicon`.
    """

    neighbours: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    homophones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lexicon: frozenset[str] = frozenset()
