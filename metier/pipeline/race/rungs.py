"""The rungs of the ladder: what a race tries, in which order, and about what each costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metier.pipeline.dataset import Dataset
from metier.pipeline.fit import estimate
from metier.pipeline.prepare import Prepared
from metier.pipeline.race.cuts import per_class
from metier.recipe import Recipe, RegularisePart
from metier.train.methods import METHODS, epochs

MANY = 500.0
"""Texts a class beyond which `contrastive` is not tried: what it makes of few labels is then made by any method."""


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
    turn: int = 0
    """Of the dear ones, the order in which they are given up where time is short: the last one first."""

    @property
    def learns(self) -> bool:
        """Whether more labelled texts can make a difference to it."""
        return self.method != "zero_shot"

    @property
    def network(self) -> bool:
        """Whether a run can come of it."""
        return self.method in METHODS

    def recipe(self, asked: Recipe, rows: int | None = None) -> Recipe:
        """The recipe of this rung, with as many epochs as its method takes for `rows` texts."""
        changes = {table: dict(keys) for table, keys in self.changes.items()}
        changes["train"] = {**changes.get("train", {}), "method": self.method}
        made = asked.but(**changes)
        if not METHODS[self.method].joint:  # whose heads have no use for such terms
            made = made.but(regularise=RegularisePart().model_dump(), train={"focal": 0.0})
        if rows is not None and METHODS[self.method].gradient:
            made = made.but(train={"epochs": epochs(made.train, rows)})
        return made


def ladder(recipe: Recipe, dataset: Dataset) -> list[Rung]:
    """Every rung that is worth a look on this data, the cheap ones first, then by what they cost.

    What the recipe itself asks for (a regulariser, epochs, a rate) holds on every rung; the variants that a pilot
    tries come on top of it.
    """
    each = per_class(dataset.examples["train"])
    regularised = recipe.regularise.adversarial != "none" or recipe.regularise.r_drop > 0
    variants = [
        Rung("full + R-Drop", "full", False, {"regularise": {"r_drop": 1.0}}, 2.0, 4),
        Rung("full + FreeLB", "full", False, {"regularise": {"adversarial": "freelb"}}, 3.3, 5),
    ]
    return [
        Rung("majority", "majority"),
        Rung("TF-IDF", "lexical"),
        Rung("zero_shot", "zero_shot"),
        Rung("probe", "probe"),
        *([Rung("contrastive", "contrastive", False)] if each <= MANY else []),
        Rung("freeze", "freeze", False, effort=0.6, turn=2),
        Rung("lora", "lora", False, effort=0.8, turn=3),
        Rung("full", "full", False, turn=1),
        *([] if regularised else variants),
    ]


def passes(rung: Rung, recipe: Recipe, rows: int) -> float:
    """How many times each training text goes through the network forwards and backwards."""
    return epochs(rung.recipe(recipe).train, rows) * rung.effort


def price(rung: Rung, recipe: Recipe, prepared: Prepared) -> float:
    """Seconds that a rung is expected to take on all training texts, before anything was measured.

    Args:
        rung: what is to be fitted.
        recipe: of the race.
        prepared: any network of the race on all training texts.
    """
    rows = len(prepared.tables["train"].lengths)
    made = recipe.but(train={"method": rung.method, "epochs": passes(rung, recipe, rows) or None})
    return estimate(replace(prepared, recipe=made))
