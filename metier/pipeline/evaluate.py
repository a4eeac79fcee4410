"""A run on other labelled data."""

from __future__ import annotations

from typing import Any

from metier.data import read
from metier.data.columns import TEXT
from metier.data.source import Source
from metier.errors import DataError
from metier.models.table import Table
from metier.pipeline.assess import outcomes
from metier.pipeline.watch import Silent, Watch
from metier.predict.runtime import Runtime
from metier.recipe import Recipe


def evaluate(
    runtime: Runtime,
    recipe: Recipe,
    source: Source,
    *,
    split: str | None = None,
    seed: int | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """The figures of every head whose column the data has.

    Args:
        runtime: the run.
        recipe: it names the columns.
        source: labelled data.
        split: of the data's `split` column; by default `test` where there are such rows, else every row.
        seed: of the bootstrap.
        watch: hears of progress.

    Raises:
        DataError: where the data has neither the text nor a label column, or no labelled row.
    """
    watch = watch or Silent()
    known = read.columns(source)
    labels = {name: head.column for name, head in recipe.heads.items() if head.column in known}
    kinds = {name: task.kind for name, task in runtime.tasks.items()}
    wanted = labels or {name: head.column for name, head in recipe.heads.items()}
    columns = read.resolve(source, recipe.data.text or TEXT, wanted, tasks=kinds)
    examples = list(read.examples(source, columns, clean=recipe.data.clean))
    named = {example.split for example in examples}
    chosen = split or ("test" if "test" in named else None)
    if chosen is not None:
        examples = [example for example in examples if example.split == chosen]
    if not any(example.targets for example in examples):
        raise DataError(
            f"No row{' of the split ' + chosen if chosen else ''} has a label.", expected=", ".join(wanted.values())
        )
    table = Table.of([example.document for example in examples], runtime.tokeniser, runtime.tasks)
    watch.stage("evaluate", len(table.rows))
    logits = runtime.logits(table, tick=watch.tick)
    judged = outcomes(runtime, table, examples, logits)
    return {
        name: {
            "task": held.task.kind,
            chosen or "test": held.figures(None, recipe.seed if seed is None else seed, recipe.evaluate.resamples),
        }
        for name, held in judged.items()
        if held.golds
    }
