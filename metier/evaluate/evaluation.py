"""Judging one head: its task's own figures, how sure they are, how honest its scores are, and where it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.evaluate import bootstrap, calibration
from metier.types import Document, Prediction, Span, Target

if TYPE_CHECKING:
    from metier.tasks.task import Task

MATRIX = 20
"""A confusion matrix is kept whole up to this many classes; beyond it only the pairs that are confused most."""
TEXT = 600
"""Characters of a text that are kept beside an error."""


def judge(
    task: Task,
    golds: Sequence[Target],
    predictions: Sequence[Prediction],
    documents: Sequence[Document] = (),
    *,
    seed: int = 0,
    raw: Sequence[Prediction] | None = None,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Every figure of one head on one split, as JSON values.

    Args:
        documents: what was predicted; tasks that count tokens need it.
        raw: the same predictions before calibration (temperature 1), where "before" is to be shown.
        resamples: of the bootstrap behind the 95 % interval.

    Returns:
        What `task.metrics` says, with `headline.interval` `[low, high]`, the number of `documents` and
        `calibration`: see `calibration.summary`, with `ece_before` and `reliability_before`.
    """
    figures = dict(task.metrics(golds, predictions, documents))
    low, high = bootstrap.interval(task.statistics(golds, predictions), task.headline, resamples=resamples, seed=seed)
    figures["headline"] = {**figures["headline"], "interval": [low, high]}
    figures["documents"] = len(golds)
    score, correct = _known(*task.confidence(predictions, golds))
    if len(score):
        figures["calibration"] = calibration.summary(score, correct)
        if raw is not None:
            before, right = _known(*task.confidence(raw, golds))
            figures["calibration"]["ece_before"] = calibration.ece(before, right)
            figures["calibration"]["reliability_before"] = calibration.reliability(
                before, right, bins=calibration.bins_for(len(before), calibration.DRAWN)
            )
    plain: dict[str, Any] = finite(figures)
    return plain


def _known(score: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the documents that have no score, or no gold to be right by."""
    kept = np.isfinite(score) & np.isfinite(correct)
    return score[kept], correct[kept]


def beside(
    task: Task,
    golds: Sequence[Target],
    predictions: Sequence[Prediction],
    others: Mapping[str, Sequence[Prediction]],
    *,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The headline of each other system on the same documents, and whether the model beats it.

    Returns:
        By name: `{"headline": {"name", "value", "interval"}, "versus": bootstrap.paired(model, other)}`.
    """
    own = task.statistics(golds, predictions)
    found = {}
    for name, theirs in others.items():
        statistics = task.statistics(golds, theirs)
        low, high = bootstrap.interval(statistics, task.headline, seed=seed)
        value = float(task.headline(statistics.sum(axis=0)))
        found[name] = {
            "headline": {"name": task.headline_name, "value": value, "interval": [low, high]},
            "versus": bootstrap.paired(own, statistics, task.headline, seed=seed),
        }
    plain: dict[str, dict[str, Any]] = finite(found)
    return plain


def confusion(golds: Sequence[Target], predictions: Sequence[Prediction], *, top: int = 20) -> dict[str, Any] | None:
    """Which classes are taken for which; `None` for tasks whose answer is not one label.

    Returns:
        `{"labels", "matrix" (gold, predicted) or None beyond 20 classes, "pairs"}`; a pair is
        `{"gold", "predicted", "count", "share"}`, `share` of the documents of that gold class.
    """
    if not golds or not all(isinstance(gold, str) for gold in golds):
        return None
    counts = Counter((str(gold), str(p.label)) for gold, p in zip(golds, predictions, strict=True))
    labels = sorted({label for pair in counts for label in pair})
    support = Counter(str(gold) for gold in golds)
    mistakes = sorted((-count, pair) for pair, count in counts.items() if pair[0] != pair[1])
    matrix = None
    if len(labels) <= MATRIX:
        matrix = [[counts[gold, predicted] for predicted in labels] for gold in labels]
    pairs = [
        {"gold": gold, "predicted": predicted, "count": -count, "share": -count / support[gold]}
        for count, (gold, predicted) in mistakes[:top]
    ]
    return {"labels": labels, "matrix": matrix, "pairs": pairs}


def worst_errors(
    documents: Sequence[Document], golds: Sequence[Target], predictions: Sequence[Prediction], *, top: int = 20
) -> list[dict[str, Any]]:
    """The mistakes that the model was surest of; for numbers, the farthest from the gold value.

    Returns:
        At most `top` of `{"id", "text", "pair", "gold", "predicted", "score", "missed", "invented"}`; the last two
        only where an answer has several parts (labels, spans). Long texts are cut.
    """
    ranked = sorted(
        (-_error(gold, prediction), at)
        for at, (gold, prediction) in enumerate(zip(golds, predictions, strict=True))
        if _error(gold, prediction) > 0
    )
    return [_shown(documents[at], golds[at], predictions[at]) for _, at in ranked[:top]]


def _error(gold: Target, prediction: Prediction) -> float:
    """How bad a prediction is: 0 where it is right."""
    found = prediction.label
    if isinstance(gold, float | int):
        gap = abs(float(gold) - float(found)) if isinstance(found, float | int) else 0.0
        return gap if np.isfinite(gap) else 0.0
    if isinstance(gold, str):
        return 0.0 if gold == found else 1e-9 + prediction.score
    wrong = len(set(gold) ^ set(found))
    # First by how much is wrong, then by how sure the model was.
    return wrong + min(prediction.score, 1.0) / 2 if wrong else 0.0


def _shown(document: Document, gold: Target, prediction: Prediction) -> dict[str, Any]:
    row: dict[str, Any] = {"id": document.id, "text": document.text[:TEXT]}
    if document.pair is not None:
        row["pair"] = document.pair[:TEXT]
    row |= {
        "gold": _plain(gold, document.text),
        "predicted": _plain(prediction.label, document.text),
        "score": float(prediction.score),
    }
    if isinstance(gold, tuple):
        row["missed"] = _plain(tuple(part for part in gold if part not in prediction.label), document.text)
        row["invented"] = _plain(tuple(part for part in prediction.label if part not in gold), document.text)
    return row


def _plain(target: Any, text: str) -> Any:
    """A target as JSON values: a span becomes `label: its text`."""
    if isinstance(target, tuple | list):
        return [_plain(part, text) for part in target]
    if isinstance(target, Span):
        return f"{target.label}: {text[target.start : target.end]}"
    return float(target) if isinstance(target, float | int | np.number) else str(target)


def finite(value: Any) -> Any:
    """The same JSON values with `None` for NaN and the infinities, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, np.generic):
        return finite(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
