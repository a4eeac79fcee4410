"""What a run was fitted on, read again as it was for the fit, around the run's own network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metier import run as folder
from metier.data.source import Source, is_path
from metier.errors import RunError
from metier.evaluate import phrases
from metier.models.adapters import FOLDING, fold
from metier.models.backbone import Backbone
from metier.models.ensemble import networks_of
from metier.pipeline import sources, weights
from metier.pipeline.asking import PROMPT
from metier.pipeline.dataset import Dataset, read_dataset
from metier.pipeline.load import ADAPTER, ENCODER, WEIGHTS
from metier.pipeline.merge import WHY
from metier.pipeline.prepare import SPLITS, Prepared, table_of
from metier.pipeline.unlabelled import Unlabelled, unlabelled
from metier.pipeline.watch import Watch
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import Recipe
from metier.run import Run

EVALUATION = "evaluation.json"


def material(
    run: Run, data: Source | None, watch: Watch, *, device: str = "auto", threads: int = 0, teaches: bool = False
) -> Prepared:
    """A run before its shrinking: its own network and tokenizer, and the data that it was fitted on.

    Rows are cleaned, freed of duplicates and cut as they were for the fit. What `lora` or `adalora` put beside the
    backbone is folded into its weights, which from then on are the run's alone.

    Args:
        run: with weights of torch.
        data: where the data is now, if not where the recipe says.
        watch: hears of stages.
        device: where to compute.
        threads: 0: as many as the recipe says.
        teaches: whether it stays as it is and only answers, for another to learn: then a run that asks a language
            model will do, and any adapter.

    Raises:
        RunError: for a run that cannot be made smaller, and where its data is gone or is another.
        DataError: where the data cannot be read.
    """
    recipe = Recipe.read(run.path / folder.RECIPE)
    _require_weights(run, teaches)
    source, other = _source(run, recipe, data)
    if data is not None and is_path(data):
        recipe = recipe.but(data={"path": str(data)})
    runtime = weights.runtime(run, recipe, device=device, threads=threads or recipe.train.threads)
    own(runtime)
    dataset = read_dataset(recipe, source, watch)
    tables = {split: table_of(dataset, split, runtime) for split in SPLITS}
    further = _further(recipe, dataset, runtime, watch)
    prepared = Prepared(recipe, dataset, runtime.machine, _backbone(run, recipe), runtime, tables, further=further)
    if other:
        watch.say("This is not the data that the run was fitted on: figures say how it does here.")
        prepared.notes.append({"says": phrases.OTHER_DATA})
    return prepared


def own(runtime: TorchRuntime) -> None:
    """Folds the adapters of a runtime in, where they can be, and copies what its weights share with other runs."""
    for network in networks_of(runtime.network):
        adapter = network.encoder.adapter
        if adapter is not None and adapter.method not in FOLDING:
            continue
        if adapter is not None:
            fold(network.encoder)
        shared = network.encoder.frozen_weights
        for name, weight in network.encoder.named_parameters():
            if name in shared:
                weight.data = weight.data.clone()
        network.encoder.frozen_weights = {}
        network.requires_grad_(True)


def _require_weights(run: Run, teaches: bool) -> None:
    """Raises `RunError` for a run whose answers are not those of weights that can be changed."""
    files = run.manifest["files"]
    if PROMPT in files and not teaches:
        raise RunError(
            f"{run.path} asks a language model; it has no weights of its own to make smaller.",
            expected="a run that was fitted",
            hint="metier train with data.unlabelled, or --method auto",
        )
    if WEIGHTS not in files and ADAPTER not in files:
        raise RunError(
            f"{run.path} has no weights that can be changed: it was made smaller already.",
            hint="the run that it was made of",
        )
    saved: dict[str, Any] = run.json(ENCODER).get("adapter", {})
    if saved and saved["method"] not in FOLDING and not teaches:
        raise RunError(
            f"A run of the method {saved['method']!r} cannot be made smaller: {WHY[saved['method']]}.",
            expected=f"a run with whole weights, or one of {' or '.join(FOLDING)}",
        )


def _source(run: Run, recipe: Recipe, data: Source | None) -> tuple[Source, bool]:
    """Where the data of `data.path` is, and whether it is another than that of the fit."""
    source = recipe.data.path if data is None else data
    named = all(head.path and head.path != recipe.data.path for head in recipe.heads.values())
    if is_path(source) and not str(source) and not named:
        raise RunError(f"{run.path} was fitted on a table in memory.", hint="--data with a file that holds it")
    files = [(source, "--data with where it is now")] if is_path(source) and not named else []
    files += [(head.path, "put it back") for head in recipe.heads.values() if head.path]
    for file, hint in files:
        if not Path(file).expanduser().exists():
            raise RunError(f"The data of {run.path} is not there any more: there is no {file}.", hint=hint)
    other = sources.fingerprint(recipe, source) != run.manifest.get("data")
    if other and data is None:
        raise RunError(
            f"{source} has changed since {run.path} was fitted on it.",
            expected="the same content: rows that were tested on must not be learned from",
            hint=f"put it back as it was, or say --data {source} to take it as it is",
        )
    return source, other


def _further(recipe: Recipe, dataset: Dataset, runtime: TorchRuntime, watch: Watch) -> Unlabelled | None:
    """The texts without labels, where their file still is."""
    file = recipe.data.unlabelled
    if file and not Path(file).expanduser().exists():
        watch.say(f"{file}, the run's texts without labels, is gone: they are left out.")
        return None
    return unlabelled(recipe, dataset, runtime)


def _backbone(run: Run, recipe: Recipe) -> Backbone:
    """What the run's report says of its backbone, which itself is not needed any more."""
    said: dict[str, Any] = run.json(EVALUATION).get("backbone", {}) if (run.path / EVALUATION).is_file() else {}
    name, licence = said.get("name", recipe.model.backbone), said.get("licence", "see its model card")
    return Backbone(name, run.path, {}, said.get("sha256", ""), licence)
