"""The questions that have an answer: those nearest to a message, and how sure each is. The store has them, the index
finds them; what changed in the store is searchable as soon as `follow` has seen it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from metier.apps.support.answer.sure import Sure
from metier.search.index import Hit
from metier.search.stored import Entry as Text
from metier.search.words import terms
from metier.store import knowledge
from metier.store.knowledge import StoredEntry
from metier.store.store import Store

NEAREST = 8
"""Entries that a search brings."""
AT = "\x1f"
"""Between the id of an entry and the number of a question of it, in the ids of the index."""
Rows = list[tuple[float, ...]]
Near = tuple[StoredEntry, str, float]
"""An entry, the question of it that is nearest to a message, and their cosine."""
Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts as unit vectors, `(texts, width)`."""


class Searched(Protocol):
    """What an index can do."""

    def search(
        self, text: str, limit: int = 5, *, vector: np.ndarray | None = None, without: Collection[str] = ()
    ) -> list[Hit]:
        """The groups of the nearest texts, the best first; `without` texts of these ids."""
        ...

    def __contains__(self, id: str) -> bool: ...

    def put(self, texts: Sequence[Text]) -> None:
        """Adds texts, over those with the same ids."""
        ...

    def remove(self, ids: Sequence[str]) -> None:
        """Takes texts out."""
        ...


@dataclass(frozen=True, slots=True)
class Intent:
    """What the run says of a message.

    Args:
        probabilities: of each intent, calibrated.
        outside: how far outside of all intents the message lies, 0 to 1, one half at the operator's threshold.
    """

    probabilities: dict[str, float]
    outside: float = 0.0

    def share(self, entry: StoredEntry) -> float:
        """The probability of the intent of an entry."""
        return self.probabilities.get(entry.intent, 0.0) if entry.intent else 0.0

    def outside_of(self, entry: StoredEntry) -> float:
        """How far outside the message lies, as far as that says anything of an entry: an intent that came after the fit
        lies outside of all that the run knows."""
        return self.outside if entry.intent in self.probabilities else 0.0

    @property
    def label(self) -> str:
        """The intent that is more probable than all others together; empty where none is."""
        return next((name for name, share in self.probabilities.items() if share > 0.5), "")


NOBODY = Intent({})
"""Where there is no run."""


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that may answer: the question of it that is nearest, and the calibrated probability that it is right."""

    entry: StoredEntry
    question: str
    features: tuple[float, ...]
    score: float


NO_MATCH = Match(StoredEntry("", "", ""), "", (), 1.0)
"""Where an answer was found without looking: it had been found before."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """An entry that is not in the knowledge yet, or stands there in other words: what a replay finds beside the rest.

    Args:
        entry: as it would be.
        texts: its questions.
        vectors: theirs, `(texts, width)`.
    """

    entry: StoredEntry
    texts: Sequence[str]
    vectors: np.ndarray

    @classmethod
    def of(cls, entry: StoredEntry, encode: Encode) -> Proposed:
        """With its questions encoded."""
        texts = [one.text for one in texts_of(entry)]
        return cls(entry, texts, encode(texts))

    def nearest(self, vector: np.ndarray, text: str) -> tuple[str, float]:
        """The question of it that is nearest to a message, and their cosine; where there is none, by their terms."""
        own = frozenset(terms(text))
        pairs = zip(self.texts, (self.vectors @ vector).tolist(), strict=True)
        return max(pairs, key=lambda one: (one[1], _shared(own, one[0])))


class Known:
    """The knowledge as messages find it.

    Args:
        store: where entries are kept.
        index: over their questions; behind the store by as much as `turn` says.
        sure: from features to probabilities.
        turn: of the knowledge that the index has seen.
    """

    def __init__(self, store: Store, index: Searched, sure: Sure, turn: int = 0) -> None:
        self._store, self._index, self.sure, self.turn = store, index, sure, turn
        self._following = threading.Lock()

    def follow(self) -> int:
        """Brings the index to what the store has; how many entries changed."""
        with self._following:
            with self._store.read() as connection:
                changed = knowledge.changed(connection, self.turn)
            if changed:
                self._index.remove([id for one in changed for id in self._there(one.id)])
                self._index.put([text for one in changed if one.active for text in texts_of(one)])
                self.turn = changed[-1].turn
            return len(changed)

    def _there(self, entry: str) -> list[str]:
        """The ids under which the index holds questions of an entry."""
        found: list[str] = []
        while (id := f"{entry}{AT}{len(found)}") in self._index:
            found.append(id)
        return found

    def entry(self, id: str) -> StoredEntry | None:
        """An entry that is in use."""
        with self._store.read() as connection:
            found = knowledge.get(connection, [id]).get(id)
        return found if found is not None and found.active else None

    def find(
        self, text: str, intent: Intent = NOBODY, *, vector: np.ndarray | None = None, without: Sequence[str] = (),
        limit: int = NEAREST,
    ) -> list[Match]:  # fmt: skip
        """The entries that may answer, the surest first.

        Args:
            text: the question, masked.
            intent: what the run says of it.
            vector: of the text, where somebody has it.
            without: ids of texts of the index that do not count: how calibration looks at itself.
            limit: entries that are looked at.
        """
        return self._ranked(text, intent, self._nearest(text, vector, without, limit))

    def compare(
        self, text: str, vector: np.ndarray, proposed: Proposed, intent: Intent = NOBODY
    ) -> tuple[list[Match], list[Match]]:
        """As `find`, and as `find` would be with a proposed entry in the knowledge: one search for both."""
        near = self._nearest(text, vector)
        others = [one for one in near if one[0].id != proposed.entry.id]
        beside = [*others, (proposed.entry, *proposed.nearest(vector, text))]
        return self._ranked(text, intent, near), self._ranked(text, intent, beside)

    def _nearest(
        self, text: str, vector: np.ndarray | None, without: Sequence[str] = (), limit: int = NEAREST
    ) -> list[Near]:
        best = {hit.group: hit for hit in self._index.search(text, limit, vector=vector, without=without)}
        with self._store.read() as connection:
            entries = knowledge.get(connection, best)
        return [(entries[id], hit.text, hit.cosine) for id, hit in best.items() if id in entries and entries[id].active]

    def _ranked(self, text: str, intent: Intent, near: Sequence[Near]) -> list[Match]:
        shares = [(intent.share(entry), intent.outside_of(entry)) for entry, _, _ in near]
        rows = features(text, [(words, cosine) for _, words, cosine in near], shares)
        scores = self.sure(np.array(rows)) if rows else np.zeros(0)
        found = [
            Match(entry, words, row, float(score))
            for (entry, words, _), row, score in zip(near, rows, scores, strict=True)
        ]
        return sorted(found, key=lambda one: (-one.score, one.entry.id))


def texts_of(entry: StoredEntry) -> list[Text]:
    """What the index holds of an entry: each of its questions."""
    questions = [one for one in dict.fromkeys([entry.question, *entry.others]) if one.strip()]
    return [Text(f"{entry.id}{AT}{at}", text, entry.id) for at, text in enumerate(questions)]


def features(text: str, found: Sequence[tuple[str, float]], intents: Sequence[tuple[float, float]] = ()) -> Rows:
    """What `Sure` reads of each match: cosine, its lead over the best other one, shared terms (of both, of the message,
    and the lead), the probability of its intent, how far outside the message lies.

    A message that the encoder cannot read is near to nothing; there the cosine of the sets of terms stands for that of
    the vectors (`|A n B| / sqrt(|A| |B|)`, Salton & McGill 1983).

    Args:
        text: the message.
        found: of each match its words, and their cosine with the message.
        intents: of each match the probability of its intent, and how far outside of it and all others the message lies;
            empty: nobody told.
    """
    own = frozenset(terms(text))
    shared = [_shared(own, words) for words, _ in found]
    cosines = [cosine for _, cosine in found]
    if not any(cosines):
        cosines = [alike for _, _, alike in shared]
    leads = _leads(cosines)
    gains = _leads([both for both, _, _ in shared])
    return [
        (cosine, leads[at], *shared[at][:2], gains[at], *(intents[at] if intents else (0.0, 0.0)))
        for at, cosine in enumerate(cosines)
    ]


def _leads(values: Sequence[float]) -> list[float]:
    """Of each value how much it is over the best of the others, which is nought where there are none."""
    return [value - max((*values[:at], *values[at + 1 :]), default=0.0) for at, value in enumerate(values)]


@lru_cache(maxsize=8_192)
def _terms(text: str) -> frozenset[str]:
    """The terms of a text of the knowledge, which is compared with every message."""
    return frozenset(terms(text))


def _shared(own: frozenset[str], question: str) -> tuple[float, float, float]:
    """The share of common terms among those of both (Jaccard 1912), among those of the message, and their cosine."""
    other = _terms(question)
    both = len(own & other)
    return both / max(len(own | other), 1), both / max(len(own), 1), both / max(len(own) * len(other), 1) ** 0.5
