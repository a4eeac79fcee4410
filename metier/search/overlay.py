"""What changed since the index on disk was written: in memory, searchable at once. Its owner holds a lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.search.lexical import Additions, Lexical, Query
from metier.search.stored import Entry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search may find: texts of these groups (`None`: of all) but for those of these ids."""

    groups: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def has(self, entry: Entry) -> bool:
        """Whether a text may be found."""
        return entry.id not in self.without and (self.groups is None or entry.of in self.groups)


class Overlay:
    """Texts and vectors in memory; each text has a slot that no other ever had.

    Args:
        base: the postings on disk, whose statistics count, too.
        width: of a vector.
    """

    def __init__(self, base: Lexical, width: int) -> None:
        self.lexical = Additions(base)
        self.entries: dict[int, Entry] = {}
        self.slots: dict[str, int] = {}
        self.end = 0
        self._vectors = np.zeros((64, width), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.entries)

    def put(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        """Adds texts, each in the place of the one with its id."""
        for entry, vector in zip(entries, vectors, strict=True):
            self.remove(entry.id)
            if self.end == len(self._vectors):
                self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            slot, self.end = self.end, self.end + 1
            self._vectors[slot] = vector
            self.entries[slot], self.slots[entry.id] = entry, slot
            self.lexical.add(slot, entry.text)

    def remove(self, id: str) -> None:
        """Forgets the text with an id, where there is one."""
        slot = self.slots.pop(id, None)
        if slot is not None:
            del self.entries[slot]
            self.lexical.remove(slot)

    def vectors(self, slots: Sequence[int]) -> np.ndarray:
        """Of some slots `(n, width)`, a copy."""
        found: np.ndarray = self._vectors[np.array(slots, dtype=np.int64)]
        return found

    def scored(
        self, asked: Query, vector: np.ndarray | None, wanted: Wanted
    ) -> tuple[list[Entry], np.ndarray, np.ndarray]:
        """`(texts, their lexical scores (n,), their cosines (n,))`, of all that may be found."""
        slots = [slot for slot, entry in self.entries.items() if wanted.has(entry)]
        words = self.lexical.scores(asked)
        lexical = np.array([words.get(slot, 0.0) for slot in slots], dtype=np.float32)
        cosines = np.zeros(len(slots), dtype=np.float32)
        if vector is not None and slots:
            cosines = (self._vectors[: self.end] @ vector)[slots]
        return [self.entries[slot] for slot in slots], lexical, cosines
