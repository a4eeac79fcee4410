"""What a document says: one forward pass for its topic, its tone, what is said of each company, and its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.item import Item, Mention, Understood
from metier.data.clean import clean_text
from metier.errors import RecipeError, nearest
from metier.model import Model
from metier.types import Document, Prediction, Span


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of the run by what they are asked; `mention`: what is said of a company, where a head can tell."""

    topic: str = "topic"
    sentiment: str = "sentiment"
    mention: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """An item as it was understood, names in it that belong to no company of the table, and the version of the run that
    understood it, where that was another process."""

    understood: Understood
    unlinked: tuple[Mention, ...] = ()
    version: str = ""


class Reader:
    """Reads documents with a run. `passes` counts the documents that went through the encoder: one pass each.

    Args:
        model: a run with the heads.
        heads: which of them answer what.
        companies: whose mentions are looked for.

    Raises `RecipeError` for a head that the run does not have, or that does not answer what it is asked.
    """

    def __init__(self, model: Model, heads: Heads | None = None, companies: Companies | None = None) -> None:
        self.model, self.heads, self.companies = model, heads or Heads(), companies
        self.version = str(model.describe()["version"])
        self.passes = 0
        for name, kinds in (
            (self.heads.topic, ("classify", "multilabel")),
            (self.heads.sentiment, ("classify",)),
            (self.heads.mention, ("mention",)),
        ):
            if name:
                self._require(name, kinds)

    def _require(self, name: str, kinds: tuple[str, ...]) -> None:
        found = self.model.heads.get(name)
        if found is None:
            raise RecipeError(
                f"The run {self.model.run} has no head {name!r}.{nearest(name, self.model.heads)}",
                expected=f"heads among {', '.join(self.model.heads)}",
                hint="[heads] says which head answers what",
            )
        if found.kind not in kinds:
            raise RecipeError(f"The head {name!r} is of the kind {found.kind}.", expected=" or ".join(kinds))

    def __call__(self, items: Sequence[Item]) -> list[Reading]:
        """Each item, understood."""
        if not items:
            return []
        named = [self.companies.find(item.text) if self.companies is not None else None for item in items]
        documents = [
            Document(item.text, id=item.id, mentions=tuple((one.start, one.end) for one in found.linked))
            if found is not None and self.heads.mention
            else Document(clean_text(item.text), id=item.id)
            for item, found in zip(items, named, strict=True)
        ]
        said, vectors = self.model.runtime.understand(documents)
        self.passes += len(documents)
        return [
            Reading(self._understood(item, row, found.linked if found else (), vector), found.unlinked if found else ())
            for item, row, found, vector in zip(items, said, named, vectors, strict=True)
        ]

    def _understood(
        self, item: Item, said: dict[str, Prediction], mentions: Sequence[Mention], vector: Any
    ) -> Understood:
        if self.heads.mention:
            spans = {(span.start, span.end): span for span in said[self.heads.mention].label}
            mentions = [self._told(one, spans.get((one.start, one.end))) for one in mentions]
        return Understood(
            item,
            _topics(said[self.heads.topic]) if self.heads.topic else (),
            said[self.heads.sentiment],
            mentions,
            vector,
        )

    def _told(self, mention: Mention, span: Span | None) -> Mention:
        if span is None:
            return mention
        return replace(mention, sentiment=Prediction(span.label, span.score, probabilities=span.probabilities))


def _topics(said: Prediction) -> list[Prediction]:
    """One prediction a topic, of a head with one answer or with several."""
    if isinstance(said.label, str):
        return [said]
    return [Prediction(name, said.probabilities.get(name, said.score), said.abstain) for name in said.label]
