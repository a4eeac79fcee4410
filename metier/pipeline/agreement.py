"""Whether a changed text still says what it is labelled as: the check of copies by the current model's agreement.

The rule: the probe, fitted on the originals and calibrated on the validation texts, reads both a text and
its copy. Where it is sure of the text (a score of at least `SURE`), the copy must get the same label, or the one that
people gave; else it is thrown away. Of a text that the probe itself does not know, it judges no copy. Labels are
compared as a whole: sets of labels, of spans the types in their order; numbers are the same within a standard deviation
of the training values. An `embed` head judges nothing: every copy is a little less like its pair.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.data.augment.copies import Copy
from metier.models.table import Table, golds
from metier.tasks.task import Task
from metier.types import Example, Prediction, Span

if TYPE_CHECKING:
    from metier.pipeline.prepare import Prepared

SURE = 0.5
"""The score from which on the probe counts as sure of a text."""


def agreeing(prepared: Prepared, fresh: Sequence[Copy]) -> list[bool]:
    """Which copies are kept; every process keeps what the first one does."""
    kept = [True] * len(fresh)
    if prepared.machine.rank == 0 and fresh:
        examples = [example for example in prepared.dataset.examples["train"] if example.targets]
        origins = sorted({item.origin for item in fresh})
        place = {origin: at for at, origin in enumerate(origins)}
        heads = _calibrated(prepared)
        before = _read(prepared, heads, [examples[origin] for origin in origins])
        after = _read(prepared, heads, [item.example for item in fresh])
        for name, task in heads.items():
            same = sameness(task, golds(examples, name))
            for at, item in enumerate(fresh):
                gold = item.example.targets.get(name)
                if gold is not None:
                    kept[at] = kept[at] and agrees(before[name][place[item.origin]], after[name][at], gold, same)
    return prepared.machine.verdicts(kept)


def agrees(text: Prediction, copied: Prediction, gold: Any, same: Callable[[Any, Any], bool]) -> bool:
    """Whether a copy still says what it is labelled as, by the rule at the top of this file.

    Args:
        text: what the probe says of the original.
        copied: what it says of the copy.
        gold: the label of both.
        same: whether two labels are one.
    """
    return text.score < SURE or same(copied.label, text.label) or same(copied.label, gold)


def sameness(task: Task, values: Sequence[Any]) -> Callable[[Any, Any], bool]:
    """Whether two labels of a head are the same; `values`: those of the training texts."""
    if task.kind == "embed":
        return lambda one, other: True
    if task.kind == "score":
        spread = float(np.std(np.array(values, dtype=np.float64))) if len(values) else 0.0
        return lambda one, other: abs(float(one) - float(other)) <= spread
    return lambda one, other: _plain(one) == _plain(other)


def _plain(label: Any) -> Any:
    if not isinstance(label, tuple):
        return str(label)
    if any(isinstance(item, Span) for item in label):
        return [item.label for item in sorted(label, key=lambda item: item.start)]
    return sorted(label)


def _calibrated(prepared: Prepared) -> dict[str, Task]:
    """The heads with the temperature that the validation texts give them now."""
    heads = {name: copy.copy(task) for name, task in prepared.heads.items()}
    table, examples = prepared.tables["valid"], prepared.dataset.examples["valid"]
    if not examples:
        return heads
    pieces = [[table.encoding(row) for row in rows] for rows in table.pieces()]
    for name, logits in prepared.runtime.logits(table).items():
        there = [at for at, example in enumerate(examples) if name in example.targets]
        heads[name].calibrate([logits[at] for at in there], golds(examples, name), [pieces[at] for at in there])
    return heads


def _read(prepared: Prepared, heads: Mapping[str, Task], examples: Sequence[Example]) -> dict[str, list[Prediction]]:
    """What the network says of some examples, head by head."""
    runtime = prepared.runtime
    table = Table.of([example.document for example in examples], runtime.tokeniser, runtime.tasks)
    pieces = [[table.encoding(row) for row in rows] for rows in table.pieces()]
    return {name: heads[name].decode(logits, pieces) for name, logits in runtime.logits(table).items()}
