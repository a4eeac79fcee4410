"""Precision, recall and F1 from counts, in the layout of scikit-learn's `classification_report`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Row = dict[str, float | int]


def ratio(part: ArrayLike, whole: ArrayLike) -> np.ndarray:
    """`part / whole`, and 0 where `whole` is 0 (what scikit-learn calls `zero_division=0`)."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    quotient: np.ndarray = np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
    return quotient


def overlaps(golds: Sequence[set[Any]], found: Sequence[set[Any]]) -> np.ndarray:
    """Per document: parts rightly found, parts found, parts that there are; `(documents, 3)`."""
    counts = [(len(wanted & said), len(said), len(wanted)) for wanted, said in zip(golds, found, strict=True)]
    return np.array(counts, dtype=np.float64).reshape(-1, 3)


def f1_of(hits: ArrayLike, found: ArrayLike, support: ArrayLike) -> np.ndarray:
    """F1 from the numbers of right answers, of answers, and of what there was to find."""
    return ratio(2.0 * np.asarray(hits), np.asarray(found) + np.asarray(support))


def row(figures: np.ndarray, support: float) -> Row:
    """One line of a report; `figures` are precision, recall and F1."""
    return {**dict(zip(("precision", "recall", "f1-score"), figures.tolist(), strict=True)), "support": int(support)}


def table(names: Sequence[str], hits: np.ndarray, found: np.ndarray, support: np.ndarray) -> dict[str, Any]:
    """`per_class` and its micro, macro and weighted averages.

    Args:
        names: the classes, `(labels,)`.
        hits: how often each class was rightly predicted.
        found: how often it was predicted.
        support: how often it was the gold label.
    """
    columns = np.stack([ratio(hits, found), ratio(hits, support), f1_of(hits, found, support)])
    total = float(np.sum(support))
    right, answers = np.sum(hits), np.sum(found)
    micro = np.array([ratio(right, answers), ratio(right, total), f1_of(right, answers, total)])
    macro = columns.mean(axis=1) if len(names) else np.zeros(3)
    weighted = ratio(columns @ np.asarray(support, dtype=np.float64), total)
    return {
        "per_class": {name: row(columns[:, at], support[at]) for at, name in enumerate(names)},
        "micro avg": row(micro, total),
        "macro avg": row(macro, total),
        "weighted avg": row(weighted, total),
    }


def positions(
    golds: Sequence[str], found: Sequence[str], known: Sequence[str]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The labels that occur, known ones first, and both sequences as positions among them.

    A label that only a test set holds is a class of its own there: its recall is 0 and the averages feel it.
    """
    seen = set(golds) | set(found)
    names = [label for label in known if label in seen]
    names += sorted(seen.difference(known))
    index = {label: at for at, label in enumerate(names)}
    at = [np.array([index[label] for label in labels], dtype=np.int64) for labels in (golds, found)]
    return names, at[0], at[1]


def confusion(golds: np.ndarray, found: np.ndarray, size: int) -> np.ndarray:
    """Counts `(gold, found)` of shape `(size, size)`."""
    flat = np.bincount(golds * size + found, minlength=size * size)
    return flat.reshape(size, size)


def matthews(counts: np.ndarray) -> float:
    """Matthews' correlation of a confusion matrix, for any number of classes (Gorodkin 2004); 0 where undefined."""
    counts = counts.astype(np.float64)
    total, right = counts.sum(), np.trace(counts)
    golds, found = counts.sum(axis=1), counts.sum(axis=0)
    spread = (total**2 - (golds**2).sum()) * (total**2 - (found**2).sum())
    return float((right * total - golds @ found) / np.sqrt(spread)) if spread > 0 else 0.0
