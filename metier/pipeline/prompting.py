"""The stage of `zero_shot` and `few_shot`: nothing is learned from labels, they are read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metier.data.names import described
from metier.errors import RecipeError
from metier.evaluate import phrases
from metier.models import prompts
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.tasks.task import Task

ROWS, SAMPLE = 20_000, 200
"""Training texts that names are compared with, and those that say which language a template should have."""
READ = {"classify": False, "multilabel": True}
"""The kinds of task whose labels an encoder can be compared with, and whether several of them may apply."""


def ask(prepared: Prepared, watch: Watch) -> None:
    """Makes a prepared run answer without a fit. Raises `RecipeError` for what its method cannot do."""
    recipe = prepared.recipe
    match(prepared, watch)
    unlabelled = sum(not example.targets for part in prepared.dataset.examples.values() for example in part)
    prepared.notes.append({"says": phrases.NAMED})
    if unlabelled:
        prepared.notes.append({"says": phrases.UNLABELLED, "count": unlabelled})
    if recipe.train.method == "few_shot":
        raise NotImplementedError


def match(prepared: Prepared, watch: Watch) -> None:
    """Gives every head the weights that compare a text with the names of its labels.

    The texts of the training split, without their labels, say what to centre by and draw the names towards themselves.
    """
    heads, recipe = prepared.heads, prepared.recipe
    for name, task in heads.items():
        _require_kind(name, task)
    reading = [name for name, task in heads.items() if task.kind in READ]
    said = {name: described(name, heads[name].labels, recipe.heads[name].names) for name in reading}
    if not reading:  # an embed head: the cosine as it was pretrained
        return
    train, order = prepared.tables["train"], list(heads)
    watch.stage("read", len(train.lengths))
    rows = np.arange(len(train.rows))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(len(rows), ROWS, replace=False))
    texts = prompts.row_vectors(prepared.network, train, rows, watch.tick)
    for name in reading:
        templates = recipe.prompt.templates or prompts.TEMPLATES[tongue(prepared, said[name])]
        vectors = prompts.label_vectors(
            prepared.network, prepared.runtime.tokeniser, heads[name].labels, said[name], templates
        )
        weight, bias = prompts.matched(vectors, texts, several=READ[heads[name].kind])
        prompts.put(prepared.network.heads[order.index(name)], weight, bias)


def tongue(prepared: Prepared, said: Mapping[str, str]) -> str:
    """The language of our templates: that of the labels, or where these are too short to tell that of the texts."""
    texts = [example.document.text for example in prepared.dataset.examples["train"][:SAMPLE]]
    return prompts.tongue(list(said.values()), texts)


def _require_kind(name: str, task: Task) -> None:
    if task.kind not in READ and task.kind != "embed":
        raise RecipeError(
            f"zero_shot has no {task.kind} ({name}): an encoder can be compared with the names of labels only.",
            expected=f"a task among {', '.join(READ)}, embed",
            hint="--method probe",
        )
