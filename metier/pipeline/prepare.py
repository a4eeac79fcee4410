"""From clean, split examples to everything a fit needs: machine, encoder, heads, arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metier import tasks
from metier.data.names import as_targets
from metier.data.source import ORIGIN
from metier.errors import DataError, RecipeError
from metier.models import backbone as backbones
from metier.models import prompts, token_cache
from metier.models.adapters import room
from metier.models.backbone import Backbone
from metier.models.ensemble import networks_of
from metier.models.machine import Machine, machine, seeded
from metier.models.network import Network
from metier.models.table import Table, golds
from metier.models.tokeniser import Tokeniser
from metier.models.verbaliser import MaskedEncoder
from metier.pipeline import augment
from metier.pipeline.dataset import Dataset
from metier.pipeline.unlabelled import Unlabelled, unlabelled
from metier.predict.runtime import Logits
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import Recipe
from metier.tasks.tag import Tag, spans_of
from metier.tasks.task import Task
from metier.train.distil import Teaching
from metier.train.methods import METHODS, PROMPTING, blank, frozen_layers
from metier.train.objective import require_use
from metier.types import Example

SPLITS = ("train", "valid", "test")


@dataclass
class Prepared:
    """A run before its fit."""

    recipe: Recipe
    dataset: Dataset
    machine: Machine
    backbone: Backbone
    runtime: TorchRuntime
    tables: dict[str, Table]
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    """What was done to the data on the way that the report must say; see `evaluate.phrases`."""
    named: list[Example] = field(default_factory=list)
    """Names of labels that stand in the training table as texts of theirs; see `pipeline.naming`."""
    made: list[Example] = field(default_factory=list)
    """Copies of training texts that stand in the training table behind the originals; see `pipeline.augment`."""
    further: Unlabelled | None = None
    """The texts of `data.unlabelled`."""
    teacher: Teaching | None = None
    """What a fit by gradient learns to say of the training rows, beside their labels."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else must be the same for a fit to go on, as JSON values; see `descend.facts`."""

    @property
    def network(self) -> Network:
        """Encoder and heads; of an ensemble those of its first member."""
        return networks_of(self.runtime.network)[0]

    @property
    def heads(self) -> dict[str, Task]:
        """The tasks by the names of their heads."""
        return self.network.tasks

    def loss_options(self) -> dict[str, dict[str, Any]]:
        """What each head's loss is told."""
        settings = self.recipe.train
        smoothing, balanced = settings.label_smoothing, settings.class_weights == "balanced"
        return {
            name: {
                "label_smoothing": task.smoothing if smoothing is None else smoothing,
                "class_weights": self._balance(name) if balanced else None,
                "focal": settings.focal,
            }
            for name, task in self.heads.items()
        }

    def blank(self) -> list[str]:
        """The heads that begin a fit by gradient at random weights."""
        examples, options = self.dataset.examples["train"], self.loss_options()
        found = []
        for name, task in self.heads.items():
            rows = sum(name in example.targets for example in examples)
            labels = 0 if task.per_token else len(task.labels)
            if blank(self.recipe.train, rows, labels, options[name]["label_smoothing"]):
                found.append(name)
        return found

    def _balance(self, head: str) -> np.ndarray | None:
        """Weights that give every class the same total (King & Zeng 2001): `n / (classes * count)`."""
        task = self.heads[head]
        if not task.labels or task.kind == "tag":
            return None
        targets = golds(self.dataset.examples["train"], head)
        if task.kind == "mention":
            targets = [span.label for target in targets for span in spans_of(target)]
        counts = np.array([sum(_holds(target, label) for target in targets) for label in task.labels], dtype=np.float64)
        if task.kind == "multilabel":
            return (len(targets) - counts) / np.maximum(counts, 1.0)
        return len(targets) / (len(counts) * np.maximum(counts, 1.0))


def _holds(target: Any, label: str) -> bool:
    return label in target if isinstance(target, tuple) else target == label


def prepare(recipe: Recipe, dataset: Dataset, found: Machine | None = None) -> Prepared:
    """Loads the backbone, builds the heads from the training labels and tokenises every split.

    Args:
        recipe: resolved.
        dataset: what it describes.
        found: where to compute, if that is known already.
    """
    found = found or machine(recipe.train.device, recipe.train.precision, recipe.train.threads)
    backbone = backbones.find(recipe.model.backbone)
    heads = build_heads(recipe, dataset)
    require_use(recipe, heads)
    masked = False
    if recipe.train.method in PROMPTING:
        prompts.require(recipe, heads, backbone, dataset.examples["train"])
        masked = prompts.way(recipe, backbone) == "masked"
    augment.require(recipe, backbone)
    with seeded(recipe.seed):
        load = MaskedEncoder.of if masked else backbones.load_encoder
        encoder = load(backbone, dropout=recipe.model.dropout)
        tokeniser = Tokeniser(
            backbones.load_tokenizer(backbone),
            max_length=min(recipe.model.max_length, room(encoder, recipe.train.method, recipe.adapter)),
            stride=recipe.model.stride,
            window=recipe.model.long == "window",
        )
        added = tokeniser.add([token for task in heads.values() for token in task.special_tokens])
        missing = tokeniser.tokenizer.get_vocab_size() - encoder.vocabulary
        if added and missing > 0:
            encoder.resize_vocabulary(missing)
        network = Network(encoder, heads, pooling=recipe.model.pooling)
        _require_weights(recipe, network)
    floors = {name: head.floor for name, head in recipe.heads.items()}
    runtime = TorchRuntime(network.to(found.device), tokeniser, found, floors)
    tables = {split: table_of(dataset, split, runtime) for split in SPLITS}
    further = unlabelled(recipe, dataset, runtime)
    return Prepared(recipe, dataset, found, backbone, runtime, tables, further=further)


def build_heads(recipe: Recipe, dataset: Dataset) -> dict[str, Task]:
    """The tasks of all heads. Raises one `DataError` that names every head that cannot be learned."""
    heads, problems = {}, []
    for name, part in recipe.heads.items():
        targets = golds(dataset.examples["train"], name)
        if recipe.train.method in PROMPTING:
            targets = [*targets, *as_targets(name, dataset.kinds[name], targets, part.names)]
        try:
            heads[name] = tasks.build(dataset.kinds[name], targets)
        except DataError as error:
            problems.append(f"{name} (column {part.column!r}): {error}")
        head = heads.get(name)
        if recipe.model.crf and isinstance(head, Tag):
            head.crf = True
    if problems:
        raise DataError(" ".join(problems))
    if len({task.separate for task in heads.values()}) > 1:
        raise RecipeError("An embed head reads the two texts of a pair apart; it cannot share a run with other heads.")
    return heads


def _require_weights(recipe: Recipe, network: Network) -> None:
    """Raises `RecipeError` where nothing is left to fit: an embed head has no weights of its own."""
    fixed = frozen_layers(recipe.train, network.encoder.depth) >= network.encoder.depth
    if METHODS[recipe.train.method].gradient and fixed and not any(True for _ in network.heads.parameters()):
        raise RecipeError(
            f"The method {recipe.train.method!r} has nothing to fit: all layers are frozen and an embed head has no "
            "weights of its own.",
            hint="--method freeze or full; probe measures the backbone as it is",
        )


def table_of(dataset: Dataset, split: str, runtime: TorchRuntime) -> Table:
    examples = dataset.examples[split]
    documents = [example.document for example in examples]
    rows = token_cache.rows(documents, runtime.tokeniser, runtime.tasks)
    several = any(ORIGIN in document.meta for document in documents)
    table = Table(documents, rows, runtime.tasks, examples if several else None)
    table.label(examples)
    return table


def headline(prepared: Prepared, split: str, logits: Logits) -> dict[str, float]:
    """The headline metric of each head on a split, after a calibration of its own."""
    examples, found = prepared.dataset.examples[split], {}
    pieces = [[prepared.tables[split].encoding(row) for row in rows] for rows in prepared.tables[split].pieces()]
    for name, values in logits.items():
        there = [index for index, example in enumerate(examples) if name in example.targets]
        targets = golds(examples, name)
        task = copy.copy(prepared.heads[name])
        own = [values[index] for index in there], [pieces[index] for index in there]
        task.calibrate(own[0], targets, own[1])
        found[name] = float(task.headline(task.statistics(targets, task.decode(*own)).sum(axis=0))) if there else 0.0
    return found
