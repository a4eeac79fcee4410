"""The doctor with the tokenizer of a backbone in its hand."""

from __future__ import annotations

from collections.abc import Sequence

from metier.data import read
from metier.data.columns import TEXT
from metier.data.diagnosis import Diagnosis
from metier.data.doctor import examine
from metier.data.source import Source


def diagnose(
    source: Source,
    label: Sequence[str] = (),
    text: Sequence[str] = (),
    *,
    split: str | None = None,
    backbone: str = "minilm",
    max_length: int = 256,
) -> Diagnosis:
    """What is wrong with labelled data, for this backbone and this length.

    Args:
        source: a path or a table.
        label: the columns to learn; by default a column `label`, `labels` or `spans` where there is one.
        text: the text column, or two for a pair.
        split: the column that says train, valid or test.
        backbone: whose tokenizer counts tokens and unknown characters.
        max_length: tokens beyond which a text is cut.
    """
    from metier.models import backbone as backbones
    from metier.models.tokeniser import Tokeniser

    columns = read.resolve(source, tuple(text) or TEXT, label, roles={"split": split}, strict=False)
    tokeniser = Tokeniser(backbones.load_tokenizer(backbones.find(backbone)), max_length=max_length)
    return examine(source, columns, count_tokens=tokeniser.count, max_length=max_length)
