"""The stage of `zero_shot` and `few_shot`: nothing is learned from labels, they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metier.data.names import described
from metier.evaluate import phrases
from metier.models import prompts
from metier.models.wording import Wording, worded
from metier.pipeline.asking import scorer
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.predict.prompted import Asking, Prompted, Shots, said, units
from metier.tasks.task import Task
from metier.types import Example

ROWS, SAMPLE = 20_000, 200
"""Training texts that names are compared with, and those that say which language a template should have."""
CANDIDATES = 20_000
"""Training texts that examples are chosen from."""


def ask(prepared: Prepared, watch: Watch) -> None:
    """Makes a prepared run answer without a fit. Raises `RecipeError` for what its method cannot do."""
    recipe = prepared.recipe
    how = prompts.way(recipe, prepared.backbone)
    if how == "encoder":
        match(prepared, watch)
        prepared.notes.append({"says": phrases.NAMED})
    else:
        prepared.runtime = prompted(prepared, how, watch)
        prepared.notes.append({"says": phrases.PROMPTED})
    if recipe.train.method == "few_shot":
        prepared.notes.append({"says": phrases.SHOWN, "count": recipe.prompt.shots})
    unlabelled = sum(not example.targets for part in prepared.dataset.examples.values() for example in part)
    if unlabelled:
        prepared.notes.append({"says": phrases.UNLABELLED, "count": unlabelled})


def match(prepared: Prepared, watch: Watch) -> None:
    """Gives every head the weights that compare a text with the names of its labels.

    The texts of the training split, without their labels, say what to centre by and draw the names towards themselves.
    """
    heads, recipe = prepared.heads, prepared.recipe
    reading = [name for name, task in heads.items() if task.kind in prompts.READ]
    called = {name: described(name, heads[name].labels, recipe.heads[name].names) for name in reading}
    if not reading:  # an embed head: the cosine as it was pretrained
        return
    train, order = prepared.tables["train"], list(heads)
    watch.stage("read", len(train.lengths))
    rows = np.arange(len(train.rows))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(len(rows), ROWS, replace=False))
    texts = prompts.row_vectors(prepared.network, train, rows, watch.tick)
    for name in reading:
        templates = recipe.prompt.templates or prompts.TEMPLATES[tongue(prepared, called[name])]
        vectors = prompts.label_vectors(
            prepared.network, prepared.runtime.tokeniser, heads[name].labels, called[name], templates
        )
        weight, bias = prompts.matched(vectors, texts, several=prompts.READ[heads[name].kind])
        prompts.put(prepared.network.heads[order.index(name)], weight, bias)


def tongue(prepared: Prepared, called: Mapping[str, str]) -> str:
    """The language of our templates: that of the labels, or where these are too short to tell that of the texts."""
    texts = [example.document.text for example in prepared.dataset.examples["train"][:SAMPLE]]
    return prompts.tongue(list(called.values()), texts)


def prompted(prepared: Prepared, how: str, watch: Watch) -> Prompted:
    """The runtime that asks a language model, with what it will say to it."""
    recipe, old, train = prepared.recipe, prepared.runtime, prepared.dataset.examples["train"]
    wordings = {name: _wording(prepared, name, task, how) for name, task in prepared.heads.items()}
    saved = {"way": how, "address": recipe.prompt.endpoint, "model": recipe.prompt.generator}
    saved |= {"key": recipe.prompt.api_key_env, "folder": recipe.prompt.generator}
    asking = Asking(scorer(saved, prepared.network, old.tokeniser, prepared.machine), wordings)
    if recipe.train.method == "few_shot":
        watch.stage("examples", 0)
        asking.shots = _shots(prepared, train)
    return Prompted(old.network, old.tokeniser, prepared.machine, old.floors, asking)


def _wording(prepared: Prepared, name: str, task: Task, how: str) -> Wording:
    called = described(name, task.labels, prepared.recipe.heads[name].names)
    return worded(prepared.recipe, called, how, tongue(prepared, called))


def _shots(prepared: Prepared, train: Sequence[Example]) -> Shots:
    """The training texts that examples are chosen from."""
    heads, count = prepared.heads, prepared.recipe.prompt.shots
    index = {name: {label: at for at, label in enumerate(task.labels)} for name, task in heads.items()}
    labelled = [example for example in train if example.targets]
    if len(labelled) > CANDIDATES:
        chosen = np.random.default_rng(prepared.recipe.seed).choice(len(labelled), CANDIDATES, replace=False)
        labelled = [labelled[at] for at in np.sort(chosen).tolist()]
    texts = [said(example.document) for example in labelled]
    targets = [{name: index[name][str(target)] for name, target in one.targets.items()} for one in labelled]
    return Shots(texts, targets, units(prepared.network, prepared.runtime.tokeniser, texts), count)
