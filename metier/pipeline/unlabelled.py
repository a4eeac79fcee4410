"""The texts of `data.unlabelled`: read, cleaned, each once, and none that the run is measured on or learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metier.data import dedup, read
from metier.data.columns import TEXT
from metier.data.source import Source, is_path
from metier.errors import DataError
from metier.models import token_cache
from metier.models.table import Table
from metier.pipeline.dataset import Dataset
from metier.pipeline.sources import mentioning
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.types import Document, Example


@dataclass(frozen=True)
class Unlabelled:
    """Further texts, and what became of the rows of their file."""

    table: Table
    summary: dict[str, Any]
    """`source`, `fingerprint`, `texts` (left), `empty`, `duplicates`, `known` (texts of the labelled data)."""

    @property
    def examples(self) -> list[Example]:
        """The texts as examples without targets."""
        return [Example(document, {}, "train") for document in self.table.documents]


def unlabelled(recipe: Recipe, dataset: Dataset, runtime: Runtime) -> Unlabelled | None:
    """What `data.unlabelled` holds; `None` where the recipe names no file. Raises what `further_texts` raises."""
    source = recipe.data.unlabelled
    return further_texts(recipe, dataset, runtime, source) if source else None


def further_texts(recipe: Recipe, dataset: Dataset, runtime: Runtime, source: Source) -> Unlabelled:
    """The texts of a source, each once, without those of the labelled data.

    Raises `DataError` where no text is left.
    """
    found = _documents(recipe, runtime, source)
    name = str(source) if is_path(source) else "table"
    there = [document for document in found if document.text or document.pair]
    keys = dedup.example_keys([Example(document, {}) for document in there])
    known = dedup.example_keys([example for part in dataset.examples.values() for example in part])
    once = dedup.first_of_each(keys) == np.arange(len(keys)) if len(keys) else np.zeros(0, dtype=bool)
    fresh = ~np.isin(keys, known)
    kept = [document for document, keep in zip(there, (once & fresh).tolist(), strict=True) if keep]
    summary = {
        "source": name,
        "fingerprint": read.fingerprint(source),
        "texts": len(kept),
        "empty": len(found) - len(there),
        "duplicates": int((~once).sum()),
        "known": int((once & ~fresh).sum()),
    }
    if not kept:
        raise DataError(
            f"Of {len(found)} rows of {name} no text is left: {summary['empty']} are empty, {summary['duplicates']} "
            f"repeat others, {summary['known']} are among the labelled texts.",
            expected="further texts of the same kind, without labels",
        )
    rows = token_cache.rows(kept, runtime.tokeniser, runtime.tasks)
    return Unlabelled(Table(kept, rows, runtime.tasks), summary)


def _documents(recipe: Recipe, runtime: Runtime, source: Source) -> list[Document]:
    """All rows; the text columns are those of the labelled data where the file has these, else found."""
    known = read.columns(source)
    lost = len(recipe.data.text) == 1 and recipe.data.text[0] not in known
    try:
        columns = read.resolve(source, TEXT if lost else recipe.data.text or TEXT, {}).text
    except DataError:
        wanted = " and ".join(map(repr, recipe.data.text))
        raise DataError(
            f"It is not clear what in {source} are its texts: it has the columns {', '.join(map(repr, known))}.",
            expected=f"{wanted}, as in the labelled data",
            hint="give the columns these names",
        ) from None
    keep = any(task.per_token for task in runtime.tasks.values())
    naming = [name for name in mentioning(runtime.tasks, recipe) if name in known]
    found: list[Document] = []
    for frame in read.frames(source):
        first, clean = len(found), recipe.data.clean
        found += read.documents(frame, columns, first=first, clean=clean, keep_length=keep, mentions=naming)
    return found
