"""What people corrected, as training texts: the interactions of a store beside the data of a recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from metier.data import dedup
from metier.data.clean import clean_text
from metier.data.source import ORIGIN
from metier.pipeline.watch import Watch
from metier.types import Document, Example, Target

if TYPE_CHECKING:
    from metier.pipeline.dataset import Dataset

TAKEN, HELD, STRANGE, GONE = "taken", "held out", "unknown label", "text gone"
"""What becomes of a correction: learned from; of a text that validates or tests; not a label of the head; forgotten."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What is right of a text, by head."""

    id: str
    text: str
    targets: Mapping[str, Target]


def corrected(dataset: Dataset, url: str, *, clean: bool, watch: Watch) -> Dataset:
    """The data set with what people said in its training part.

    Of a text that is there, the corrected labels take the place of the old ones; other heads keep theirs. Of several
    corrections of one text the last counts. Validation and test texts stay as they are.

    Args:
        dataset: as it was read.
        url: of the store: a file, or `postgresql://...`.
        clean: whether texts are cleaned, as those of the data set were.
        watch: hears what became of the corrections.

    Raises:
        StoreError: where there is no store.
    """
    labels = {head: _labels(dataset.examples["train"], head) for head in dataset.kinds}
    found, fate = _read(url, labels, {head for head, kind in dataset.kinds.items() if kind == "multilabel"}, clean)
    held = {*_keys([*dataset.examples["valid"], *dataset.examples["test"]])}
    keys = dict(zip(_keys([Example(Document(one.text), {}) for one in found]), found, strict=True))
    usable = {key: one for key, one in keys.items() if key not in held}
    fate[HELD] += len(keys) - len(usable)
    fate[TAKEN] += len(usable)
    train = [
        example
        if (one := usable.pop(key, None)) is None
        else replace(example, targets={**example.targets, **one.targets})
        for key, example in zip(_keys(dataset.examples["train"]), dataset.examples["train"], strict=True)
    ]
    train += [_example(one, train) for one in usable.values()]
    watch.say("corrections: " + ", ".join(f"{count} {what}" for what, count in fate.items() if count) if fate else
              "corrections: none")  # fmt: skip
    rows = {**dataset.summary["rows"], "train": len(train)}
    summary = {**dataset.summary, "rows": rows, "corrections": dict(fate)}
    return replace(dataset, examples={**dataset.examples, "train": train}, summary=summary)


def _keys(examples: Sequence[Example]) -> list[int]:
    found: list[int] = dedup.example_keys(examples).tolist() if examples else []
    return found


def _labels(examples: Sequence[Example], head: str) -> set[str]:
    found: set[str] = set()
    for example in examples:
        target = example.targets.get(head)
        found.update([target] if isinstance(target, str) else map(str, target) if isinstance(target, tuple) else ())
    return found


def _read(
    url: str, labels: Mapping[str, set[str]], several: Collection[str], clean: bool
) -> tuple[list[Correction], Counter[str]]:
    """The last correction of each text and head, and what became of those that cannot be learned from.

    `several` names the heads whose texts may have any number of labels.
    """
    from metier.store import documents, interactions
    from metier.store.store import Store

    fate: Counter[str] = Counter()
    said: dict[str, dict[str, Any]] = {}
    with Store.open(url, create=False) as store, store.read() as connection:
        for _, one in interactions.since(connection):
            if one.verdict == "corrected" and one.kind in ("document", "story") and one.head in labels:
                said.setdefault(one.subject, {})[one.head] = one.correction
        texts = {id: document.text for id, document in documents.many(connection, said).items() if not document.erased}
    found = []
    for id, heads in said.items():
        targets = {
            head: target
            for head, value in heads.items()
            if (target := _target(value, labels[head], head in several)) is not None
        }
        fate[STRANGE] += len(heads) - len(targets)
        if id not in texts:
            fate[GONE] += 1
        elif targets:
            found.append(Correction(id, clean_text(texts[id]) if clean else texts[id], targets))
    return found, fate


def _target(value: Any, labels: set[str], several: bool) -> Target | None:
    """The labels of a head that has `several`, else its one label; `None` where it does not know them.

    An application need not know which of the two a run has: topics come as a list, of a head with one label as well.
    """
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(one, str) and one in labels for one in named):
        return None
    if several:
        return tuple(named)
    return named[0] if len(named) == 1 else None


def _example(one: Correction, train: Sequence[Example]) -> Example:
    """A training text of its own, of the source whose head it corrects."""
    kin = next((example for example in train if set(one.targets) & set(example.targets)), None)
    origin = kin.document.meta.get(ORIGIN) if kin is not None else None
    meta = {} if origin is None else {ORIGIN: origin}
    return Example(Document(one.text, id=f"correction:{one.id}", meta=meta), dict(one.targets), "train")
