"""Examples as arrays: tokenised rows, the targets and inputs of every head. Tensors are made of them in `batch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metier.models.tokeniser import Rows, Tokeniser
from metier.tasks.task import IGNORE, Encoding, Task
from metier.types import Document, Example, Target

VECTOR = ".vector"
"""Beside the names of heads: what they read of a text, the pooled vector."""

if TYPE_CHECKING:
    from metier.models.batch import Batch


@dataclass(frozen=True)
class Arrays:
    """Some rows, padded: `ids` and `types` `(rows, length)`, int64, `mask` alike, bool, `inputs` of each head."""

    rows: np.ndarray
    ids: np.ndarray
    mask: np.ndarray
    types: np.ndarray
    inputs: dict[str, dict[str, np.ndarray]]


class Table:
    """The rows of some documents, and what every head needs of them.

    Args:
        documents: in the order of `Rows.owner`.
        rows: their windows.
        tasks: the heads.
        examples: what the documents are of, where some do not carry every head: no head is asked for inputs of a
            document that it has no target for.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        rows: Rows,
        tasks: Mapping[str, Task],
        examples: Sequence[Example] | None = None,
    ) -> None:
        self.documents, self.rows, self.tasks = documents, rows, tasks
        self._examples = examples
        self.separate = any(task.separate for task in tasks.values())
        self.inputs = {name: self._stack_inputs(name, task) for name, task in tasks.items()}
        self.targets: dict[str, list[np.ndarray]] = {}
        self.present: dict[str, np.ndarray] = {}

    @classmethod
    def of(cls, documents: Sequence[Document], tokeniser: Tokeniser, tasks: Mapping[str, Task]) -> Table:
        """Tokenises documents for these heads."""
        return cls(documents, tokenised(documents, tokeniser, tasks), tasks)

    def label(self, examples: Sequence[Example]) -> None:
        """Encodes the targets of the examples that the documents came from."""
        for name, task in self.tasks.items():
            self.present[name] = np.array([name in examples[owner].targets for owner in self.rows.owner], dtype=bool)
            self.targets[name] = [
                task.encode(examples[owner].targets[name], self.encoding(row)) if there else np.zeros(0)
                for row, (owner, there) in enumerate(zip(self.rows.owner, self.present[name], strict=True))
            ]

    def encoding(self, row: int) -> Encoding:
        """A row as tasks see it."""
        return self.rows.encoding(row, self.documents[int(self.rows.owner[row])])

    def pieces(self) -> list[list[int]]:
        """The rows of each document."""
        found: list[list[int]] = [[] for _ in self.documents]
        for row, owner in enumerate(self.rows.owner):
            found[int(owner)].append(row)
        return found

    @property
    def owners(self) -> np.ndarray:
        """The document of each unit of a batch."""
        owners: np.ndarray = self.rows.owner[::2] if self.separate else self.rows.owner
        return owners

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each unit of a batch: of each row, or of the longer row of each pair that is kept together."""
        lengths = self.rows.lengths
        return lengths.reshape(-1, 2).max(axis=1) * 2 if self.separate else lengths

    def subset(self, units: np.ndarray) -> Subset:
        """Some units, seen as a table."""
        return Subset(self, units)

    def batch(self, units: np.ndarray) -> Batch:
        """The labelled batch of some units; with `separate` tasks all first texts come before all second ones."""
        from metier.models.batch import Batch

        rows = np.concatenate([units * 2, units * 2 + 1]) if self.separate else units
        batch = Batch.of(self.arrays(rows))
        for name, task in self.tasks.items():
            if name in self.present:
                there = self.present[name][rows]
                targets = [self.targets[name][row] for row, keep in zip(rows, there, strict=True) if keep]
                batch.aim(name, there, _stacked(targets, batch.ids.shape[1] if task.per_token else 0))
        return batch

    def plain(self, rows: np.ndarray) -> Batch:
        """A batch without targets."""
        from metier.models.batch import Batch

        return Batch.of(self.arrays(rows))

    def arrays(self, rows: np.ndarray) -> Arrays:
        """What a batch is made of."""
        lengths = self.rows.lengths[rows]
        width = int(lengths.max())
        mask = np.arange(width) < lengths[:, None]
        flat = np.concatenate([np.arange(self.rows.bounds[row], self.rows.bounds[row + 1]) for row in rows])
        ids = np.zeros(mask.shape, dtype=np.int64)
        types = np.zeros(mask.shape, dtype=np.int64)
        ids[mask], types[mask] = self.rows.ids[flat], self.rows.types[flat]
        inputs = {
            name: {key: array[rows] for key, array in arrays.items()} for name, arrays in self.inputs.items() if arrays
        }
        return Arrays(rows, ids, mask, types, inputs)

    def _stack_inputs(self, name: str, task: Task) -> dict[str, np.ndarray]:
        """What a head reads beside hidden states, -1 in the rows of documents that do not carry it."""
        if not task.special_tokens or not len(self.rows):
            return {}
        known = self._examples
        owners = self.rows.owner.tolist()
        asked = [row for row, owner in enumerate(owners) if known is None or name in known[owner].targets]
        found = [task.inputs(self.encoding(row)) for row in asked] or [task.no_inputs()]
        stacked = {}
        for key, first in found[0].items():
            stacked[key] = np.full((len(self.rows), *first.shape), -1, dtype=first.dtype)
            if asked:
                stacked[key][asked] = [item[key] for item in found]
        return stacked


class Subset(Table):
    """Some units of a table: unit `i` of the subset is unit `units[i]` of the whole."""

    def __init__(self, whole: Table, units: np.ndarray) -> None:
        self.__dict__.update(whole.__dict__)
        self.whole, self.units = whole, units

    @property
    def owners(self) -> np.ndarray:
        """The document of each unit."""
        owners: np.ndarray = self.whole.owners[self.units]
        return owners

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each unit."""
        lengths: np.ndarray = self.whole.lengths[self.units]
        return lengths

    def batch(self, units: np.ndarray) -> Batch:
        """The labelled batch of some units of the subset."""
        return self.whole.batch(self.units[units])


def tokenised(documents: Sequence[Document], tokeniser: Tokeniser, tasks: Mapping[str, Task]) -> Rows:
    """The rows of documents with all that these tasks ask for."""
    offsets = any(task.per_token or task.special_tokens for task in tasks.values())
    return tokeniser.rows(documents, offsets=offsets, separate=any(task.separate for task in tasks.values()))


def golds(examples: Sequence[Example], head: str) -> list[Target]:
    """The targets of the examples that carry this head."""
    return [example.targets[head] for example in examples if head in example.targets]


def _stacked(targets: list[np.ndarray], length: int) -> np.ndarray:
    """Targets of rows as one array; those per token are padded to `length` with `IGNORE`."""
    if not length:
        return np.stack(targets) if targets else np.zeros(0, dtype=np.float32)
    padded = np.full((len(targets), length), IGNORE, dtype=np.int64)
    for row, target in enumerate(targets):
        padded[row, : len(target)] = target
    return padded
