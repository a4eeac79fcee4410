"""The stage that makes training texts from others, and throws away those whose labels may no longer hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metier.data import dedup
from metier.data.augment import copies as kinds
from metier.data.augment.copies import Copy, Plan
from metier.data.augment.homophones import homophones
from metier.data.augment.passages import lexicon
from metier.data.augment.sources import Sources
from metier.data.augment.vocabulary import neighbours, vocabulary
from metier.errors import RecipeError
from metier.evaluate import phrases
from metier.models import backbone as backbones
from metier.models.backbone import Backbone
from metier.models.fill import Filler, require_head
from metier.models.table import Table
from metier.models.translate import RoundTrip, Translator, require_model
from metier.pipeline.agreement import agreeing
from metier.pipeline.naming import rebuild
from metier.pipeline.watch import Watch
from metier.recipe import Recipe
from metier.train import probe
from metier.types import Document, Example

if TYPE_CHECKING:
    from metier.pipeline.prepare import Prepared

THESAURUS = ("synonyms", "insertions")
TICK = 100
COUNTED = ("made", "kept", "repeated", "disagreed", "unchanged")
"""What is counted of each kind: `made` is kept, repeated and disagreed together; `unchanged` are texts without a
place to change."""


def rates(recipe: Recipe) -> dict[str, float]:
    """The kinds that a recipe asks for and their rates, in the order in which they are made."""
    settings = recipe.augment
    found = {kind: float(getattr(settings, kind)) for kind in (*kinds.KINDS, "masked")}
    found["translate"] = 1.0 if settings.translate else 0.0
    return {kind: rate for kind, rate in found.items() if rate}


def growth(recipe: Recipe) -> int:
    """How many times as many training texts there are with all copies, if none is thrown away."""
    return 1 + recipe.augment.copies * len(rates(recipe))


def require(recipe: Recipe, backbone: Backbone) -> None:
    """Raises `RecipeError` or `BackboneError` where what `[augment]` asks for cannot be done; loads no weights."""
    asked = rates(recipe)
    method = recipe.train.method
    if asked and method in ("zero_shot", "few_shot"):
        raise RecipeError(
            f"[augment] makes training texts, and {method} does not fit to any.",
            hint="another method, or no [augment]",
        )
    if "masked" in asked:
        require_head(_fill(recipe, backbone))
    for folder in recipe.augment.translate:
        require_model(folder)


def augment(prepared: Prepared, watch: Watch, *, judged: bool) -> bool:
    """Appends copies to the training table, if the recipe wants some and wants them judged or not as is said here.

    Valid and test are never touched, and no copy equals a text of theirs. Chance comes from the recipe's seed alone.

    Returns:
        Whether there is anything new to fit.
    """
    recipe = prepared.recipe
    asked = rates(recipe)
    if not asked or recipe.augment.agree != judged or prepared.made:
        return False
    examples = _labelled(prepared)
    watch.stage("augment", len(examples) * recipe.augment.copies * len(asked))
    counts = {kind: Counter(dict.fromkeys(COUNTED, 0)) for kind in asked}
    fresh = _fresh(prepared, _made(prepared, asked, watch, counts), counts)
    verdicts = agreeing(prepared, fresh) if judged else [True] * len(fresh)
    for item, keep in zip(fresh, verdicts, strict=True):
        counts[item.kind]["kept" if keep else "disagreed"] += 1
    kept = [item.example for item, keep in zip(fresh, verdicts, strict=True) if keep]
    _extend(prepared, kept)
    _tell(prepared, counts, watch)
    return bool(kept)


def _labelled(prepared: Prepared) -> list[Example]:
    """The training examples that copies are made of: those with a label."""
    return [example for example in prepared.dataset.examples["train"] if example.targets]


def _made(
    prepared: Prepared, asked: Mapping[str, float], watch: Watch, counts: Mapping[str, Counter[str]]
) -> Iterator[Copy]:
    """Every copy that the recipe asks for."""
    examples = _labelled(prepared)
    waiting = 0
    for item, kind in _all(prepared, examples, asked):
        counts[kind]["made" if item is not None else "unchanged"] += 1
        waiting += 1
        if waiting == TICK:
            watch.tick(waiting)
            waiting = 0
        if item is not None:
            yield item
    watch.tick(waiting)


def _all(
    prepared: Prepared, examples: Sequence[Example], asked: Mapping[str, float]
) -> Iterator[tuple[Copy | None, str]]:
    recipe, device = prepared.recipe, prepared.machine.device
    sources = sources_of(prepared, asked)
    for kind, rate in asked.items():
        plan = Plan(kind, rate, recipe.seed, recipe.augment.copies)
        if kind == "masked":
            found = kinds.filled(examples, plan, sources, Filler.load(_fill(recipe, prepared.backbone), device))
        elif kind == "translate":
            there, back = (Translator.load(folder, device) for folder in recipe.augment.translate)
            found = kinds.translated(examples, plan, RoundTrip(there, back, recipe.seed))
        else:
            found = kinds.copies(examples, plan, sources)
        yield from ((item, kind) for item in found)


def sources_of(prepared: Prepared, asked: Mapping[str, float]) -> Sources:
    """What the kinds that are asked for draw from: the training texts, and the unlabelled ones. Only that is made."""
    examples = [*prepared.dataset.examples["train"], *(prepared.further.examples if prepared.further else ())]
    texts = [text for example in examples for text in (example.document.text, example.document.pair or "")]
    known = lexicon(texts) if set(asked) - {"typos", "translate"} else frozenset()
    words = vocabulary(examples, known) if set(asked) & set(THESAURUS) else []
    words = [word for word, there in zip(words, prepared.runtime.tokeniser.knows(words), strict=True) if there]
    return Sources(
        neighbours=neighbours(words, vectors(prepared, words)) if words else {},
        homophones=homophones(texts) if "typos" in asked else {},
        lexicon=known,
    )


def vectors(prepared: Prepared, words: Sequence[str]) -> np.ndarray:
    """What the encoder, as it stands, makes of single words: pooled vectors, `(words, width)`."""
    table = Table.of([Document(word) for word in words], prepared.runtime.tokeniser, {})
    found, rows = probe.embeddings(probe.features(prepared.network, table))
    ordered = np.zeros((len(words), found.shape[1]), dtype=np.float32)
    ordered[table.rows.owner[rows][::-1]] = found[::-1]
    return ordered


def _fill(recipe: Recipe, backbone: Backbone) -> Backbone:
    return backbones.find(recipe.augment.fill) if recipe.augment.fill else backbone


def _fresh(prepared: Prepared, made: Iterator[Copy], counts: Mapping[str, Counter[str]]) -> list[Copy]:
    """The copies that repeat neither a training text nor another copy, nor say what a held-out text says."""
    examples = prepared.dataset.examples
    seen = {(item.document.text, item.document.pair) for item in examples["train"]}
    held = set(dedup.example_keys([*examples["valid"], *examples["test"]]).tolist())
    copies = list(made)
    keys = dedup.example_keys([item.example for item in copies]).tolist()
    fresh = []
    for item, key in zip(copies, keys, strict=True):
        text = (item.example.document.text, item.example.document.pair)
        if text in seen or key in held:
            counts[item.kind]["repeated"] += 1
        else:
            seen.add(text)
            fresh.append(item)
    return fresh


def _extend(prepared: Prepared, made: Sequence[Example]) -> None:
    """The training table with the copies behind the originals, whose rows keep their numbers."""
    prepared.made = list(made)
    rebuild(prepared)


def _tell(prepared: Prepared, counts: Mapping[str, Counter[str]], watch: Watch) -> None:
    """What was made goes into the summary, the report and onto the screen."""
    total: Counter[str] = Counter()
    summary = prepared.dataset.summary
    for kind, found in counts.items():
        total.update(found)
        if "augmented" not in summary:  # a fit of several rounds says it once
            says = phrases.COPIES if found["made"] else phrases.NO_COPIES
            prepared.notes.append({"says": says, "kind": kind, **found})
    summary.setdefault("augmented", {kind: {name: found[name] for name in COUNTED} for kind, found in counts.items()})
    kinds_kept = ", ".join(f"{found['kept']} {kind}" for kind, found in counts.items())
    watch.say(
        f"{total['kept']} training texts made from {len(_labelled(prepared))} "
        f"({kinds_kept}; thrown away: "
        f"{total['repeated']} repetitions, {total['disagreed']} that the probe reads otherwise)."
    )
