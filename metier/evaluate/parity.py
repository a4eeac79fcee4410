"""Whether a changed model still says what the first one said: the same texts through both, and what people said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.evaluate import bootstrap
from metier.tasks import tables
from metier.types import Prediction, Span, Target

if TYPE_CHECKING:
    from metier.tasks.task import Task

RESAMPLES = 500
WORST = 10
"""Classes that are named, those that lost most."""


@dataclass(frozen=True)
class Parity:
    """One head of two models on the same texts.

    Args:
        difference: the largest difference between the probabilities that both give a label, before either is
            calibrated anew.
        changed: the share of texts whose answer is another.
        before, after: the headline metric.
        points: `after - before`, times 100.
        interval: of `points`, 95 %, by the paired bootstrap.
        classes: of each class `{"label", "before", "after", "points", "interval"}` of its F1, the worst first.
        texts: how many.
    """

    difference: float
    changed: float
    before: float
    after: float
    points: float
    interval: tuple[float, float]
    classes: list[dict[str, Any]]
    texts: int


def compare(
    task: Task, golds: Sequence[Target], before: Sequence[Prediction], after: Sequence[Prediction], *, seed: int = 0
) -> Parity:
    """Both models' answers of a head, text by text."""
    ours, theirs = task.statistics(golds, after), task.statistics(golds, before)
    found = bootstrap.paired(ours, theirs, task.headline, resamples=RESAMPLES, seed=seed)
    changed = [one.label != other.label for one, other in zip(before, after, strict=True)]
    return Parity(
        difference=max((_apart(one, other) for one, other in zip(before, after, strict=True)), default=0.0),
        changed=float(np.mean(changed)) if changed else 0.0,
        before=float(task.headline(theirs.sum(axis=0))),
        after=float(task.headline(ours.sum(axis=0))),
        points=100 * found["difference"],
        interval=(100 * found["interval"][0], 100 * found["interval"][1]),
        classes=_classes(golds, before, after, seed),
        texts=len(golds),
    )


def _apart(one: Prediction, other: Prediction) -> float:
    """How far the probabilities of two predictions are apart, at the label where that is most."""
    if one.probabilities and other.probabilities:
        return max(abs(value - other.probabilities.get(label, 0.0)) for label, value in one.probabilities.items())
    return abs(one.score - other.score)


def _classes(
    golds: Sequence[Target], before: Sequence[Prediction], after: Sequence[Prediction], seed: int
) -> list[dict[str, Any]]:
    """The F1 of every class that people gave, in both models; empty for tasks without classes."""
    labels = sorted({_class(item) for gold in golds for item in _items(gold)})
    found = []
    sets = [
        [_items(gold) for gold in golds],
        *([_items(said.label) for said in answers] for answers in (before, after)),
    ]
    for label in labels:
        first, second = (_counts(sets[0], said, label) for said in sets[1:])
        both = bootstrap.paired(second, first, _f1, resamples=RESAMPLES, seed=seed)
        values = [float(_f1(counts.sum(axis=0))) for counts in (first, second)]
        low, high = both["interval"]
        found.append(
            {
                "label": label, "before": values[0], "after": values[1], "points": 100 * both["difference"],
                "interval": [100 * low, 100 * high],
            }
        )  # fmt: skip
    return sorted(found, key=lambda row: row["points"])[:WORST]


def _items(target: Any) -> set[Any]:
    """What a target or an answer holds, each right or wrong for itself: a label, labels, spans; of a number nothing."""
    if isinstance(target, str):
        return {target}
    if isinstance(target, tuple | list | set | frozenset):
        return {
            (item.start, item.end, item.label) if isinstance(item, Span) else item
            for item in target
            if isinstance(item, Span | str)
        }
    return set()


def _class(item: Any) -> str:
    return str(item[2]) if isinstance(item, tuple) else str(item)


def _counts(golds: Sequence[set[Any]], said: Sequence[set[Any]], label: str) -> np.ndarray:
    """Hits, answers and golds of a class in each text, `(texts, 3)`."""
    rows = np.zeros((len(golds), 3))
    for at, (gold, answer) in enumerate(zip(golds, said, strict=True)):
        own = {item for item in gold if _class(item) == label}
        theirs = {item for item in answer if _class(item) == label}
        rows[at] = len(own & theirs), len(theirs), len(own)
    return rows


def _f1(sums: np.ndarray) -> np.ndarray:
    return tables.f1_of(sums[..., 0], sums[..., 1], sums[..., 2])


def lost(found: Mapping[str, Parity], tolerance: float) -> list[str]:
    """The heads that lost more than `tolerance` points, or answer with what is no number."""
    return [name for name, one in found.items() if not one.points >= -tolerance - 1e-9]
