"""Vectors without a model: every word a direction of its own, so that texts with common words are near."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

WIDTH = 32


class ToyEncoder:
    """Texts as unit vectors; Chinese has none."""

    version = "toy"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        found = np.zeros((len(texts), WIDTH), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                if word.isascii():
                    found[row] += np.random.default_rng(crc32(word.encode())).standard_normal(WIDTH)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
