"""The doctor with the tokenizer of a backbone in its hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metier.data import read
from metier.data.columns import TEXT
from metier.data.diagnosis import Diagnosis, Problem
from metier.data.doctor import examine
from metier.data.source import Source
from metier.errors import RecipeError, nearest
from metier.pipeline.recipes import mentioning


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns beside texts and labels.

    Args:
        split: says train, valid or test.
        mention: hold the name in the text that a row's label is about, `COLUMN` or `HEAD=COLUMN`.
    """

    split: str | None = None
    mention: Sequence[str] = ()


NONE = Roles()


def diagnose(
    source: Source,
    label: Sequence[str] = (),
    text: Sequence[str] = (),
    *,
    roles: Roles = NONE,
    task: str | None = None,
    backbone: str = "minilm",
    max_length: int = 256,
) -> Diagnosis:
    """What is wrong with labelled data, for this backbone and this length.

    Args:
        source: a path or a table.
        label: the columns to learn; by default a column `label`, `labels` or `spans` where there is one.
        text: the text column, or two for a pair.
        roles: what further columns say.
        task: the kind of every head; by default each is guessed from its labels.
        backbone: whose tokenizer counts tokens and unknown characters.
        max_length: tokens beyond which a text is cut.

    Raises:
        DataError: a source that cannot be opened.
        RecipeError: a task that does not exist, a mention of no head.
        BackboneError: a backbone that cannot be found.
    """
    from metier.models import backbone as backbones
    from metier.models.tokeniser import Tokeniser
    from metier.tasks import KINDS

    if task is not None and task not in KINDS:
        raise RecipeError(f"There is no task {task!r}.{nearest(task, KINDS)}", expected=", ".join(KINDS))
    columns = read.resolve(source, tuple(text) or TEXT, label, roles={"split": roles.split}, strict=False)
    if roles.mention:
        names = {head: told["mention"] for head, told in mentioning({}, roles.mention, columns.labels).items()}
        columns = read.resolve(
            source, tuple(text) or TEXT, label, roles={"split": roles.split}, mentions=names, strict=False
        )
    if task is not None:
        columns = replace(columns, labels={head: (column, task) for head, (column, _) in columns.labels.items()})
    tokeniser = Tokeniser(backbones.load_tokenizer(backbones.find(backbone)), max_length=max_length)
    found = examine(source, columns, count_tokens=tokeniser.count, max_length=max_length)
    if text or columns.text == TEXT:
        return found
    guessed = " and ".join(map(repr, columns.text))
    note = Problem("guessed-text", "note", f"Read as the text: the column {guessed}.", hint="--text names another")
    return replace(found, problems=(*found.problems, note))
