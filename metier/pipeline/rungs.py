"""The rungs of the ladder: what a race tries, in which order, and about what each costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metier.pipeline.cuts import per_class
from metier.pipeline.dataset import Dataset
from metier.pipeline.fit import estimate
from metier.pipeline.prepare import Prepared
from metier.recipe import Recipe
from metier.train.methods import METHODS, epochs

FEW = 20.0
"""Up to as many texts a class `contrastive` is tried: with more, pairs cost much and a plain fit has caught up."""


@dataclass(frozen=True)
class Rung:
    """One recipe of a race.

    `method` is a name of `train.METHODS`, or `majority` or `lexical` for the two that know no language and are only
    compared with. `cheap` ones are fitted at every share of the data; the others go through successive halving.
    """

    name: str
    method: str
    cheap: bool = True
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What it changes in the recipe beside the method, by table."""
    effort: float = 1.0
    """Its passes through the network for each one of the plain method."""

    @property
    def network(self) -> bool:
        """Whether a run can come of it."""
        return self.method in METHODS

    def recipe(self, asked: Recipe, rows: int | None = None) -> Recipe:
        """The recipe of this rung, with as many epochs as its method takes for `rows` texts."""
        changes = {table: dict(keys) for table, keys in self.changes.items()}
        changes["train"] = {**changes.get("train", {}), "method": self.method}
        made = asked.but(**changes)
        if rows is not None and METHODS[self.method].gradient:
            made = made.but(train={"epochs": epochs(made.train, rows)})
        return made


def ladder(recipe: Recipe, dataset: Dataset) -> list[Rung]:
    """Every rung that is worth a look on this data, the cheap ones first, then by what they cost.

    What the recipe itself asks for (a regulariser, epochs, a rate) holds on every rung; the variants that a pilot
    tries come on top of it.
    """
    few = per_class(dataset.examples["train"]) <= FEW
    regularised = recipe.regularise.adversarial != "none" or recipe.regularise.r_drop > 0
    variants = [
        Rung("full + R-Drop", "full", False, {"regularise": {"r_drop": 1.0}}, 2.0),
        Rung("full + FreeLB", "full", False, {"regularise": {"adversarial": "freelb"}}, 3.0),
    ]
    return [
        Rung("majority", "majority"),
        Rung("TF-IDF", "lexical"),
        Rung("zero_shot", "zero_shot"),
        Rung("probe", "probe"),
        *([Rung("contrastive", "contrastive", cheap=False)] if few else []),
        Rung("lora", "lora", cheap=False),
        Rung("full", "full", cheap=False),
        *([] if regularised else variants),
    ]


def price(rung: Rung, recipe: Recipe, prepared: Prepared) -> float:
    """Seconds that a rung is expected to take on all training texts, from its arithmetic alone.

    Args:
        rung: what is to be fitted.
        recipe: of the race.
        prepared: any network of the race on all training texts.
    """
    made = rung.recipe(recipe, len(prepared.tables["train"].lengths))
    return estimate(replace(prepared, recipe=made)) * rung.effort
