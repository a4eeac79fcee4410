"""A run on other labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metier.data import mentions, read
from metier.data.columns import TEXT
from metier.data.source import Source, split_name
from metier.errors import DataError
from metier.models.table import Table
from metier.pipeline.dataset import read_source
from metier.pipeline.judged import judged
from metier.pipeline.sources import namesake, origin_of
from metier.pipeline.watch import Silent, Watch
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.types import Example


def evaluate(
    runtime: Runtime,
    recipe: Recipe,
    source: Source,
    *,
    fitted_on: str = "",
    split: str | None = None,
    seed: int | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """The figures of every head whose column the data has.

    Args:
        runtime: the run.
        recipe: it names the columns.
        source: labelled data. Of the very data that the run was fitted on, the rows that it was fitted on do not count.
        fitted_on: the fingerprint of the data that the run was fitted on.
        split: only these rows; by default `test` where the data names splits, else every row.
        seed: of the bootstrap.
        watch: hears of progress.

    Raises:
        DataError: where the data has neither the text nor a label column, or no labelled row of the split.
    """
    watch = watch or Silent()
    examples, wanted = _examples(runtime, recipe, source, fitted_on)
    named = {example.split for example in examples if example.targets} - {None}
    chosen = split_name(split) if split else "test" if named else None
    if chosen is not None:
        examples = [example for example in examples if example.split == chosen]
    if not any(example.targets for example in examples):
        known = f" The labelled rows are {', '.join(sorted(map(str, named)))}." if named else ""
        part = f" of the split {chosen!r}" if chosen else ""
        raise DataError(f"No row{part} has a label.{known}", expected=f"labels in {', '.join(wanted)}")
    table = Table.of([example.document for example in examples], runtime.tokeniser, runtime.tasks)
    watch.stage("evaluate", len(table.rows))
    logits = runtime.logits(table, tick=watch.tick)
    return {
        name: {
            "task": held.task.kind,
            chosen or "test": held.figures(None, recipe.seed if seed is None else seed, recipe.evaluate.resamples),
        }
        for name, held in judged(runtime, table, examples, logits).items()
        if held.golds
    }


def _examples(
    runtime: Runtime, recipe: Recipe, source: Source, fitted_on: str
) -> tuple[Sequence[Example], Sequence[str]]:
    """The examples of a source, and the label columns that were looked for."""
    known = read.columns(source)
    if fitted_on and (origin := origin_of(recipe, source, fitted_on)):
        dataset = read_source(origin.recipe, source, Silent())  # as it was cut for the fit
        return [row for part in dataset.examples.values() for row in part], [
            head.column for head in origin.recipe.heads.values()
        ]
    recipe = namesake(recipe, source)
    labels = {name: head.column for name, head in recipe.heads.items() if head.column in known}
    wanted = labels or {name: head.column for name, head in recipe.heads.items()}
    kinds = {name: task.kind for name, task in runtime.tasks.items()}
    own = recipe.data.split if recipe.data.split in known else None
    texts = [recipe.data.text, *(head.text for head in recipe.heads.values())]
    text = next((own for own in texts if own and set(own) <= set(known)), recipe.data.text or TEXT)
    names = {name: head.mention for name, head in recipe.heads.items() if head.mention and name in wanted}
    columns = read.resolve(source, text, wanted, tasks=kinds, roles={"split": own}, mentions=names)
    rows = list(read.examples(source, columns, clean=recipe.data.clean))
    return mentions.gathered(rows, names), list(wanted.values())
