"""A tokenizer of a few lines: words of Latin letters in pieces of three characters, everything else one by one."""

from __future__ import annotations

import re

import numpy as np

from metier.tasks.task import Encoding
from metier.types import Document

WORD = re.compile(r"[a-zA-Z0-9]+|\S")


def pieces_of(document: Document) -> list[tuple[int, int, bool]]:
    """`(start, end, begins a word)` of each token of the text."""
    bounds = document.tokens or [match.span() for match in WORD.finditer(document.text)]
    return [(at, min(at + 3, end), at == start) for start, end in bounds for at in range(start, end, 3)]


def cut(document: Document, length: int = 10_000, stride: int = 2) -> list[Encoding]:
    """The windows of a text, each between two special tokens."""
    tokens = pieces_of(document)
    starts = range(0, max(1, len(tokens) - stride), length - stride)
    return [window(document, tokens[start : start + length]) for start in starts]


def window(document: Document, tokens: list[tuple[int, int, bool]]) -> Encoding:
    count = len(tokens) + 2
    start, end = np.zeros((2, count), dtype=np.int32)
    sequence, word = np.full(count, -1, dtype=np.int32), np.zeros(count, dtype=bool)
    sequence[1:-1] = 0
    for at, (first, last, begins) in enumerate(tokens, start=1):
        start[at], end[at], word[at] = first, last, begins
    return Encoding(document, np.arange(count), np.zeros(count, dtype=np.int32), start, end, sequence, word)
