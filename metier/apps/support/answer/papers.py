"""What the company's documents say: the sentences nearest to a message, and an answer made of them, each one cited."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from metier.apps.support.answer.known import AT, Searched, features
from metier.apps.support.answer.sure import Sure
from metier.apps.support.item import Citation
from metier.data.papers.passages import Passage
from metier.data.sentences import sentences
from metier.search.stored import Entry as Text
from metier.search.words import terms

WHOLE = "whole"
"""In the place of the number of a sentence: the text of the whole passage."""
NEAREST = 24
QUOTED = 0.75
"""The share of the best sentence's score from which another one is quoted beside it."""
LONGEST = 400
"""Characters of a quote."""
HEADING = 8
"""Terms up to which a piece without an end may be a heading."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage that may answer, and the calibrated probability that it does."""

    passage: Passage
    sentence: str
    at: int
    features: tuple[float, ...]
    score: float

    def citation(self) -> Citation:
        """As people see it."""
        title = " · ".join(filter(None, (self.passage.title, self.passage.heading)))
        return Citation(self.passage.id, title, self.sentence[:LONGEST], self.passage.path, self.passage.page or 0)


class Papers:
    """Passages of documents, each findable as a whole and by its sentences.

    Args:
        index: over both.
        passages: by their ids.
        sure: from features to probabilities.
    """

    def __init__(self, index: Searched, passages: Iterable[Passage], sure: Sure) -> None:
        self._index, self.sure = index, sure
        self._passages: dict[str, Passage] = {one.id: one for one in passages}
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._passages)

    @property
    def passages(self) -> Mapping[str, Passage]:
        """What is known, by id."""
        return self._passages

    def change(self, gone: Sequence[str], come: Sequence[Passage]) -> None:
        """Takes passages out, by their ids, and in; searchable when it returns."""
        with self._changing:
            before, out = self._passages, set(gone)
            kept = {id: one for id, one in before.items() if id not in out}
            kept.update({one.id: one for one in come})
            self._index.put([text for one in come for text in texts_of(one)])
            self._passages = kept
            left = [before[id] for id in gone if id in before and id not in kept]
            self._index.remove([text.id for one in left for text in texts_of(one)])

    def find(
        self, text: str, *, vector: np.ndarray | None = None, without: Sequence[str] = (), limit: int = NEAREST
    ) -> list[Quote]:
        """The sentences nearest to a message, the surest first; `without` those of passages of these ids."""
        passages = self._passages
        skipped = [one.id for id in without if id in passages for one in texts_of(passages[id])]
        found: dict[tuple[str, int], float] = {}
        for hit in self._index.search(text, limit, vector=vector, without=skipped):
            passage, _, number = hit.id.rpartition(AT)
            if passage in passages and number.isdigit():
                found.setdefault((passage, int(number)), hit.cosine)
        near = [(passages[id], at, _sentence(passages[id], at), cosine) for (id, at), cosine in found.items()]
        rows = features(text, [(f"{one.heading} {sentence}", cosine) for one, _, sentence, cosine in near])
        scores = self.sure(np.array(rows)) if rows else np.zeros(0)
        quotes = [
            Quote(one, sentence, at, row, float(score))
            for (one, at, sentence, _), row, score in zip(near, rows, scores, strict=True)
        ]
        return sorted(quotes, key=lambda one: (-one.score, one.passage.id, one.at))


def texts_of(passage: Passage) -> list[Text]:
    """What the index holds of a passage: the whole, and each sentence under its heading."""
    above = " ".join(filter(None, (passage.title, passage.heading)))
    each = [(str(at), one) for at, one in enumerate(_sentences(passage)) if _says(one)]
    told = [(at, f"{passage.heading}: {one}" if passage.heading else one) for at, one in each]
    texts = [(WHOLE, f"{above}\n{passage.text}"), *told]
    return [Text(id, text, id) for id, text in ((f"{passage.id}{AT}{name}", text) for name, text in texts)]


def composed(quotes: Sequence[Quote], most: int) -> tuple[str, list[Citation]]:
    """An answer of the best sentences, in the order in which their passages stand, and what each is cited from.

    Args:
        quotes: the surest first; not empty.
        most: sentences at most.
    """
    best = quotes[0].score
    chosen = [one for one in quotes if one.score >= QUOTED * best][:most]
    ranks = {id: rank for rank, id in enumerate(dict.fromkeys(one.passage.id for one in chosen))}
    chosen.sort(key=lambda one: (ranks[one.passage.id], one.at))
    citations = {id: next(one for one in chosen if one.passage.id == id).citation() for id in ranks}
    text = " ".join(f"{one.sentence} [{ranks[one.passage.id] + 1}]" for one in chosen)
    return text, list(citations.values())


def _says(sentence: str) -> bool:
    """Whether a piece of a text says anything: a short one without an end, a number or a colon is a heading."""
    return len(terms(sentence)) > HEADING or re.search(r"[\d.!?:;。！？：；]", sentence) is not None


@lru_cache(maxsize=4_096)
def _cut(text: str) -> tuple[str, ...]:
    """The sentences of a passage, which is looked at again and again."""
    return tuple(sentences(text))


def _sentences(passage: Passage) -> tuple[str, ...]:
    return _cut(passage.text)


def _sentence(passage: Passage, at: int) -> str:
    found = _sentences(passage)
    return found[at] if at < len(found) else passage.text[:LONGEST]
