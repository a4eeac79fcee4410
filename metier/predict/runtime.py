"""Documents to predictions: tokenise, sort by length, one pass for all heads, merge windows, decode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from metier.models.table import VECTOR, Table
from metier.models.tokeniser import Tokeniser
from metier.tasks.task import Encoding, Task
from metier.types import Document, Prediction

Logits = dict[str, list[np.ndarray]]
"""Of every head, the merged logits of each document."""
Tick = Callable[[int], None]
"""Told of rows that are done."""


class Runtime(ABC):
    """What computes a run's logits, with all that comes before and behind.

    Args:
        tasks: the heads by name.
        tokeniser: the one that the run was fitted with.
        floors: of each head, the calibrated score under which it abstains.
    """

    def __init__(self, tasks: Mapping[str, Task], tokeniser: Tokeniser, floors: Mapping[str, float]) -> None:
        self._tasks, self.tokeniser, self.floors = dict(tasks), tokeniser, floors

    @property
    def tasks(self) -> dict[str, Task]:
        """The heads by name."""
        return self._tasks

    def predict(self, documents: Sequence[Document], heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """One prediction a head for every document."""
        if not documents:
            return []
        table = Table.of(documents, self.tokeniser, self.tasks)
        return self.decode(table, self.logits(table), heads)

    def understand(self, documents: Sequence[Document]) -> tuple[list[dict[str, Prediction]], list[np.ndarray | None]]:
        """What `predict` says, and from the same pass the vector of each document, `(width,)`, that the heads read.

        A vector is None where the run has none to give: its graph is older than this, or a language model answers.
        """
        if not documents:
            return [], []
        table = Table.of(documents, self.tokeniser, self.tasks)
        logits = self.logits(table, vectors=True)
        vectors: list[np.ndarray | None] = [*logits.pop(VECTOR, [])] or [None] * len(documents)
        return self.decode(table, logits), vectors

    @abstractmethod
    def logits(self, table: Table, *, tick: Tick = lambda rows: None, vectors: bool = False) -> Logits:
        """The merged logits of every document of a table; where `vectors` are wanted, these as `VECTOR`."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """What computes, as JSON values: `engine`, `precision`, `threads`, `device`."""

    def decode(self, table: Table, logits: Logits, heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """Predictions from merged logits."""
        wanted = [name for name in self.tasks if heads is None or name in heads]
        pieces = Pieces(table, self._asked(table, logits, wanted))
        found = {name: self._floored(name, self.tasks[name].decode(logits[name], pieces)) for name in wanted}
        return [dict(zip(wanted, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def _asked(self, table: Table, logits: Logits, heads: Sequence[str]) -> Sequence[Document]:
        """The documents of a table; where nobody said what is mentioned, the spans of the run's `tag` heads are.

        Both come from the same forward pass: a `mention` head answers for every token.
        """
        documents = table.documents
        tags = [name for name, task in self.tasks.items() if task.kind == "tag"]
        asks = any(self.tasks[name].kind == "mention" for name in heads)
        if not tags or not asks or all(document.mentions is not None for document in documents):
            return documents
        said = zip(*(self.tasks[name].decode(logits[name], Pieces(table)) for name in tags), strict=True)
        return [
            document
            if document.mentions is not None
            else replace(document, mentions=tuple(sorted({(s.start, s.end) for one in row for s in one.label})))
            for document, row in zip(documents, said, strict=True)
        ]

    def _floored(self, head: str, predictions: list[Prediction]) -> list[Prediction]:
        floor = self.floors.get(head, 0.0)
        return [item if item.score >= floor else replace(item, abstain=True) for item in predictions]


class Pieces(Sequence[list[Encoding]]):
    """The windows of each document of a table, made when somebody looks: most tasks decode without them."""

    def __init__(self, table: Table, documents: Sequence[Document] | None = None) -> None:
        self._table = table
        self._documents = table.documents if documents is None else documents
        self._rows: list[list[int]] | None = None

    @overload
    def __getitem__(self, at: int) -> list[Encoding]: ...
    @overload
    def __getitem__(self, at: slice) -> list[list[Encoding]]: ...
    def __getitem__(self, at: int | slice) -> list[Encoding] | list[list[Encoding]]:
        if self._rows is None:
            self._rows = self._table.pieces()
        if isinstance(at, slice):
            return [self._windows(own) for own in range(*at.indices(len(self)))]
        return self._windows(at)

    def _windows(self, at: int) -> list[Encoding]:
        assert self._rows is not None
        return [self._table.rows.encoding(row, self._documents[at]) for row in self._rows[at]]

    def __len__(self) -> int:
        return len(self._table.documents)


class Answers:
    """The logits of a table's rows as batches bring them, in any order, and their vectors where these are wanted."""

    def __init__(self, table: Table, tasks: Mapping[str, Task], vectors: bool = False) -> None:
        self.table, self.tasks = table, tasks
        self.vectors: list[np.ndarray] | None = [np.zeros(0)] * len(table.rows) if vectors else None
        self.rows: Logits = {name: [np.zeros(0)] * len(table.rows) for name in tasks}

    def keep(self, rows: np.ndarray, answers: Mapping[str, np.ndarray]) -> None:
        """Files the logits `(rows, labels)`, or `(rows, length, labels)` without their padding, of some rows."""
        lengths = self.table.rows.lengths[rows].tolist()
        for name, task in self.tasks.items():
            kept = self.rows[name]
            for row, length, answer in zip(rows.tolist(), lengths, answers[name], strict=True):
                kept[row] = answer[:length] if task.per_token else answer
        if self.vectors is not None and VECTOR in answers:
            for row, vector in zip(rows.tolist(), answers[VECTOR], strict=True):
                self.vectors[row] = vector

    def merged(self) -> Logits:
        """Of each document, once every row is there."""
        pieces = self.table.pieces()
        found = {name: self._merged(task, self.rows[name], pieces) for name, task in self.tasks.items()}
        if self.vectors and self.vectors[0].size:
            found[VECTOR] = [np.mean([self.vectors[row] for row in own], axis=0) for own in pieces]
        return found

    def _merged(self, task: Task, rows: list[np.ndarray], pieces: list[list[int]]) -> list[np.ndarray]:
        return [
            rows[own[0]]
            if len(own) == 1 and not task.per_token
            else task.merge([rows[row] for row in own], [self.table.encoding(row) for row in own])
            for own in pieces
        ]
