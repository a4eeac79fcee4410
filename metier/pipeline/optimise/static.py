"""The step that fits a student without layers to what a run says, and its run on disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from metier import run as folder
from metier.errors import RunError
from metier.evaluate import phrases
from metier.models.machine import machine, seeded
from metier.models.network import Network
from metier.optimise.static import Plan, arrays, counted, require, static
from metier.pipeline.descend import descend
from metier.pipeline.fit import look
from metier.pipeline.load import LABELS, RUNTIMES, STATIC, TOKENIZER
from metier.pipeline.optimise.distil import epochs_of, fitting, once, with_further
from metier.pipeline.prepare import SPLITS, Prepared, table_of
from metier.pipeline.watch import Watch
from metier.predict.static_runtime import StaticRuntime, endless, write
from metier.predict.torch_runtime import TorchRuntime
from metier.train.distil import LABELS as OWN
from metier.train.distil import Teacher

FOLDER = "static"
"""Of the fit, inside that of the checkpoints."""
EFFORT, EPOCHS = 250.0, (4, 60)
"""Of the epochs, as in `distil`: they cost next to nothing."""
TOKENS = 65_536
"""Of a batch: a token is a row of a table, no layer computes it."""


@dataclass(frozen=True)
class Distilling:
    """How a static student is made.

    Args:
        plan: what it is made of.
        temperature: of the probabilities that it is fitted to.
        labels: the share of the labels' own loss.
        epochs: of the labelled and the further texts together; `None`: many for few texts, few for many.
        rate: the learning rate of vectors, weights and hidden layer, and `head_rate` that of the heads.
        batch: texts a batch.
        copies: of each text with words left out or exchanged, for the teacher to speak of, too.
    """

    plan: Plan = field(default_factory=Plan)
    temperature: float = 2.0
    labels: float = OWN
    epochs: float | None = None
    rate: float = 2e-3
    head_rate: float = 2e-3
    batch: int = 64
    copies: int = 0


@dataclass(frozen=True)
class Made:
    """A fitted static student: what answers from now on, and the run around it as torch knows it.

    Both have the same heads: calibrating those of one calibrates the other.
    """

    runtime: StaticRuntime
    prepared: Prepared
    cost: dict[str, Any]


def distilled(teacher: Prepared, settings: Distilling, unlabelled: Any | None, staged: Path, watch: Watch) -> Made:
    """A static student of a run, fitted to what that one says of whole texts.

    What was fitted stays in `staged` until the new run is sealed: cut off and called again, it goes on.

    Args:
        teacher: the run; it stays as it is. An ensemble, and a run that asks a language model, teach as well: the
            vectors start from their encoder.
        settings: how.
        unlabelled: a source of further texts; without one those of the recipe, if there are any.
        staged: where the new run is made.
        watch: hears of stages and steps.

    Raises:
        RecipeError: for heads that a vector a text is not enough for.
        DataError: for a source without texts.
    """
    require(teacher.heads)
    teacher = with_further(teacher, unlabelled, settings.copies)
    table, words = teacher.tables["train"], teacher.network.encoder.vocabulary
    watch.stage("tokens", words)
    with seeded(teacher.recipe.seed):
        counts = counted([table], words)
        network = static(teacher.network, teacher.runtime.tokeniser, settings.plan, counts, watch.tick)
    lesson = _lesson(teacher, network, settings)
    watch.stage("teach", len(table.rows))
    said = teacher.runtime.logits(table, tick=watch.tick)
    lesson = replace(lesson, teacher=Teacher(said, settings.temperature, settings.labels))

    def learn(place: Path) -> dict[str, Any]:
        if all(there.any() for there in lesson.tables["train"].present.values()):
            look(lesson, watch)
        return descend(lesson, place, watch)

    cost = once(lesson, staged, FOLDER, watch, learn)
    network.eval()
    further = len(teacher.further.table.documents) if teacher.further else 0
    notes = [*teacher.notes, {"says": phrases.STATIC, "count": len(table.documents), "unlabelled": further}]
    before = lesson.runtime
    encoder: Any = network.encoder
    runtime = StaticRuntime(network.tasks, before.tokeniser, before.floors, encoder.bags, arrays(network))
    return Made(runtime, replace(lesson, recipe=teacher.recipe, notes=notes, teacher=None, facts={}), cost)


def _lesson(teacher: Prepared, network: Network, settings: Distilling) -> Prepared:
    """The run that is fitted: a row is a whole text, a batch is small and computed on the processor."""
    found = machine("cpu", "fp32")
    runtime = TorchRuntime(network, endless(teacher.runtime.tokeniser), found, teacher.runtime.floors)
    runtime.tokens = TOKENS
    tables = {split: table_of(teacher.dataset, split, runtime) for split in SPLITS}
    rows = len(tables["train"].rows)
    how = {
        "learning_rate": settings.rate,
        "head_learning_rate": settings.head_rate,
        "batch_size": settings.batch,
        "batch_tokens": TOKENS,
        "weight_decay": 0.0,
        "epochs": settings.epochs or epochs_of(rows, settings.batch, EFFORT, EPOCHS),
    }
    return replace(
        teacher,
        recipe=fitting(teacher.recipe, how),
        machine=found,
        runtime=runtime,
        tables=tables,
        further=None,
        facts={
            "static": asdict(settings),
            "further": teacher.further.summary["fingerprint"] if teacher.further else None,
        },
    )


def save_static(runtime: StaticRuntime, path: Path) -> None:
    """Table, tokenizer, heads, and the note that this is what answers; each written whole or not at all."""
    heads = {name: task.describe() for name, task in runtime.tasks.items()}
    try:
        folder.write_bytes(path / STATIC, write(runtime))
        folder.write_text(path / TOKENIZER, runtime.tokeniser.tokenizer.to_str())
        folder.write_text(path / LABELS, json.dumps(heads, ensure_ascii=False, indent=1))
        folder.write_text(path / RUNTIMES, json.dumps({"engines": [{"engine": "static", "file": STATIC}]}, indent=1))
    except OSError as error:
        raise RunError(
            f"The run could not be saved in {path}: {error.strerror}.", hint="free some disk space"
        ) from error
