"""A run over a whole corpus."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import polars as pl

from metier.data import read
from metier.data.columns import TEXT
from metier.data.source import Source, is_path
from metier.errors import DataError
from metier.pipeline.watch import Watch
from metier.predict.corpus import Job, score
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.types import Document

SHARD = 5_000
"""Rows that are read, scored and written together."""


def predict(
    runtime: Runtime, recipe: Recipe, version: str, source: Source, out: Path, text: Sequence[str], watch: Watch
) -> int:
    """Scores a source into `out` and returns the number of rows.

    Raises `DataError` where the source lacks the text columns or has no rows.
    """
    if is_path(source) and out.exists() and out.samefile(source):
        raise DataError(f"{out} is the corpus itself.", hint="another --out: the corpus would be written over")
    columns = read.resolve(source, tuple(text) or _texts(runtime, recipe, source), {}).text
    kinds = {name: task.kind for name, task in runtime.tasks.items()}
    keep = any(task.per_token for task in runtime.tasks.values())
    frames = read.frames(source, rows=SHARD)
    first = next(iter(frames), None)
    if first is None or not len(first):
        raise DataError("There is nothing to predict: the source has no rows.")

    def documents(frame: pl.DataFrame, row: int) -> list[Document]:
        return read.documents(frame, columns, first=row, clean=recipe.data.clean, keep_length=keep)

    identity = {"source": read.fingerprint(source), "run": version, "text": columns, "rows": SHARD}
    watch.stage("predict", 0)
    return score(Job(out, identity, kinds), chain([first], frames), documents, runtime.predict, watch.tick)


def _texts(runtime: Runtime, recipe: Recipe, source: Source) -> tuple[str, ...]:
    """The text columns of the run, or the reader's own choice where the source has none of these names.

    A run that was fitted on pairs needs both columns, unless its heads give a single text its vector.
    """
    known, single = read.columns(source), any(task.separate for task in runtime.tasks.values())
    lost = not any(name in known for name in recipe.data.text)
    return TEXT if lost and (single or len(recipe.data.text) == 1) else recipe.data.text
