"""Examples to changed copies of them: the kinds by name, and which text of a pair is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from metier.data.augment.deletions import deletions
from metier.data.augment.edits import Edit, edited, spans_of
from metier.data.augment.insertions import insertions
from metier.data.augment.masked import Fill, chosen, places
from metier.data.augment.passages import KEPT, Passage, passage
from metier.data.augment.sources import Sources
from metier.data.augment.swaps import swaps
from metier.data.augment.synonyms import synonyms
from metier.data.augment.typos import typos
from metier.types import Example

Kind = Callable[[Passage, float, Random, Sources], list[Edit]]
KINDS: dict[str, Kind] = {
    "typos": typos,
    "synonyms": synonyms,
    "insertions": insertions,
    "swaps": swaps,
    "deletions": deletions,
}
"""The kinds that change one text after another. `masked` and `translate` ask a model and see many texts at a time."""
FILL_BATCH = 64


@dataclass(frozen=True, slots=True)
class Copy:
    """An example made from number `origin` of the training examples."""

    origin: int
    kind: str
    example: Example


@dataclass(frozen=True)
class Plan:
    """How copies of one kind are made.

    Args:
        kind: its name.
        rate: the share of letters or words.
        seed: names the run; the same seed makes the same copies.
        copies: of each example.
    """

    kind: str
    rate: float
    seed: int
    copies: int = 1

    def rng(self) -> Random:
        """Chance for this kind alone, so that switching another one on changes nothing here."""
        return Random(f"{self.seed}/{self.kind}")


def copies(examples: Sequence[Example], plan: Plan, sources: Sources) -> Iterator[Copy | None]:
    """Every copy of every example by one of `KINDS`; `None` where a text holds nothing that could be changed."""
    change, rng = KINDS[plan.kind], plan.rng()
    for origin, example in enumerate(examples):
        for _ in range(plan.copies):
            made = None
            for pair in _texts(example, rng):
                part = passage(example, sources.lexicon, pair=pair)
                edits = change(part, plan.rate, rng, sources)
                if edits:
                    made = Copy(origin, plan.kind, named(edited(example, edits, pair=pair), plan.kind))
                    break
            yield made


def filled(examples: Sequence[Example], plan: Plan, sources: Sources, fill: Fill) -> Iterator[Copy | None]:
    """The same for words that a masked-language model puts in."""
    rng = plan.rng()
    wanted = [(origin, example) for origin, example in enumerate(examples) for _ in range(plan.copies)]
    for start in range(0, len(wanted), FILL_BATCH):
        batch = wanted[start : start + FILL_BATCH]
        asked = []
        for _, example in batch:
            pair = next(_texts(example, rng))
            part = passage(example, sources.lexicon, pair=pair)
            asked.append((part, places(part, plan.rate, rng), pair))
        answers = fill([part.text for part, _, _ in asked], [masked for _, masked, _ in asked])
        for (origin, example), (part, masked, pair), probable in zip(batch, asked, answers, strict=True):
            edits = chosen(part, masked, probable, rng)
            yield Copy(origin, plan.kind, named(edited(example, edits, pair=pair), plan.kind)) if edits else None


def translated(
    examples: Sequence[Example], plan: Plan, back: Callable[[list[str], int], list[str]]
) -> Iterator[Copy | None]:
    """Texts there and back through two translation models (Sennrich, Haddow & Birch 2016).

    Left alone are examples with spans, with words of their own or with marks: nobody knows where these end up.

    Args:
        examples: the training examples.
        plan: its rate means nothing here.
        back: `(texts, round)` to the texts as they come back; rounds differ.
    """
    rng = plan.rng()
    for number in range(plan.copies):
        for start in range(0, len(examples), FILL_BATCH):
            batch = list(enumerate(examples[start : start + FILL_BATCH], start))
            sides = [next(_texts(example, rng)) for _, example in batch]
            texts = [
                (example.document.pair or "") if pair else example.document.text
                for (_, example), pair in zip(batch, sides, strict=True)
            ]
            fit = [not _bound(example) and bool(text.strip()) for (_, example), text in zip(batch, texts, strict=True)]
            answers = iter(back([text for text, there in zip(texts, fit, strict=True) if there], number))
            for (origin, example), pair, text, there in zip(batch, sides, texts, fit, strict=True):
                said = next(answers).strip() if there else ""
                whole = [Edit(0, len(text), said)] if said and said != text else []
                yield Copy(origin, plan.kind, named(edited(example, whole, pair=pair), plan.kind)) if whole else None


def named(example: Example, kind: str) -> Example:
    """A copy under an id of its own, of the split train."""
    document = replace(example.document, id=f"{example.document.id}#{kind}")
    return replace(example, document=document, split="train")


def _texts(example: Example, rng: Random) -> Iterator[bool]:
    """Which text of a document is changed, the other one if that cannot be: whether it is the second."""
    if example.document.pair is None:
        yield False
        return
    first = rng.random() < 0.5
    yield from (first, not first)


def _bound(example: Example) -> bool:
    marks = KEPT.search(f"{example.document.text} {example.document.pair or ''}")
    return bool(spans_of(example) or example.document.tokens or marks)
