"""The figures of a smaller run, and its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metier import run as folder
from metier.evaluate import evaluation
from metier.evaluate.card import write as write_card
from metier.evaluate.findings import Findings, HeadFindings
from metier.evaluate.report import render
from metier.pipeline.judged import SPLITS, Judged
from metier.pipeline.load import LABELS, TOKENIZER
from metier.pipeline.outcomes import save_outcomes
from metier.pipeline.prepare import Prepared
from metier.pipeline.train import CARD, ENVIRONMENT, EVALUATION, REPORT
from metier.predict.runtime import Logits, Runtime
from metier.run import Run


def findings(prepared: Prepared, runtime: Runtime, before: Findings, logits: Mapping[str, Logits]) -> Findings:
    """What the report says: every head calibrated on the validation texts and judged on the test texts anew.

    What was found of the data and of the fit stays as the old run's report has it; the baselines were its rivals.
    """
    heads: dict[str, HeadFindings] = {}
    for name, task in runtime.tasks.items():
        held = {
            split: Judged(name, task, prepared.tables[split], prepared.dataset.examples[split], logits[split])
            for split in SPLITS
        }
        if held["valid"].golds:
            task.calibrate(held["valid"].logits, held["valid"].golds, held["valid"].pieces)
        heads[name] = _head(prepared, before.heads[name], held)
    return replace(before, heads=heads)


def _head(prepared: Prepared, before: HeadFindings, held: dict[str, Judged]) -> HeadFindings:
    figures = {
        split: own.figures(None, prepared.recipe.seed, prepared.recipe.evaluate.resamples)
        for split, own in held.items()
    }
    shown = held["test"] if held["test"].golds else held["valid"]
    said = shown.predictions() if shown.golds else []
    return replace(
        before,
        test=figures["test"],
        valid=figures["valid"],
        baselines={},
        confusion=evaluation.confusion(shown.golds, said),
        errors=list(evaluation.worst_errors(shown.documents, shown.golds, said)),
        temperature=shown.task.temperature,
    )


def save(
    prepared: Prepared, runtime: Runtime, found: Findings, logits: Mapping[str, Logits], known: Run, staged: Path
) -> None:
    """Every file of the new run but its graph and its manifest."""
    heads: dict[str, Any] = {name: task.describe() for name, task in runtime.tasks.items()}
    folder.write_text(staged / LABELS, json.dumps(heads, ensure_ascii=False, indent=1))
    folder.write_text(staged / TOKENIZER, runtime.tokeniser.tokenizer.to_str())
    if (known.path / ENVIRONMENT).is_file():
        shutil.copyfile(known.path / ENVIRONMENT, staged / ENVIRONMENT)
    found.write(staged / EVALUATION)
    save_outcomes(prepared, staged, runtime, logits)
    render(found, staged / REPORT)
    write_card(found, staged / CARD)
