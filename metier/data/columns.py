"""Which columns of a source mean what: named by the user, checked all at once, chosen where there is one choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metier.data.rows import columns as columns_of
from metier.data.rows import frames
from metier.data.source import Source
from metier.data.targets import guess_task
from metier.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl

SAMPLE = 2_000
TEXT = ("text",)
LETTERS, DISTINCT = 0.5, 0.1
"""A text column has at least this share of letters, and this share of its texts differ."""
LABELS = ("label", "labels", "spans")


@dataclass(frozen=True, slots=True)
class Columns:
    """The roles of columns.

    `text`: one column, or two for a pair. `labels`: head name to `(column, kind of task)`. `split`, `group`, `time`:
    the columns that say which part of the data a row is in, what may not be torn apart, and when it was.
    """

    text: tuple[str, ...] = TEXT
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    split: str | None = None
    group: str | None = None
    time: str | None = None


def resolve(
    source: Source,
    text: Sequence[str] = TEXT,
    labels: Mapping[str, str] | Sequence[str] = (),
    *,
    tasks: Mapping[str, str] | None = None,
    roles: Mapping[str, str | None] | None = None,
    strict: bool = True,
) -> Columns:
    """The columns of a source that play the roles that were asked for.

    Args:
        source: see `metier.data.read.frames`.
        text: the text column, or two for a pair. Where the default `text` does not exist, the one column that looks
            like text is taken.
        labels: head name to column, or a sequence of columns (each names its head). Where there are none: the column
            `label`, `labels` or `spans` if there is one, else no head.
        tasks: head name to kind; a kind that is not given is guessed from the first rows.
        roles: columns for `split`, `group`, `time`. A column `split` is used by itself.
        strict: raise; otherwise names that do not exist are returned as they were given (for the doctor).

    Raises:
        DataError: once, naming every column that is missing, each with the nearest name that exists.
    """
    known = columns_of(source)
    heads = dict(labels) if isinstance(labels, Mapping) else {name: name for name in labels}
    if not heads:
        heads = {name: name for name in LABELS if name in known and name not in text}
        heads = dict(list(heads.items())[:1])
    wanted = {role: (roles or {}).get(role) for role in ("split", "group", "time")}
    if wanted["split"] is None and "split" in known and "split" not in heads.values():
        wanted["split"] = "split"
    taken = {*heads.values(), *(name for name in wanted.values() if name)}
    asked = [*(text if tuple(text) != TEXT else ()), *heads.values(), *(name for name in wanted.values() if name)]
    lost = [name for name in dict.fromkeys(asked) if name not in known]
    sample = _sample(source)
    chosen, trouble = _text(tuple(text), known, taken, sample)
    if strict and (lost or trouble):
        raise _lost(lost, trouble, known)
    kinds = {head: (tasks or {}).get(head) or _guess(sample, column, chosen) for head, column in heads.items()}
    return Columns(chosen, {head: (column, kinds[head]) for head, column in heads.items()}, **wanted)


def missing_columns(source: Source, columns: Columns) -> dict[str, str]:
    """The columns that do not exist, each with a hint that names the nearest one that does."""
    known = columns_of(source)
    names = [*columns.text, *(column for column, _ in columns.labels.values())]
    names += [name for name in (columns.split, columns.group, columns.time) if name]
    return {name: nearest(name, known).strip() for name in dict.fromkeys(names) if name not in known}


def require(source: Source, columns: Columns) -> None:
    """Raises one `DataError` that names every column that does not exist."""
    lost = missing_columns(source, columns)
    if lost:
        raise _lost(list(lost), "", columns_of(source))


def _lost(lost: Sequence[str], trouble: str, known: Sequence[str]) -> DataError:
    found = [f"There is no column {name!r}.{nearest(name, known)}" for name in lost]
    return DataError(
        " ".join([*found, trouble] if trouble else found),
        expected="columns among " + ", ".join(known),
        hint="name the columns with --text and --label",
    )


def _sample(source: Source) -> pl.DataFrame:
    return next(iter(frames(source, rows=SAMPLE))).head(SAMPLE)


def _guess(sample: pl.DataFrame, column: str, text: Sequence[str]) -> str:
    if column not in sample.columns:
        return "classify"
    texts = sample[text[0]].cast(str, strict=False).drop_nulls().to_list() if text[0] in sample.columns else []
    return guess_task(sample[column].to_list(), texts)


def _text(
    asked: tuple[str, ...], known: Sequence[str], taken: set[str], sample: pl.DataFrame
) -> tuple[tuple[str, ...], str]:
    """The text columns, and what is wrong with them. Only the default name is ever replaced by another."""
    if asked != TEXT or "text" in known:
        return asked, ""
    lengths = {name: _length(sample, name) for name in sample.columns if name not in taken and name != "id"}
    lengths = {name: length for name, length in lengths.items() if length}
    order = sorted(lengths, key=lambda name: -lengths[name])
    if len(order) == 1 or (len(order) > 1 and lengths[order[0]] >= 3 * lengths[order[1]]):
        return (order[0],), ""
    if not order:
        return asked, "There is no column 'text', and no other column holds texts."
    return (
        asked,
        f"There is no column 'text', and the text could be {' or '.join(map(repr, order[:4]))}: say --text NAME.",
    )


def _length(sample: pl.DataFrame, name: str) -> float:
    """The mean number of letters of a string column; 0 for one that holds numbers, dates or names that recur."""
    import polars as pl

    if sample.schema[name] != pl.String:
        return 0.0
    texts = sample[name].drop_nulls()
    letters, characters = int(texts.str.count_matches(r"\p{L}").sum()), int(texts.str.len_chars().sum())
    if letters < 2 * len(texts) or letters < LETTERS * characters or texts.n_unique() < DISTINCT * len(texts):
        return 0.0
    return letters / max(1, len(texts))
