"""Which language a text is in, roughly: by script, and for the Latin script by its commonest words.

Enough to notice that a data set mixes languages; not meant to label texts.
"""

from __future__ import annotations

import re

SCRIPTS = (
    ("zh", "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"),
    ("ja", "\u3040-\u30ff\u31f0-\u31ff"),
    ("ko", "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"),
    ("latin", "A-Za-z\u00c0-\u024f\u1e00-\u1eff"),
    ("cyrillic", "\u0400-\u052f"),
    ("greek", "\u0370-\u03ff"),
    ("arabic", "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff"),
    ("hebrew", "\u0590-\u05ff"),
    ("devanagari", "\u0900-\u097f"),
    ("thai", "\u0e00-\u0e7f"),
)
_scripts = [(name, re.compile(f"[{characters}]")) for name, characters in SCRIPTS]
WORDS = {
    "en": "the of and to in is that it for on with as are was this be by have from you not at we my what do i how",
    "fr": "le la les des du et est dans pour que qui une sur au avec pas il ne ce plus vous je nous sont par",
    "de": "der die das und ist nicht ein eine mit von den zu im auf dem sich es auch wird bei ich wir sie",
    "es": "el los las y es en que por con para una del se no lo su al como pero más muy está mi",
    "it": "il di che è per non una con del sono gli della si anche come ma più nel mi alla ha",
    "pt": "o os as e é em que não para uma com do da se por mais no na um foi ao são muito",
    "nl": "de het een en van is dat op te voor met niet zijn aan er ook als bij ik maar door",
}
_owners: dict[str, list[str]] = {}
for _name, _list in WORDS.items():
    for _each in _list.split():
        _owners.setdefault(_each, []).append(_name)
_word = re.compile(r"\b[^\W\d_]+\b")
_marks = bytes(code if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128)).ljust(256)
LENGTH = 400
KNOWN, FEW = 0.15, 4
"""A Latin text is of a language if so large a share of its words is common there, of at least so many words."""


def language(text: str) -> str | None:
    """`en`, `zh`, `fr`, ... or the name of a script; `None` where there is too little to go by."""
    text = text[:LENGTH]
    if text.isascii():
        return _latin(text)
    counts = {name: len(pattern.findall(text)) for name, pattern in _scripts}
    script = max(counts, key=lambda name: counts[name])
    if not counts[script]:
        return None
    if script in ("zh", "ja"):
        return "ja" if counts["ja"] > 0.1 * (counts["zh"] + counts["ja"]) else "zh"
    # few letters say much in Chinese: a text with English names in it is still Chinese
    if script == "latin" and counts["zh"] + counts["ja"] > 0.25 * counts["latin"]:
        return "ja" if counts["ja"] > counts["zh"] else "zh"
    return _latin(text) if script == "latin" else script


def _latin(text: str) -> str | None:
    words = _words(text)
    if len(words) < FEW:
        return None
    common = dict.fromkeys(WORDS, 0)
    for names in [_owners[word] for word in words if word in _owners]:
        for name in names:
            common[name] += 1
    # of equals the first of `WORDS`: English
    best = max(common, key=common.__getitem__)
    return best if common[best] >= max(1, KNOWN * len(words)) else None


def _words(text: str) -> list[str]:
    """The runs of letters with neither digits nor underscores beside them, in lower case."""
    if text.isascii():  # the same, several times as fast
        plain = text.lower().encode("ascii").translate(_marks).decode("ascii")
        return [word for word in plain.split() if word.isalpha()]
    return [word.lower() for word in _word.findall(text)]
