"""The stage that fits several networks that answer together, and the one that may learn from them."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metier import run
from metier.errors import RecipeError
from metier.evaluate import phrases
from metier.models.ensemble import Ensemble
from metier.models.network import Network
from metier.pipeline import fit as stage
from metier.pipeline import semi
from metier.pipeline.descend import facts
from metier.pipeline.fit import Fitted
from metier.pipeline.kept import curve, kept
from metier.pipeline.labelling import measured
from metier.pipeline.prepare import Prepared, prepare
from metier.pipeline.watch import Watch
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import AugmentPart, Recipe
from metier.train import distil, weights
from metier.train.methods import METHODS

SINGLE = ("zero_shot", "few_shot", "probe")
"""Methods in which nothing depends on the seed."""
APART = 1_000_003
"""Between the seeds of two members, so that ensembles of neighbouring seeds share none."""
SPLIT = {"test": "test split", "valid": "validation split"}


def fit(prepared: Prepared, staged: Path, watch: Watch) -> Fitted:
    """Fits a prepared run, whose runtime then answers with all members of its ensemble, or with what they taught.

    Without `[ensemble]` as `semi.fit` does. Raises what `require` raises.
    """
    settings, start = prepared.recipe.ensemble, time.perf_counter()
    require(prepared)
    if settings.members == 1:
        return semi.fit(prepared, staged, watch)
    fitted, members = (_snapshots if settings.kind == "snapshot" else _deep)(prepared, staged, watch)
    whole = Ensemble(members)
    split = "test" if prepared.dataset.examples["test"] else "valid"
    alone = [_figures(prepared, member, split) for member in members]
    together = _figures(prepared, whole, split)
    prepared.runtime = _runtime(prepared, whole)
    _tell(prepared, split, alone, together)
    if settings.distil:
        _distil(prepared, staged, watch, together)
    fitted.cost |= {
        "members": alone,
        "seconds": time.perf_counter() - start,
        "parameters": sum(weight.numel() for weight in prepared.runtime.network.parameters()),
    }
    return fitted


def require_single(recipe: Recipe) -> None:
    """Raises `RecipeError` where a race is asked for more than its fits, each of which is a single one."""
    asked = {"data.unlabelled": bool(recipe.data.unlabelled), "ensemble.members": recipe.ensemble.members > 1}
    for key, there in asked.items():
        if there:
            raise RecipeError(
                f"The method 'auto' races single fits on labelled texts and knows nothing of {key}.",
                hint=f"race without it, then train the winner's recipe with {key}",
            )


def require(prepared: Prepared) -> None:
    """Raises `RecipeError` for an ensemble, or a use of texts without labels, that cannot be; fits nothing."""
    semi.require(prepared)
    recipe = prepared.recipe
    settings, method = recipe.ensemble, recipe.train.method
    if settings.members == 1:
        if settings.distil:
            raise RecipeError(
                "ensemble.distil has no ensemble to learn from.", expected="ensemble.members of 2 or more"
            )
        return
    if prepared.machine.world > 1:
        raise RecipeError("An ensemble cannot share several processes.", hint="one process")
    if method in SINGLE:
        raise RecipeError(
            f"Every member of an ensemble would be the same: nothing in the method {method!r} depends on the seed.",
            hint="--method full, head or contrastive",
        )
    if not METHODS[method].joint and (settings.kind == "snapshot" or settings.distil):
        what = "A snapshot ensemble" if settings.kind == "snapshot" else "ensemble.distil"
        raise RecipeError(f"{what} needs a fit by gradient; the method {method!r} is none.", hint="--method full")
    if settings.kind == "snapshot" and prepared.further is not None and recipe.semi.method == "self_training":
        raise RecipeError(
            "A snapshot ensemble is one fit, self-training is several.",
            hint='ensemble.kind = "deep", or semi.method = "pseudo"',
        )


def member_seed(seed: int, number: int) -> int:
    """The seed of a member; the first has the recipe's own."""
    return (seed + number * APART) % 2**32


def _deep(prepared: Prepared, staged: Path, watch: Watch) -> tuple[Fitted, list[Network]]:
    """One fit a seed, all on the same split."""
    count = prepared.recipe.ensemble.members
    names = _names(prepared)
    found: list[Fitted] = []
    networks: list[Network] = []
    for number, name in enumerate(names):
        watch.say(f"member {number + 1} of {count}")
        seed = member_seed(prepared.recipe.seed, number)
        one = prepared if number == 0 else prepare(prepared.recipe.but(seed=seed), prepared.dataset, prepared.machine)
        found.append(kept(one, staged, name, watch, semi.fit))
        networks.append(one.network)
    curve(staged, names)
    return found[0], networks


def _names(prepared: Prepared) -> list[str]:
    """What the fits of a deep ensemble are called."""
    return [f"member-{number}" for number in range(prepared.recipe.ensemble.members)]


def _snapshots(prepared: Prepared, staged: Path, watch: Watch) -> tuple[Fitted, list[Network]]:
    """One fit whose learning rate falls to 0 several times; its weights at these moments (Huang et al. 2017)."""
    fitted = semi.fit(prepared, staged, watch)
    networks = []
    for number in range(1, prepared.recipe.ensemble.members + 1):
        network = copy.deepcopy(prepared.network)
        weights.read(network, staged / run.CHECKPOINT / weights.snapshot(number), facts(prepared))
        networks.append(network)
    return fitted, networks


def _distil(prepared: Prepared, staged: Path, watch: Watch, together: dict[str, float]) -> None:
    """One network learns what the ensemble says of the training texts, and of further ones, and takes its place.

    Copies of training texts stay as they were made for the first member, and no further ones are made.
    """
    alone = {"augment": AugmentPart().model_dump(), "ensemble": {"members": 1, "distil": False}}
    recipe = prepared.recipe.but(**alone, data={"unlabelled": ""})
    fresh = prepare(recipe, prepared.dataset, prepared.machine)
    further = prepared.further.examples if prepared.further else []
    student = semi.extended(fresh, fresh.network, [*prepared.made, *further])
    watch.stage("teach", len(student.tables["train"].rows))
    whole, table = prepared.runtime.network, student.tables["train"]
    student.teacher = replace(
        distil.taught(whole, prepared.heads, table, watch.tick), temperature=prepared.recipe.ensemble.temperature
    )
    kept(student, staged, "student", watch, stage.fit)
    curve(staged, [*(_names(prepared) if prepared.recipe.ensemble.kind == "deep" else ()), "student"])
    split = "test" if prepared.dataset.examples["test"] else "valid"
    own = _figures(prepared, student.network, split)
    prepared.runtime = _runtime(prepared, student.network)
    for name, value in own.items():
        filled = {"head": name, "own": f"{value:.4f}", "value": f"{together[name]:.4f}"}
        prepared.notes.append({"says": phrases.STUDENT, **filled, "split": SPLIT[split]})


def _runtime(prepared: Prepared, network: Network | Ensemble) -> TorchRuntime:
    before = prepared.runtime
    for one in network.networks if isinstance(network, Ensemble) else [network]:
        one.tasks = before.tasks
    return TorchRuntime(network, before.tokeniser, before.machine, before.floors)


def _figures(prepared: Prepared, network: Network | Ensemble, split: str) -> dict[str, float]:
    """The headline of each head on a split, as a network or an ensemble answers."""
    return measured(replace(prepared, runtime=_runtime(prepared, network)), split)


def _tell(prepared: Prepared, split: str, alone: Sequence[dict[str, Any]], together: dict[str, float]) -> None:
    """The members' own figures beside those of all, head by head."""
    for name, value in together.items():
        values = ", ".join(f"{one[name]:.4f}" for one in alone)
        filled = {"head": name, "values": values, "value": f"{value:.4f}"}
        prepared.notes.append({"says": phrases.MEMBERS, **filled, "split": SPLIT[split]})
