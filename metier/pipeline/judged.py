"""What a run says of labelled examples, beside what it should have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metier.evaluate import evaluation
from metier.models.table import Table, golds
from metier.pipeline.watch import Watch
from metier.predict.runtime import Logits, Runtime
from metier.tasks.task import Encoding, Task
from metier.types import Document, Example, Prediction, Target

SPLITS = ("valid", "test")


def answered(tables: Mapping[str, Table], runtime: Runtime, watch: Watch) -> dict[str, Logits]:
    """What a run says of the texts that it is judged by, the one pass over them that there is."""
    watch.stage("evaluate", sum(len(tables[split].rows) for split in SPLITS))
    return {split: runtime.logits(tables[split], tick=watch.tick) for split in SPLITS}


class Judged:
    """What a head said of the examples of a split that carry it, and what it should have said."""

    def __init__(self, head: str, task: Task, table: Table, examples: Sequence[Example], logits: Logits) -> None:
        self.head, self.task = head, task
        there = [index for index, example in enumerate(examples) if head in example.targets]
        pieces = table.pieces()
        self.documents: list[Document] = [examples[index].document for index in there]
        self.golds: list[Target] = golds(examples, head)
        self.logits: list[np.ndarray] = [logits[head][index] for index in there]
        self.pieces: list[list[Encoding]] = [[table.encoding(row) for row in pieces[index]] for index in there]

    def predictions(self, task: Task | None = None) -> list[Prediction]:
        """As the head stands, or as another task object (an uncalibrated one) reads the same logits."""
        return (task or self.task).decode(self.logits, self.pieces)

    def figures(self, raw: Task | None, seed: int, resamples: int) -> dict[str, Any]:
        """Every figure of the head on this split; empty where no example carries it."""
        if not self.golds:
            return {}
        before = self.predictions(raw) if raw is not None else None
        return evaluation.judge(
            self.task,
            self.golds,
            self.predictions(),
            documents=self.documents,
            seed=seed,
            raw=before,
            resamples=resamples,
        )


def judged(runtime: Runtime, table: Table, examples: Sequence[Example], logits: Logits) -> dict[str, Judged]:
    """Every head on some examples."""
    return {name: Judged(name, task, table, examples, logits) for name, task in runtime.tasks.items()}
