"""The stage that judges: calibration, figures with intervals, baselines beside them, doubtful labels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from metier.evaluate import baselines, evaluation, phrases
from metier.evaluate.findings import HeadFindings
from metier.evaluate.suspects import Suspect, doubtful_numbers, doubtful_sets, suspects
from metier.models.table import golds
from metier.pipeline.fit import Fitted
from metier.pipeline.judged import Judged
from metier.pipeline.prepare import Prepared
from metier.predict.runtime import Logits
from metier.types import Prediction

DOUBTED: dict[str, Callable[[np.ndarray, Sequence[Any]], list[Suspect]]] = {
    "classify": suspects,
    "relate": suspects,
    "multilabel": doubtful_sets,
    "score": doubtful_numbers,
}
"""Who finds labels that are probably wrong, by the kind of task."""


def assess(prepared: Prepared, fitted: Fitted, logits: Mapping[str, Logits]) -> dict[str, HeadFindings]:
    """Calibrates every head on the validation split and judges it on the test split, baselines beside it.

    Args:
        prepared: the run.
        fitted: what the fit left.
        logits: of both splits, as `answered` has them.
    """
    return {name: _head(prepared, fitted, name, logits) for name in prepared.heads}


def _head(prepared: Prepared, fitted: Fitted, name: str, logits: Mapping[str, Logits]) -> HeadFindings:
    task, recipe = prepared.heads[name], prepared.recipe
    examples = prepared.dataset.examples
    raw = copy.copy(task)
    split = {
        part: Judged(name, task, prepared.tables[part], examples[part], logits[part]) for part in ("valid", "test")
    }
    if split["valid"].golds:
        task.calibrate(split["valid"].logits, split["valid"].golds, split["valid"].pieces)
    figures = {part: held.figures(raw, recipe.seed, recipe.evaluate.resamples) for part, held in split.items()}
    held = split["test"] if split["test"].golds else split["valid"]
    part = "test" if split["test"].golds else "valid"
    predictions = held.predictions() if held.golds else []
    beside = _baselines(prepared, fitted, held, part) if recipe.evaluate.baselines and held.golds else {}
    return HeadFindings(
        task=task.kind,
        test=figures["test"],
        valid=figures["valid"],
        baselines=evaluation.beside(task, held.golds, predictions, beside, seed=recipe.seed) if beside else {},
        confusion=evaluation.confusion(*task.each(held.golds, predictions)),
        errors=list(evaluation.worst_errors(held.documents, held.golds, predictions)),
        suspects=list(_suspects(prepared, fitted, name)) if recipe.evaluate.suspects else [],
        temperature=task.temperature,
        notes=_notes(prepared),
    )


def _baselines(prepared: Prepared, fitted: Fitted, held: Judged, part: str) -> dict[str, list[Prediction]]:
    """Majority, TF-IDF and the probe on the same documents."""
    train = prepared.dataset.examples["train"]
    labelled = [example for example in train if held.head in example.targets]
    if not labelled:  # labels were only named
        return {}
    found = baselines.baselines(
        held.task.kind,
        [example.document for example in labelled],
        golds(labelled, held.head),
        held.documents,
        seed=prepared.recipe.seed,
    )
    if part in fitted.probe and prepared.recipe.train.method != "probe":
        found["probe"] = _probe(prepared, fitted, held, part)
    return found


def _probe(prepared: Prepared, fitted: Fitted, held: Judged, part: str) -> list[Prediction]:
    """The probe's predictions, calibrated as the model's are."""
    task = copy.copy(held.task)
    examples, tables = prepared.dataset.examples, prepared.tables
    valid = Judged(held.head, task, tables["valid"], examples["valid"], fitted.probe["valid"])
    if valid.golds:
        task.calibrate(valid.logits, valid.golds, valid.pieces)
    return Judged(held.head, task, tables[part], examples[part], fitted.probe[part]).predictions()


def _suspects(prepared: Prepared, fitted: Fitted, name: str) -> list[dict[str, Any]]:
    """Training examples that are probably mislabelled, for tasks that answer for a text as a whole."""
    train, table = prepared.dataset.examples["train"], prepared.tables["train"]
    kind = prepared.heads[name].kind
    if kind not in DOUBTED or fitted.embeddings is None or fitted.rows is None:
        return []
    owners = table.rows.owner[fitted.rows]
    first = {int(owner): position for position, owner in reversed(list(enumerate(owners)))}
    kept = [owner for owner in sorted(first) if owner < len(train) and name in train[owner].targets]  # no copies
    if not kept:
        return []
    given = [train[owner].targets[name] for owner in kept]
    vectors = fitted.embeddings[[first[owner] for owner in kept]]
    documents = [train[owner].document for owner in kept]
    return [
        {
            "id": documents[item.index].id,
            "text": documents[item.index].text[: evaluation.TEXT],
            "given": item.given,
            "suggested": item.suggested,
            "score": item.score,
        }
        for item in DOUBTED[kind](vectors, given)
    ]


def _notes(prepared: Prepared) -> list[Mapping[str, Any]]:
    """Texts that lost their end, by split, and what else was done to them: never silent."""
    limit = prepared.runtime.tokeniser.max_length
    cut = [
        {"says": phrases.CUT, "split": split, "count": table.rows.truncated, "of": len(table.documents), "limit": limit}
        for split, table in prepared.tables.items()
        if table.rows.truncated
    ]
    return [*prepared.notes, *cut]
