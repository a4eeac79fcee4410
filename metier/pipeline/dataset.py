"""The stage that reads: a source to clean, deduplicated examples in train, valid and test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metier.data import dedup, mentions, read
from metier.data import split as splitting
from metier.data.columns import TEXT
from metier.data.source import ORIGIN, Source
from metier.data.targets import SCORE_VALUES
from metier.errors import DataError
from metier.pipeline.sources import JOINT, Origin, origins
from metier.pipeline.watch import Watch
from metier.recipe import Recipe
from metier.train.methods import PROMPTING
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
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The text columns of heads whose examples are in files of their own."""

    def resolve(self, recipe: Recipe) -> Recipe:
        """The recipe with what the data decided: columns and kinds of task."""
        heads = {
            name: {**part.model_dump(), "task": self.kinds[name], "text": self.texts.get(name, part.text)}
            for name, part in recipe.heads.items()
        }
        return recipe.but(data={"text": self.columns.text, "split": self.columns.split}, heads=heads)


def read_dataset(recipe: Recipe, source: Source, watch: Watch) -> Dataset:
    """Reads every source of a recipe: `source`, and those that its heads name themselves.

    Each is cleaned, cut and freed of duplicates by itself; then training texts go that another source tests.
    Raises `DataError` for whatever keeps a source from being learned from.
    """
    found = origins(recipe, source)
    several = any(origin.path for origin in found)
    datasets = [read_source(origin.recipe, origin.source, watch, several=several) for origin in found]
    dataset = _joined(found, datasets, watch) if several else datasets[0]
    if recipe.data.interactions:
        from metier.pipeline.corrections import corrected

        return corrected(dataset, recipe.data.interactions, clean=recipe.data.clean, watch=watch)
    return dataset


def _joined(found: Sequence[Origin], datasets: Sequence[Dataset], watch: Watch) -> Dataset:
    """Several data sets as one; an example carries the heads of its own source."""
    texts = {origin.name: len(dataset.columns.text) for origin, dataset in zip(found, datasets, strict=True)}
    if len(set(texts.values())) > 1:
        said = " and ".join(f"{name} has {'pairs of texts' if n > 1 else 'single texts'}" for name, n in texts.items())
        raise DataError(f"{said}.", expected="one or the other in all sources of a run", hint="one run for each")
    everything = [
        _marked(example, origin.name, first=origin is found[0])
        for origin, dataset in zip(found, datasets, strict=True)
        for split in SPLITS
        for example in dataset.examples[split]
    ]
    clean, between = splitting.leakage(everything)
    examples = {name: [example for example in clean if example.split == name] for name in SPLITS}
    if between:
        watch.say(f"{between} training texts left out that another source has in valid or test")
    pairs = list(zip(found, datasets, strict=True))
    return Dataset(
        examples,
        {head: kind for dataset in datasets for head, kind in dataset.kinds.items()},
        replace(datasets[0].columns, labels={k: v for one in datasets for k, v in one.columns.labels.items()}),
        JOINT.join(dataset.fingerprint for dataset in datasets),
        _summed(found, datasets, examples, between),
        {head: dataset.columns.text for origin, dataset in pairs if origin.path for head in origin.recipe.heads},
    )


def _marked(example: Example, name: str, first: bool) -> Example:
    """An example that knows its source; ids of the second source and on name it, or they would come twice."""
    document = example.document
    own = document.id if first else f"{name}:{document.id}"
    return replace(example, document=replace(document, id=own, meta={**document.meta, ORIGIN: name}))


def _summed(
    found: Sequence[Origin], datasets: Sequence[Dataset], examples: dict[str, list[Example]], between: int
) -> dict[str, Any]:
    """What happened to the rows of all sources, and in `sources` to those of each."""
    each = [dataset.summary for dataset in datasets]
    names = [origin.name for origin in found]
    ignored: Counter[str] = sum((Counter(one["ignored"]) for one in each), Counter())
    return {
        "source": ", ".join(names),
        "fingerprint": JOINT.join(dataset.fingerprint for dataset in datasets),
        "rows": {name: len(part) for name, part in examples.items()},
        "text": list(dict.fromkeys(text for one in each for text in one["text"])),
        **{key: sum(one[key] for one in each) for key in ("unlabelled", "duplicates")},
        "leaked": sum(one["leaked"] for one in each) + between,
        "leaked_between": between,
        "ignored": dict(ignored),
        "split": {part: ", ".join(dict.fromkeys(one["split"][part] for one in each)) for part in SPLITS},
        "sources": [{**one, "source": name} for name, one in zip(names, each, strict=True)],
    }


def read_source(recipe: Recipe, source: Source, watch: Watch, *, several: bool = False) -> Dataset:
    """Reads, cleans, removes duplicates, splits, removes leakage.

    Raises `DataError` for whatever keeps the source from being learned from.
    """
    watch.stage("read", 0)
    data = recipe.data
    heads = labelled_columns(recipe, source)
    columns = read.resolve(
        source,
        data.text or TEXT,
        heads,
        tasks={name: head.task for name, head in recipe.heads.items() if head.task},
        mentions={name: head.mention for name, head in recipe.heads.items() if head.mention and name in heads},
        roles={"split": data.split, "group": data.group, "time": data.time},
    )
    columns = columns if heads else replace(columns, labels={})
    bare = recipe.train.method in PROMPTING
    rows = list(_read(recipe, source, columns, watch))
    labelled = [
        row for row in rows if (row.targets or bare) and (row.document.text or row.document.pair or row.split in HELD)
    ]
    if not labelled:
        column = ", ".join(repr(head.column) for head in recipe.heads.values())
        raise DataError(f"Of {len(rows)} rows none has both a text and a label in {column}.", hint="metier doctor")
    labelled, single = mentions.gathered(labelled, columns.mentions), len(labelled)
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
        "unlabelled": len(rows) - single,
        "duplicates": duplicates,
        "leaked": leaked,
        "ignored": dict(division.ignored),
        "split": dict(division.made),
    }
    if single > len(labelled):
        watch.say(f"{single} labelled rows name mentions in {len(labelled)} texts")
    name = f"{Path(data.path).name}: " if several else ""
    watch.say(name + _said(summary))
    kinds = {head: part.task or "classify" for head, part in recipe.heads.items()}
    kinds |= {head: kind for head, (_, kind) in columns.labels.items()}
    for head, part in recipe.heads.items():
        if part.task is None and kinds[head] == "classify" and _all_numbers(clean, head):
            watch.say(f"{head}: the numbers are taken for names of classes; --task score learns them as numbers.")
    return Dataset(examples, kinds, columns, fingerprint, summary)


def labelled_columns(recipe: Recipe, source: Source) -> dict[str, str]:
    """Head name to column. A head whose labels `names` says needs none where the method reads what they are called."""
    heads = {name: head.column for name, head in recipe.heads.items()}
    if recipe.train.method not in PROMPTING:
        return heads
    known = read.columns(source)
    return {name: column for name, column in heads.items() if column in known or not recipe.heads[name].names}


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
