"""The step that fits a student with fewer layers to what a run says, on labelled and on further texts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import ceil, sqrt
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from metier import run as folder
from metier.data.augment.copies import Plan, copies
from metier.data.augment.sources import Sources
from metier.errors import RecipeError
from metier.evaluate import phrases
from metier.models.ensemble import Ensemble
from metier.models.machine import seeded
from metier.models.network import Network
from metier.models.table import Table
from metier.optimise.student import chosen, student
from metier.pipeline.descend import descend, facts
from metier.pipeline.optimise.shrink import Parts, drop_parts
from metier.pipeline.prepare import Prepared, table_of
from metier.pipeline.unlabelled import further_texts
from metier.pipeline.watch import Watch
from metier.predict.prompted import Prompted
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import AugmentPart, EnsemblePart, Recipe, RegularisePart, SemiPart
from metier.train import weights
from metier.train.distil import LABELS, Teacher, taught
from metier.train.matching import Matching, Measure, Tutor
from metier.types import Example

FOLDER = "student"
"""Of the fit, inside that of the checkpoints."""
EFFORT, EPOCHS = 300.0, (4, 40)
"""Epochs are `effort / sqrt(updates an epoch)` within these bounds: a student has more to learn than a head."""
KINDS, CHANGED = ("deletions", "swaps"), 0.2
"""How copies of texts are changed, and the share of their words."""


@dataclass(frozen=True)
class Distilling:
    """How a student is made.

    Args:
        layers: how many it has, or which of the teacher's, counted from 1.
        hidden: the weight of the distance of its hidden states from the teacher's; 0: only answers count.
        measure: of that distance: `mse` or `cosine`.
        temperature: of the probabilities that it is fitted to.
        labels: the share of the labels' own loss.
        epochs: of the labelled and the further texts together; `None`: many for few texts, few for many.
        rate: the learning rate of the encoder, and `head_rate` that of the heads.
        batch: rows a batch.
        copies: of each text with words left out or exchanged, for the teacher to speak of, too.
        parts: the attention heads and feed-forward units that its layers begin with.
    """

    layers: int | tuple[int, ...] = 3
    hidden: float = 1.0
    measure: Measure = "mse"
    temperature: float = 2.0
    labels: float = LABELS
    epochs: float | None = None
    rate: float = 3e-4
    head_rate: float = 1e-3
    batch: int = 32
    copies: int = 0
    parts: Parts = field(default_factory=Parts)


def distilled(
    teacher: Prepared, settings: Distilling, unlabelled: Any | None, staged: Path, watch: Watch
) -> tuple[Prepared, dict[str, Any]]:
    """A run whose network has some of the layers of another and was fitted to say what that one says.

    What was fitted stays in `staged` until the new run is sealed: cut off and called again, it goes on.

    Args:
        teacher: the run that is to be made smaller; it stays as it is. Of an ensemble, and of a run that asks a
            language model, only the answers are learned.
        settings: how.
        unlabelled: a source of further texts; without one those of the recipe, if there are any.
        staged: where the new run is made.
        watch: hears of stages and steps.

    Returns:
        The student as a run, and what it cost.

    Raises:
        RecipeError: for layers that the teacher does not have, or hidden states that cannot be compared.
        DataError: for a source without texts.
    """
    layers = chosen(teacher.network.encoder.depth, settings.layers)
    network = student(teacher.network, layers)
    runtime = teacher.runtime
    fresh = TorchRuntime(network, runtime.tokeniser, teacher.machine, runtime.floors)
    lesson = replace(teacher, runtime=fresh, notes=list(teacher.notes))
    if settings.parts.fewer:
        drop_parts(lesson, settings.parts, watch)
    lesson = with_further(lesson, unlabelled, settings.copies)
    train = lesson.tables["train"]
    how = {
        "learning_rate": settings.rate,
        "head_learning_rate": settings.head_rate,
        "batch_size": settings.batch,
        "epochs": settings.epochs or epochs_of(len(train.lengths), settings.batch, EFFORT, EPOCHS),
    }
    lesson = replace(
        lesson, recipe=fitting(teacher.recipe, how), facts={"distil": asdict(settings) | {"layers": layers}}
    )

    def learn(place: Path) -> dict[str, Any]:
        return _learn(teacher, lesson, (settings, layers), place, watch)

    cost = once(lesson, staged, FOLDER, watch, learn)
    network.eval()
    further = len(lesson.further.table.documents) if lesson.further else 0
    lesson.notes.append(
        {
            "says": phrases.DISTILLED,
            "layers": ", ".join(map(str, layers)),
            "of": teacher.network.encoder.depth,
            "count": len(train.documents),
            "unlabelled": further,
        }
    )
    return _run(teacher, lesson), cost


def with_further(prepared: Prepared, source: Any | None, number: int = 0) -> Prepared:
    """The run with its further texts, or those of a source, behind the labelled ones of its training table.

    Behind them in turn come `number` copies of every text, half of them with words left out, half with words
    exchanged. They have no label: the teacher says what has become of them (Jiao et al. 2020, section 3.3).
    """
    if source is not None:
        found = further_texts(prepared.recipe, prepared.dataset, prepared.runtime, source)
        prepared = replace(prepared, further=found)
    if prepared.further is None and not number:
        return prepared
    train = [*prepared.dataset.examples["train"], *(prepared.further.examples if prepared.further else [])]
    plans = [
        Plan(kind, CHANGED, prepared.recipe.seed, number // 2 + (number % 2 > at)) for at, kind in enumerate(KINDS)
    ]
    made = [copy.example for plan in plans for copy in copies(train, plan, Sources()) if copy is not None]
    everything = [*train, *(Example(example.document, {}, "train") for example in made)]
    dataset = replace(prepared.dataset, examples={**prepared.dataset.examples, "train": everything})
    return replace(
        prepared, dataset=dataset, tables={**prepared.tables, "train": table_of(dataset, "train", prepared.runtime)}
    )


def epochs_of(rows: int, batch: int, effort: float, bounds: tuple[int, int]) -> float:
    """Epochs for so many rows: as those of a method, from an effort and its bounds."""
    low, high = bounds
    return float(min(high, max(low, round(effort / sqrt(max(1, ceil(rows / batch)))))))


def fitting(recipe: Recipe, how: Mapping[str, Any]) -> Recipe:
    """A recipe for one fit of all weights by gradient, with nothing beside the labels but a teacher."""
    settled = {"method": "full", "ema": None, "patience": 0, "accumulate": 1, "compile": False, "sampling": 1.0}
    settled |= {"layer_decay": 1.0, "warmup": 0.1, "schedule": "linear", "head_start": "probe", "evaluations": 1}
    return recipe.model_copy(
        update={
            "train": recipe.train.model_copy(update=settled | dict(how)),
            "regularise": RegularisePart(),
            "augment": AugmentPart(),
            "semi": SemiPart(method="none"),
            "ensemble": EnsemblePart(),
        }
    )


def once(
    prepared: Prepared, staged: Path, name: str, watch: Watch, learn: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Fits the network of a run, or takes over what was fitted before the new run was cut off; what it cost.

    Args:
        prepared: what is fitted, with the facts that must be the same when it goes on.
        staged: where the new run is made.
        name: of the folder of the fit.
        watch: is told where nothing is left to do.
        learn: fits in a folder of its own, and goes on with what it finds there.
    """
    place = staged / folder.CHECKPOINT / name
    file = place.with_name(f"{name}.safetensors")
    if file.is_file():
        watch.say(f"{name}: there already")
        taken: dict[str, Any] = weights.read(prepared.network, file, facts(prepared))["cost"]
        return taken
    start = time.perf_counter()
    place.mkdir(parents=True, exist_ok=True)
    with seeded(prepared.recipe.seed):
        cost = learn(place)
    cost = {**cost, "seconds": time.perf_counter() - start}
    weights.write(prepared.network, file, facts(prepared), {"cost": cost})
    shutil.rmtree(place / folder.CHECKPOINT, ignore_errors=True)
    return cost


def _learn(
    teacher: Prepared, lesson: Prepared, asked: tuple[Distilling, Sequence[int]], place: Path, watch: Watch
) -> dict[str, Any]:
    """The fit itself, with a teacher beside it or with the answers that it gave before."""
    settings, layers = asked
    whole = teacher.runtime.network
    if settings.hidden and not isinstance(teacher.runtime, Prompted) and _has_states(whole):
        matching = Matching(settings.hidden, settings.measure, settings.temperature, settings.labels)
        tutor = Tutor(whole, lesson.network, layers, lesson.machine, matching)
        try:
            return descend(replace(lesson, teacher=tutor), place, watch)
        finally:
            tutor.close()
    said = answers(teacher, lesson.tables["train"], watch)
    said = replace(said, temperature=settings.temperature, labels=settings.labels)
    return descend(replace(lesson, teacher=said), place, watch)


def _has_states(whole: Network | Ensemble) -> TypeGuard[Network]:
    """Whether a teacher has the states of one network, token by token: virtual tokens would stand among them."""
    return isinstance(whole, Network) and whole.encoder.prompt is None


def answers(teacher: Prepared, table: Table, watch: Watch) -> Teacher:
    """What a run says of every row of a table; where the rows are not those of its network, of every document."""
    watch.stage("teach", len(table.rows))
    runtime = teacher.runtime
    if not isinstance(runtime, Prompted):
        return taught(runtime.network, teacher.heads, table, watch.tick)
    if any(task.per_token for task in teacher.heads.values()):
        raise RecipeError("A run that asks a language model has no answers for single tokens.")
    found = runtime.logits(table, tick=watch.tick)
    return Teacher(
        {
            name: [np.asarray(said[int(owner)], dtype=np.float32) for owner in table.rows.owner]
            for name, said in found.items()
        }
    )


def _run(teacher: Prepared, lesson: Prepared) -> Prepared:
    """The student as a run of its own: measured and learned from as its teacher was."""
    return replace(
        teacher, runtime=lesson.runtime, notes=lesson.notes, further=lesson.further, teacher=None, facts=teacher.facts
    )
