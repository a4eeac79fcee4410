"""The stage that fits where there are texts without labels: self-training, or a fit that hears of them."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metier.errors import RecipeError
from metier.evaluate import phrases
from metier.models.network import Network
from metier.pipeline import fit as stage
from metier.pipeline.beside import learned_last
from metier.pipeline.fit import Fitted
from metier.pipeline.kept import curve, kept
from metier.pipeline.labelling import guesses
from metier.pipeline.prepare import Prepared, headline, table_of
from metier.pipeline.watch import Watch
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import SemiPart
from metier.train import semi
from metier.train.methods import METHODS
from metier.types import Example


def fit(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """Fits the network of a prepared run in place; without texts of `data.unlabelled` as `pipeline.fit` does."""
    if prepared.further is None:
        return stage.fit(prepared, staged, watch)
    summary = prepared.further.summary
    prepared.notes.append({"says": phrases.FURTHER, **summary, "source": Path(summary["source"]).name})
    prepared.dataset.summary["further"] = summary
    said = "{texts} unlabelled texts (left out: {empty} empty, {duplicates} repeated, {known} in the labelled data)"
    watch.say(said.format(**summary))
    if prepared.recipe.semi.method == "self_training":
        return _rounds(prepared, staged, watch)
    if prepared.recipe.semi.method == "none":
        return _beside(prepared, staged, watch)
    fitted = stage.fit(prepared, staged, watch)
    if prepared.recipe.semi.method == "pseudo":
        prepared.notes.append({"says": phrases.GUESSED, "count": learned_last(staged), "of": summary["texts"]})
    return fitted


def require(prepared: Prepared) -> None:
    """Raises `RecipeError` for whatever cannot be learned from texts without labels; fits nothing."""
    if prepared.further is None:
        settings = prepared.recipe.semi
        if settings != SemiPart() and settings.method != "none":
            raise RecipeError(
                "[semi] says how texts without labels are used, and there are none.",
                expected="data.unlabelled (--unlabelled FILE), or no [semi]",
            )
        return
    method, how = prepared.recipe.train.method, prepared.recipe.semi.method
    embed = [name for name, task in prepared.heads.items() if task.separate]
    if prepared.machine.world > 1:
        raise RecipeError("Unlabelled texts cannot be shared by several processes.", hint="one process")
    if how == "none":
        if prepared.recipe.regularise.adversarial != "vat" and not prepared.recipe.ensemble.distil:
            raise RecipeError(
                'semi.method "none" leaves nothing to learn from unlabelled texts.',
                expected='another semi.method, regularise.adversarial = "vat", or ensemble.distil = true',
            )
        return
    if embed:
        raise RecipeError(
            f"The head {embed[0]!r} compares texts: the model has no labels to give to single ones.",
            expected="heads that label texts, for data.unlabelled",
            hint='semi.method = "none"',
        )
    if method in ("zero_shot", "few_shot"):
        raise RecipeError(
            f"The method {method!r} fits nothing that unlabelled texts could improve.", hint="--method probe"
        )
    if how != "self_training" and not METHODS[method].joint:
        raise RecipeError(
            f"semi.method {how!r} needs a fit by gradient; the method {method!r} is none.",
            hint='semi.method = "self_training", or --method full',
        )


def _beside(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """One fit whose batches hold the further texts, too, for a term that needs no label, where there is one."""
    assert prepared.further is not None
    if prepared.recipe.regularise.adversarial != "vat":
        return stage.fit(prepared, staged, watch)
    rows = len(prepared.tables["train"].rows)
    fitted = stage.fit(extended(prepared, prepared.network, prepared.further.examples), staged, watch)
    if fitted.rows is not None and fitted.embeddings is not None:  # the report is about labelled texts
        labelled = fitted.rows < rows
        fitted.rows, fitted.embeddings = fitted.rows[labelled], fitted.embeddings[labelled]
    return fitted


@dataclass
class _Best:
    """The best round so far: its number, its figure on the validation split, its weights."""

    number: int
    value: float
    weights: dict[str, Any]


def _rounds(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """Self-training: each round fits the pretrained weights anew, on the labels and on what the last one was sure of.

    The round that is best on the validation split is kept, of equals the first: guesses must earn their place. Without
    a validation split it is the last.
    """
    start, settings = time.perf_counter(), prepared.recipe.semi
    pretrained = copy.deepcopy(prepared.network)
    fitted = kept(prepared, staged, "round-0", watch, stage.fit)
    best, current, names = _best(prepared, 0), prepared, ["round-0"]
    for number in range(1, settings.rounds + 1):
        threshold = semi.confidence(settings, (number - 1) / max(1, settings.rounds - 1))
        found = guesses(current, threshold)
        watch.say(f"round {number}: {len(found)} texts have a score of {threshold:.2f} or more")
        value = None
        if found:
            current = extended(prepared, copy.deepcopy(pretrained), found)
            names.append(f"round-{number}")
            kept(current, staged, names[-1], watch, stage.fit)
            latest = _best(current, number)
            best, value = max(best, latest, key=lambda one: one.value), latest.value  # of equals the first
        prepared.notes.append(_said(number, len(found), threshold, value))
        if not found:
            break
    prepared.network.load_state_dict(best.weights)
    prepared.notes.append({"says": phrases.ROUND_KEPT, "round": best.number})
    watch.say(f"round {best.number} is kept")
    curve(staged, names)
    fitted.cost["seconds"] = time.perf_counter() - start
    return fitted


def _said(number: int, count: int, threshold: float, value: float | None) -> Mapping[str, Any]:
    """A round as a note of the report."""
    if value is None:
        return {"says": phrases.ROUND_EMPTY, "round": number, "score": f"{threshold:.2f}"}
    filled = {"round": number, "count": count, "score": f"{threshold:.2f}", "value": f"{value:.3f}"}
    return {"says": phrases.ROUND, **filled}


def _value(prepared: Prepared) -> float:
    """The metric that the best weights are chosen by, on the validation split, which has rows."""
    found = headline(prepared, "valid", prepared.runtime.logits(prepared.tables["valid"]))
    return found.get(prepared.recipe.train.metric, float(np.mean(list(found.values()))))


def _best(prepared: Prepared, number: int) -> _Best:
    weights = {name: tensor.detach().clone() for name, tensor in prepared.network.state_dict().items()}
    return _Best(number, _value(prepared) if len(prepared.tables["valid"].rows) else float(number), weights)


def extended(prepared: Prepared, network: Network, examples: Sequence[Example]) -> Prepared:
    """The run with more training examples and another network, whose heads are those of the run."""
    before = prepared.runtime
    network.tasks = before.network.tasks
    runtime = TorchRuntime(network, before.tokeniser, before.machine, before.floors)
    parts = {**prepared.dataset.examples, "train": [*prepared.dataset.examples["train"], *examples]}
    dataset = replace(prepared.dataset, examples=parts)
    tables = {**prepared.tables, "train": table_of(dataset, "train", runtime)}
    return replace(prepared, dataset=dataset, runtime=runtime, tables=tables, made=[])
