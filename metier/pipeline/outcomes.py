"""What a run said of every test text, kept in the run so that two runs can be compared text by text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from metier import tasks
from metier.errors import DataError
from metier.evaluate import bootstrap
from metier.models.table import golds
from metier.pipeline.load import LABELS
from metier.pipeline.prepare import Prepared
from metier.predict.runtime import Logits, Runtime
from metier.run import Run
from metier.types import Document, Prediction, Span, Target

FILE = "outcomes.parquet"


def save_outcomes(prepared: Prepared, path: Path, runtime: Runtime, logits: Mapping[str, Logits]) -> None:
    """Gold and predicted labels of the test split (of the validation split where there is none), from their logits."""
    split = "test" if prepared.dataset.examples["test"] else "valid"
    table, examples = prepared.tables[split], prepared.dataset.examples[split]
    predictions = runtime.decode(table, logits[split])
    rows: list[dict[str, Any]] = []
    for head in prepared.heads:
        there = [index for index, example in enumerate(examples) if head in example.targets]
        for index, gold in zip(there, golds(examples, head), strict=True):
            said = predictions[index][head]
            key = key_of(examples[index].document)
            rows.append(
                {"key": key, "head": head, "gold": plain(gold), "label": plain(said.label), "score": said.score}
            )
    schema = {"key": pl.String, "head": pl.String, "gold": pl.String, "label": pl.String, "score": pl.Float64}
    pl.DataFrame(rows, schema=schema).write_parquet(path / FILE)


def compare(first: Run, second: Run, *, seed: int = 13, resamples: int = 10_000) -> dict[str, Any]:
    """The difference of two runs on the test texts that both answered, with a paired bootstrap, head by head.

    Raises `DataError` where they share no head or no test text.
    """
    found: dict[str, Any] = {}
    a, b = (pl.read_parquet(item.path / FILE) for item in (first, second))
    heads = [head for head in a["head"].unique(maintain_order=True) if head in set(b["head"])]
    if not heads:
        raise DataError("The two runs have no head in common.", expected="runs with a head of the same name")
    for head in heads:
        left = a.filter(pl.col("head") == head).unique("key", maintain_order=True)
        right = b.filter(pl.col("head") == head).unique("key", maintain_order=True)
        both = left.join(right, on=["key", "gold"], suffix="_b", maintain_order="left")
        if not len(both):
            raise DataError(
                f"The two runs were tested on different texts ({head}).", hint="train both with the same split"
            )
        task = tasks.restore(first.json(LABELS)[head])
        targets = [target(task.kind, value) for value in both["gold"]]
        counts = [
            task.statistics(
                targets,
                [Prediction(target(task.kind, label), score) for label, score in zip(labels, scores, strict=True)],
            )
            for labels, scores in ((both["label"], both["score"]), (both["label_b"], both["score_b"]))
        ]
        values = [float(task.headline(item.sum(axis=0))) for item in counts]
        paired = bootstrap.paired(counts[0], counts[1], task.headline, seed=seed, resamples=resamples)
        found[head] = {"name": task.headline_name, "texts": len(both), "a": values[0], "b": values[1], **paired}
    return found


def key_of(document: Document) -> str:
    """A name for the text itself, the same in every run."""
    return hashlib.sha256(repr((document.text, document.pair)).encode("utf-8", "surrogatepass")).hexdigest()[:20]


def plain(value: Any) -> str:
    """A target as JSON."""
    if isinstance(value, tuple):
        return json.dumps(
            [[item.start, item.end, item.label] if isinstance(item, Span) else item for item in value],
            ensure_ascii=False,
        )
    return json.dumps(value, ensure_ascii=False)


def target(kind: str, value: str) -> Target:
    """A target from what `plain` made of it."""
    found = json.loads(value)
    if kind in ("tag", "mention"):
        return tuple(Span(*item) for item in found)
    answer: Target = tuple(found) if isinstance(found, list) else found
    return answer
