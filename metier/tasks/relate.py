"""The relation between two marked spans of a text: `<e1>Profit</e1> rose because of <e2>exports</e2>`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks import tables
from metier.tasks.classify import Classify
from metier.tasks.task import Encoding
from metier.types import Document, Prediction, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

OPENING, CLOSING = ("<e1>", "<e2>"), ("</e1>", "</e2>")
DIRECTED = re.compile(r"(.+)\((e1,e2|e2,e1)\)$")
NEGATIVE = frozenset({"other", "no_relation", "no relation", "na", "n/a", "none", "unknown", "unk", "false"})
"""Labels that say that there is no relation, whatever their case; they have no part in the headline."""


def relation_of(label: str) -> str:
    """The relation without its direction: `Cause-Effect(e2,e1)` is `Cause-Effect`."""
    match = DIRECTED.fullmatch(label)
    return match[1] if match else label


def places_of(document: Document) -> list[tuple[int, int]]:
    """Where the two opening marks stand: which text of the document (0, or 1 for its pair), and at which character."""
    places = []
    for mark in OPENING:
        found = [(at, text.find(mark)) for at, text in enumerate((document.text, document.pair or "")) if mark in text]
        if not found:
            raise DataError(
                f"A text does not mark its two entities: {document.text[:80]!r}.",
                expected="<e1>first</e1> and <e2>second</e2> in the text, or one in each text of a pair",
                hint="mark both entities, or use the task classify",
            )
        places.append(found[0])
    return places


class Relate(Classify):
    """Chooses the relation of two entities that the text marks with `<e1>..</e1>` and `<e2>..</e2>`.

    The head sees the hidden states of the two opening marks (entity start; Baldini Soares et al. 2019) and the pooled
    vector. The headline is the macro-F1 of the official scorer of SemEval-2010 task 8: labels `Name(e1,e2)` and
    `Name(e2,e1)` are one relation, the right relation in the wrong direction is an error, relations that the gold
    labels do not hold are left out, and so is the negative label.
    """

    kind = "relate"
    headline_name = "macro-F1"
    special_tokens = (*OPENING, *CLOSING)

    def __init__(
        self, labels: Sequence[str] = (), temperature: float = 1.0, negative: Sequence[str] | None = None
    ) -> None:
        super().__init__(labels, temperature)
        found = [label for label in self.labels if label.lower() in NEGATIVE] if negative is None else negative
        self.negative = frozenset(found)

    def describe(self) -> dict[str, Any]:
        """As `Task.describe`, with the labels that are no relation."""
        return {**super().describe(), "negative": sorted(self.negative)}

    def inputs(self, encoding: Encoding) -> dict[str, np.ndarray]:
        """`marks` `(2,)`: where the opening marks stand in this window, -1 for one that stands in another.

        Of a pair of texts either may hold either mark. Raises `DataError` when a mark is in none.
        """
        marks = np.full(2, -1, dtype=np.int64)
        for at, (sequence, place) in enumerate(places_of(encoding.document)):
            own = encoding.sequence == sequence
            found = np.flatnonzero(own & (encoding.start <= place) & (place < encoding.end))
            if len(found):
                marks[at] = found[0]
        return {"marks": marks}

    def no_inputs(self) -> dict[str, np.ndarray]:
        """No mark anywhere."""
        return {"marks": np.full(2, -1, dtype=np.int64)}

    def head(self, width: int) -> nn.Module:
        """One hidden layer over both marks and the pooled vector."""
        from metier.tasks.heads import Marked

        return Marked(width, len(self.labels))

    def merge(self, rows: Sequence[np.ndarray], encodings: Sequence[Encoding]) -> np.ndarray:
        """The mean of the windows that hold the most marks: both, if any does."""
        if len(rows) == 1:
            return rows[0]
        if not all(mark in f"{encodings[0].document.text} {encodings[0].document.pair}" for mark in OPENING):
            return super().merge(rows, encodings)  # a text of another head's source, about which nobody asks
        held = np.array([(self.inputs(encoding)["marks"] >= 0).sum() for encoding in encodings])
        mean: np.ndarray = np.stack(rows)[held == held.max()].mean(axis=0)
        return mean

    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """As `Classify.metrics` over the labels as they are, and `relations`: the official scorer's table.

        Its precision counts a wrong direction as one more answer. `undirected` is the macro-F1 without directions.
        """
        names, counts, undirected = self._count(golds, predictions)
        kept = counts[:, 2] > 0
        report = super().metrics(golds, predictions)
        table = tables.table([name for name, keep in zip(names, kept, strict=True) if keep], *counts[kept].T)
        value = float(self.headline(counts.ravel()))
        loose = counts.copy()
        loose[:, 0] = undirected
        return {
            **report,
            "headline": {"name": self.headline_name, "value": value},
            "relations": table,
            "undirected": float(self.headline(loose.ravel())),
            "wrong direction": int((undirected - counts[:, 0]).sum()),
            "negative": sorted(self.negative),
        }

    def _count(
        self, golds: Sequence[Any], predictions: Sequence[Prediction]
    ) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The relations, `(relations, 3)` sums of the statistics, and right answers whatever their direction."""
        names, each = self._each(golds, predictions)
        index = {name: at for at, name in enumerate(names)}
        undirected = np.zeros(len(names))
        for gold, prediction in zip(golds, predictions, strict=True):
            relation = relation_of(gold)
            if relation in index and relation == relation_of(prediction.label):
                undirected[index[relation]] += 1
        return names, each.sum(axis=0), undirected

    def _each(self, golds: Sequence[Any], predictions: Sequence[Prediction]) -> tuple[list[str], np.ndarray]:
        """The relations, and per document and relation: right, answered, there; `(documents, relations, 3)`."""
        known = dict.fromkeys(relation_of(label) for label in self.labels if label not in self.negative)
        unseen = {relation_of(gold) for gold in golds if not self._is_negative(gold)}
        names = [*known, *sorted(unseen.difference(known))]
        index = {name: at for at, name in enumerate(names)}
        counts = np.zeros((len(golds), len(names), 3))
        for row, (gold, prediction) in enumerate(zip(golds, predictions, strict=True)):
            wanted, said = index.get(relation_of(gold)), index.get(relation_of(prediction.label))
            if wanted is not None:
                counts[row, wanted, 0] = gold == prediction.label
                counts[row, wanted, 2] = 1
            if said is not None:
                counts[row, said, 1] = 1
        return names, counts

    def _is_negative(self, label: str) -> bool:
        return label in self.negative or (label not in self.index and label.lower() in NEGATIVE)

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document, three numbers a relation: rightly answered, answered, there."""
        return self._each(golds, predictions)[1].reshape(len(golds), -1)

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """The mean F1 over the relations that the gold labels of a sum hold, of `(..., 3 * relations)`."""
        counts = sums.reshape(*sums.shape[:-1], -1, 3)
        there = counts[..., 2] > 0
        f1 = tables.f1_of(counts[..., 0], counts[..., 1], counts[..., 2])
        return tables.ratio((f1 * there).sum(axis=-1), there.sum(axis=-1))
