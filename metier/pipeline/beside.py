"""Texts without labels for a fit by gradient: what it is told of them at each epoch, and changed copies of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from metier import run
from metier.data.augment.copies import Plan, copies
from metier.data.augment.sources import Sources
from metier.errors import RecipeError
from metier.models.batch import Batch
from metier.models.table import Table
from metier.pipeline.labelling import guessed
from metier.pipeline.outcomes import plain, target
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.train.semi import Beside, blanked
from metier.types import Example, Target

CHANGES = {"typos": 0.05, "swaps": 0.1, "deletions": 0.1}
"""How copies are changed, one way a batch, and how much."""
BLANKED = 0.15
BLANKS = ("[MASK]", "<mask>", "[UNK]", "<unk>")
Labels = list[dict[str, Target]]


def beside(prepared: Prepared, staged: Path, watch: Watch) -> Beside | None:
    """The further texts of a run whose `semi.method` is `pseudo` or `uda`; `None` for others."""
    recipe = prepared.recipe
    if prepared.further is None or recipe.semi.method not in ("pseudo", "uda"):
        return None
    size = recipe.train.batch_size, recipe.train.batch_tokens
    table = prepared.further.table
    return Beside(table, recipe.semi, size, _labeller(prepared, staged, watch), _changer(prepared, table))


def _labeller(prepared: Prepared, staged: Path, watch: Watch) -> Callable[[int, float], Labels]:
    """What the network says at the beginning of an epoch. It stays on disk: a fit that goes on must hear the same."""
    kinds = {name: task.kind for name, task in prepared.heads.items()}

    def label(epoch: int, confidence: float) -> Labels:
        file = staged / run.CHECKPOINT / f"labels-{epoch}.json"
        if file.is_file():
            return [
                {name: target(kinds[name], value) for name, value in own.items()}
                for own in json.loads(file.read_text())
            ]
        blind = epoch == 0 and bool(prepared.blank())
        found = [{} for _ in _texts(prepared)] if blind else guessed(prepared, confidence)
        file.parent.mkdir(exist_ok=True)
        run.write_text(file, json.dumps([{name: plain(value) for name, value in own.items()} for own in found]))
        count = sum(bool(own) for own in found)
        watch.say(f"epoch {epoch + 1}: {count} of {len(found)} texts have a score of {confidence:.2f} or more")
        return found

    return label


def learned_last(staged: Path) -> int:
    """How many texts had a label in the last epoch of a fit with `pseudo`."""
    files = sorted((staged / run.CHECKPOINT).glob("labels-*.json"), key=lambda file: int(file.stem.split("-")[1]))
    return sum(bool(own) for own in json.loads(files[-1].read_text())) if files else 0


def _texts(prepared: Prepared) -> Sequence[object]:
    assert prepared.further is not None
    return prepared.further.table.documents


def _changer(prepared: Prepared, table: Table) -> Callable[[np.ndarray, int], Batch]:
    """Copies of rows: texts with typos, swapped or deleted words, or with blanks where a head answers a token each."""
    runtime = prepared.runtime
    if any(task.per_token for task in prepared.heads.values()):
        tokenizer = runtime.tokeniser.tokenizer
        blank = next((found for name in BLANKS if (found := tokenizer.token_to_id(name)) is not None), None)
        if blank is None:
            raise RecipeError(
                "The backbone's tokenizer has no token for what is missing.",
                expected=f"one of {', '.join(BLANKS)}",
                hint='semi.method = "self_training"',
            )
        spared = sorted(tokenizer.get_added_tokens_decoder())
        return lambda rows, seed: blanked(table.plain(rows), spared, blank, BLANKED, seed)

    def change(rows: np.ndarray, seed: int) -> Batch:
        documents = [table.documents[owner] for owner in table.rows.owner[rows]]
        kind = list(CHANGES)[seed % len(CHANGES)]
        made = copies([Example(document, {}) for document in documents], Plan(kind, CHANGES[kind], seed), Sources())
        changed = [old if new is None else new.example.document for new, old in zip(made, documents, strict=True)]
        found = Table.of(changed, runtime.tokeniser, runtime.tasks)
        return found.plain(np.unique(found.rows.owner, return_index=True)[1])

    return change
