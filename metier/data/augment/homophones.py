"""Chinese characters that are typed alike: the mistakes of whoever picks the wrong one from an input method's list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

from metier.errors import MissingExtra

HAN = re.compile("[\u4e00-\u9fff]")


def homophones(texts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """For every Chinese character of some texts, others with the same pinyin (without tones, which nobody types).

    Characters that the texts hold themselves come first, often, as often as they occur there; only where there is none,
    others of the 3,755 common ones of GB 2312 stand in. Raises `MissingExtra` where pypinyin is not installed.
    """
    counts = Counter(character for text in texts for character in HAN.findall(text))
    if not counts:
        return {}
    own: dict[str, list[str]] = {}
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        own.setdefault(_pinyin(character), []).extend([character] * min(count, 100))
    found = {}
    for character in counts:
        sound = _pinyin(character)
        others = [item for item in own[sound] if item != character] or [
            item for item in _common().get(sound, ()) if item != character
        ]
        if others:
            found[character] = tuple(others)
    return found


@cache
def _common() -> Mapping[str, tuple[str, ...]]:
    """The common characters by pinyin: level 1 of GB 2312, rows 16 to 55."""
    found: dict[str, list[str]] = {}
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            if (row, cell) < (0xD7, 0xFA):  # the last five cells of row 55 are empty
                character = bytes((row, cell)).decode("gb2312")
                found.setdefault(_pinyin(character), []).append(character)
    return {sound: tuple(characters) for sound, characters in found.items()}


@cache
def _pinyin(character: str) -> str:
    """The commonest reading, without its tone."""
    try:
        from pypinyin import lazy_pinyin
    except ImportError:
        raise MissingExtra("pypinyin", "train") from None
    return str(lazy_pinyin(character)[0])
