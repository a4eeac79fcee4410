"""The stage that reads: a source to clean, deduplicated examples in train, valid and test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metier.data import dedup, read
from metier.data import split as splitting
from metier.data.columns import TEXT
from metier.data.source import Source
from metier.data.targets import SCORE_VALUES
from metier.errors import DataError
from metier.pipeline.watch import Watch
from metier.recipe import Recipe
from metier.types import Example

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
SPLITS = ("train", "valid", "test")
FEW, MANY, MANY_ROWS = (0.8, 0.1, 0.1), (0.85, 0.05, 0.1), 5_000
"""Shares of train, valid and test, and the number of rows from which on fewer need to validate."""
HELD = ("valid", "test")
"""Official splits of which no row is left out, not even one without a text."""


@dataclass(frozen=True)
class Dataset:
    """Examples by split, the kind of task of every head, and what happened to the rows on the way."""

    examples: dict[str, list[Example]]
    kinds: dict[str, str]
    columns: read.Columns
    fingerprint: str
    summary: dict[str, Any]

    def resolve(self, recipe: Recipe) -> Recipe:
        """The recipe with what the data decided: columns and kinds of task."""
        heads = {name: {**part.model_dump(), "task": self.kinds[name]} for name, part in recipe.heads.items()}
        return recipe.but(data={"text": self.columns.text, "split": self.columns.split}, heads=heads)


def read_dataset(recipe: Recipe, source: Source, watch: Watch) -> Dataset:
    """Reads, cleans, removes duplicates, splits, removes leakage.

    Raises `DataError` for whatever keeps the source from being learned from.
    """
    watch.stage("read", 0)
    data = recipe.data
    columns = read.resolve(
        source,
        data.text or TEXT,
        {name: head.column for name, head in recipe.heads.items()},
        tasks={name: head.task for name, head in recipe.heads.items() if head.task},
        roles={"split": data.split, "group": data.group, "time": data.time},
    )
    rows = list(_read(recipe, source, columns, watch))
    labelled = [row for row in rows if row.targets and (row.document.text or row.document.pair or row.split in HELD)]
    if not labelled:
        column = ", ".join(repr(head.column) for head in recipe.heads.values())
        raise DataError(f"Of {len(rows)} rows none has both a text and a label in {column}.", hint="metier doctor")
    kept, duplicates = dedup.deduplicate(labelled, data.dedup)
    fractions = data.fractions or (FEW if len(kept) < MANY_ROWS else MANY)
    how = splitting.How(fractions, group=data.group, time=data.time)
    division = splitting.split(kept, how, seed=data.seed)
    clean, leaked = splitting.leakage(division.examples)
    examples = {name: [example for example in clean if example.split == name] for name in SPLITS}
    if not examples["train"]:
        raise DataError("No training text is left after the removal of duplicates and leakage.", hint="metier doctor")
    summary = {
        "source": data.path or "table",
        "fingerprint": (fingerprint := read.fingerprint(source)),
        "rows": {name: len(part) for name, part in examples.items()},
        "text": list(columns.text),
        "unlabelled": len(rows) - len(labelled),
        "duplicates": duplicates,
        "leaked": leaked,
        "ignored": dict(division.ignored),
        "split": dict(division.made),
    }
    watch.say(_said(summary))
    kinds = {head: kind for head, (_, kind) in columns.labels.items()}
    for head, part in recipe.heads.items():
        if part.task is None and kinds[head] == "classify" and _all_numbers(clean, head):
            watch.say(f"{head}: the numbers are taken for names of classes; --task score learns them as numbers.")
    return Dataset(examples, kinds, columns, fingerprint, summary)


def _all_numbers(examples: Sequence[Example], head: str) -> bool:
    """Whether so many different labels of a head are numbers, and all of them, that they may be meant as such."""
    labels = {str(example.targets[head]) for example in examples if head in example.targets}
    return len(labels) >= SCORE_VALUES and all(NUMBER.fullmatch(label) for label in labels)


def _read(recipe: Recipe, source: Source, columns: read.Columns, watch: Watch) -> Sequence[Example]:
    found = []
    for example in read.examples(source, columns, clean=recipe.data.clean):
        found.append(example)
        if len(found) % 10_000 == 0:
            watch.tick(10_000)
    return found


def _said(summary: dict[str, Any]) -> str:
    """The rows that are left, and every row that is not."""
    rows = ", ".join(f"{count} {name}" for name, count in summary["rows"].items())
    gone = {
        "without text or label": summary["unlabelled"],
        "duplicates": summary["duplicates"],
        "leaked": summary["leaked"],
        **{f"of the split {name!r}": count for name, count in summary["ignored"].items()},
    }
    left_out = ", ".join(f"{count} {what}" for what, count in gone.items() if count)
    texts = " and ".join(map(repr, summary["text"]))
    return f"{rows}{f' (left out: {left_out})' if left_out else ''}; texts from {texts}"
