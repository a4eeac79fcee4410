"""A run's logits from a compiled graph: batches of tokens on every core, tokenising and decoding beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from metier.data.batches import by_length
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.predict.engines import Engine
from metier.predict.runtime import Answers, Logits, Runtime, Tick
from metier.tasks.task import Task
from metier.types import Document, Prediction

BLOCK = 2_048
"""Documents that are tokenised together while the block before them is computed."""
FEW = 4
"""Rows up to which the whole machine works on one batch."""


class Compiled(Runtime):
    """One engine for few texts, whose threads share a batch, and one for many, whose streams have a batch each.

    Args:
        tasks: the heads by name.
        tokeniser: the one that the run was fitted with.
        floors: of each head, the calibrated score under which it abstains.
        few: the engine for the least delay.
        many: the engine for the most texts a second.
        tokens: of a batch of `many`.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        tokeniser: Tokeniser,
        floors: Mapping[str, float],
        few: Engine,
        many: Engine,
        tokens: int,
    ) -> None:
        super().__init__(tasks, tokeniser, floors)
        self.few, self.many, self.tokens = few, many, tokens
        self._pool = ThreadPoolExecutor(many.streams, thread_name_prefix="metier-stream")

    def predict(self, documents: Sequence[Document], heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """As `Runtime.predict`; while one block is computed, the next is tokenised and the last decoded."""
        found: list[dict[str, Prediction]] = []
        waiting: tuple[Table, Callable[[], Logits]] | None = None
        for start in range(0, len(documents), BLOCK):
            table = Table.of(documents[start : start + BLOCK], self.tokeniser, self.tasks)
            coming = table, self._begin(table, lambda rows: None)
            if waiting is not None:
                found += self.decode(waiting[0], waiting[1](), heads)
            waiting = coming
        return found if waiting is None else found + self.decode(waiting[0], waiting[1](), heads)

    def logits(self, table: Table, *, tick: Tick = lambda rows: None, vectors: bool = False) -> Logits:
        """As `Runtime.logits`."""
        return self._begin(table, tick, vectors)()

    def _begin(self, table: Table, tick: Tick, vectors: bool = False) -> Callable[[], Logits]:
        """Starts to compute a table; what is returned waits for the end."""
        answers = Answers(table, self.tasks, vectors)
        if len(table.rows) <= FEW:
            if len(table.rows):
                rows = np.arange(len(table.rows))
                answers.keep(rows, self.few(table.arrays(rows)))
                tick(len(rows))
            return answers.merged
        batches = iter(by_length(table.rows.lengths, size=512, tokens=self.tokens))
        under_way: list[tuple[np.ndarray, Future[dict[str, np.ndarray]]]] = []
        for rows in batches:
            under_way.append((rows, self._pool.submit(lambda own: self.many(table.arrays(own)), rows)))

        def wait() -> Logits:
            for rows, future in under_way:
                answers.keep(rows, future.result())
                tick(len(rows))
            return answers.merged()

        return wait

    def describe(self) -> dict[str, object]:
        """As `Runtime.describe`."""
        return {
            "engine": self.many.name,
            "few": self.few.name,
            "file": self.many.file.name,
            "threads": self.many.threads * self.many.streams,
            "device": "cpu",
        }
