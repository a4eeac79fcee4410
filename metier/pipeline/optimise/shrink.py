"""The steps that take something away from a run, each in place and with its facts for the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from metier.data.source import Source
from metier.errors import RecipeError, RunError
from metier.models import token_cache
from metier.models.ensemble import Ensemble
from metier.models.network import Network
from metier.models.table import Table
from metier.optimise import prune, vocabulary
from metier.optimise.student import with_layers
from metier.pipeline.prepare import SPLITS, Prepared, table_of
from metier.pipeline.unlabelled import further_texts
from metier.pipeline.watch import Watch
from metier.train.finetune import Job, validation_loss

Facts = dict[str, Any]
"""What a step did, as JSON values: always with `parameters` and `bytes`, each before and after."""
JUDGED = 2_000
"""Texts that a choice of layers is judged on."""


@dataclass(frozen=True)
class Layers:
    """Which layers go.

    Args:
        count: how many are left.
        how: `top`: the highest go; `ablation`: again and again the one whose absence costs least on validation texts.
    """

    count: int
    how: Literal["top", "ablation"] = "ablation"


@dataclass(frozen=True)
class Parts:
    """Which attention heads and feed-forward units go.

    Args:
        heads: the share of all heads that is left, at least one a layer.
        units: the share of all units that is left, in blocks of eight, at least one block a layer.
        rows: training rows that say which of them matter.
        compare: how layers are compared; see `prune.kept`.
    """

    heads: float = 1.0
    units: float = 1.0
    rows: int = 1_000
    compare: prune.Comparison = "layer"

    @property
    def fewer(self) -> bool:
        """Whether anything goes."""
        return self.heads < 1.0 or self.units < 1.0


@dataclass(frozen=True)
class Words:
    """Which tokens stay: those of the training texts, of the run's texts without labels, and of further files."""

    files: tuple[Source, ...] = ()


def drop_layers(prepared: Prepared, settings: Layers, watch: Watch) -> Facts:
    """Takes layers away. Raises `RecipeError` for more layers than there are."""
    network, depth = _single(prepared), prepared.network.encoder.depth
    if not 1 <= settings.count <= depth:
        raise RecipeError(f"{settings.count} layers cannot be left.", expected=f"1 to {depth}, as many as there are")
    before = _size(network)
    costs: list[float] = []
    if settings.how == "top":
        gone = list(range(settings.count + 1, depth + 1))
        network.encoder = with_layers(network.encoder, range(1, settings.count + 1))
    else:
        judge = _judge(prepared)
        watch.stage("layers", sum(range(settings.count + 1, depth + 1)))
        found = prune.ablate(network, settings.count, judge, watch.tick)
        gone, costs = [layer for layer, _ in found], [cost for _, cost in found]
    return {"removed": gone, "losses": costs, "layers": [depth, settings.count], **_sizes(network, before)}


def drop_parts(prepared: Prepared, settings: Parts, watch: Watch) -> Facts:
    """Takes attention heads and feed-forward units away, those first without which the loss changes least."""
    network = _single(prepared)
    for name in ("heads", "units"):
        share = getattr(settings, name)
        if not 0.0 < share <= 1.0:
            raise RecipeError(f"A share of {share} of the {name} cannot be left.", expected="more than 0, at most 1")
    encoder, before = prune.plain(network), _size(network)
    table = _sample(prepared.tables["train"], settings.rows, prepared.recipe.seed)
    watch.stage("heads and units", len(table.lengths))
    weights = {name: head.weight for name, head in prepared.recipe.heads.items()}
    found = prune.importance(network, table, prepared.loss_options(), weights, watch.tick)
    old = encoder.shape.sizes
    prune.cut(
        encoder,
        prune.kept(found.heads, settings.heads, compare=settings.compare),
        prune.kept(found.units, settings.units, prune.BLOCK, settings.compare),
    )
    counts = {
        name: [[sizes[at] for sizes in shape] for shape in (old, encoder.shape.sizes)]
        for at, name in enumerate(("heads", "units"))
    }
    return {**counts, **_sizes(network, before)}


def trim_words(prepared: Prepared, settings: Words, watch: Watch) -> Facts:
    """Takes tokens away that neither the training texts nor further ones use, and tokenises every text anew."""
    network, runtime = _single(prepared), prepared.runtime
    documents = list(prepared.tables["train"].documents)
    if prepared.further is not None:
        documents += prepared.further.table.documents
    for file in settings.files:
        documents += further_texts(prepared.recipe, prepared.dataset, runtime, file).table.documents
    watch.stage("vocabulary", 0)
    before, tokens = _size(network), network.encoder.vocabulary
    found = vocabulary.trim(runtime.tokeniser, documents, prepared.heads)
    vocabulary.cut(network.encoder, found.kept)
    runtime.tokeniser = found.tokeniser
    lengths = {split: len(table.rows.ids) for split, table in prepared.tables.items()}
    prepared.tables |= {split: table_of(prepared.dataset, split, runtime) for split in SPLITS}
    if prepared.further is not None:
        own = prepared.further.table.documents
        rows = token_cache.rows(own, runtime.tokeniser, runtime.tasks)
        prepared.further = replace(prepared.further, table=Table(own, rows, runtime.tasks))
    longer = {split: [count, len(prepared.tables[split].rows.ids)] for split, count in lengths.items()}
    counts = {"vocabulary": [tokens, len(found.kept)], "texts": len(documents), "tokens": longer}
    return {**counts, **_sizes(network, before)}


def _single(prepared: Prepared) -> Network:
    """The network that is to be made smaller. Raises `RunError` for an ensemble, and where an adapter is beside it."""
    if isinstance(prepared.runtime.network, Ensemble):
        raise RunError(
            "Of an ensemble nothing can be taken away: its members share parts.", hint="distil it into one network"
        )
    adapter = prepared.network.encoder.adapter
    if adapter is not None:
        raise RunError(f"Beside the weights stands an adapter ({adapter.method}).", hint="distil the run")
    return prepared.network


def _size(network: Network) -> tuple[int, int]:
    """Weights and bytes."""
    weights = list(network.parameters())
    return sum(one.numel() for one in weights), sum(one.numel() * one.element_size() for one in weights)


def _sizes(network: Network, before: tuple[int, int]) -> Facts:
    return {name: [old, new] for name, old, new in zip(("parameters", "bytes"), before, _size(network), strict=True)}


def _sample(table: Table, rows: int, seed: int) -> Table:
    """The table itself, or some of it."""
    if len(table.lengths) <= rows:
        return table
    return table.subset(np.sort(np.random.default_rng(seed).choice(len(table.lengths), rows, replace=False)))


def _judge(prepared: Prepared) -> Callable[[], float]:
    """The loss of the run's network as it stands, on validation texts, or where there are none on training texts."""
    labelled = [prepared.tables[split] for split in ("valid", "train") if _has_labels(prepared.tables[split])]
    if not labelled:
        raise RunError("No text has a label: nothing says which layers matter.", hint="layers from the top")
    held = _sample(labelled[0], JUDGED, prepared.recipe.seed)
    options = prepared.loss_options()
    job = Job(prepared.network, prepared.machine, prepared.tables["train"], held, prepared.recipe, options)

    def judge() -> float:
        job.network.eval()
        return validation_loss(job, lambda batch: batch)

    return judge


def _has_labels(table: Table) -> bool:
    return any(bool(there.any()) for there in table.present.values())
