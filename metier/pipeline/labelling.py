"""What a network says of texts that nobody labelled, where it is sure enough to be believed."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

import numpy as np

from metier.models.table import golds
from metier.pipeline.prepare import Prepared
from metier.tasks.task import Encoding, Task
from metier.train import semi
from metier.types import Example, Target

SHARED_OUT = ("classify", "relate", "multilabel")
"""Kinds of task of whose guesses each class gets its share."""


def guesses(prepared: Prepared, confidence: float) -> list[Example]:
    """The further texts of a run that some head is sure of, with what it says."""
    assert prepared.further is not None
    pairs = zip(prepared.further.table.documents, guessed(prepared, confidence), strict=True)
    return [Example(document, targets, "train") for document, targets in pairs if targets]


def guessed(prepared: Prepared, confidence: float) -> list[dict[str, Target]]:
    """The targets that the network of a run gives each further text, where their score is high enough.

    Scores are calibrated on the validation split.
    """
    assert prepared.further is not None
    table = prepared.further.table
    logits, pieces = prepared.runtime.logits(table), _pieces(table)
    targets: list[dict[str, Target]] = [{} for _ in table.documents]
    for name, task in calibrated(prepared).items():
        said = task.decode(logits[name], pieces)
        scores = np.array([item.score for item in said])
        labels = [_class(item.label) for item in said] if task.kind in SHARED_OUT else []
        known = [_class(gold) for gold in golds(prepared.dataset.examples["train"], name)] if labels else []
        for place in semi.sure(scores, confidence, labels, known):
            if task.kind != "mention" or said[place].label:  # a text without mentions teaches such a head nothing
                targets[place][name] = said[place].label
    return targets


def calibrated(prepared: Prepared) -> dict[str, Task]:
    """Copies of the heads, calibrated on the validation split as the network now is."""
    table, examples = prepared.tables["valid"], prepared.dataset.examples["valid"]
    tasks = {name: copy.copy(task) for name, task in prepared.heads.items()}
    logits, pieces = prepared.runtime.logits(table), _pieces(table)
    for name, task in tasks.items():
        there = [index for index, example in enumerate(examples) if name in example.targets]
        if there:
            task.calibrate(
                [logits[name][index] for index in there], golds(examples, name), [pieces[index] for index in there]
            )
    return tasks


def measured(prepared: Prepared, split: str) -> dict[str, float]:
    """The headline metric of each head on a split, calibrated on the validation split."""
    table, examples = prepared.tables[split], prepared.dataset.examples[split]
    logits, pieces, found = prepared.runtime.logits(table), _pieces(table), {}
    for name, task in calibrated(prepared).items():
        there = [index for index, example in enumerate(examples) if name in example.targets]
        said = task.decode([logits[name][index] for index in there], [pieces[index] for index in there])
        counts = task.statistics(golds(examples, name), said)
        found[name] = float(task.headline(counts.sum(axis=0))) if there else 0.0
    return found


def _pieces(table: Any) -> list[list[Encoding]]:
    return [[table.encoding(row) for row in rows] for rows in table.pieces()]


def _class(label: Any) -> Hashable:
    return frozenset(label) if isinstance(label, tuple) else label
