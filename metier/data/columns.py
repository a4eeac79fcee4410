"""Which columns of a source mean what: named by the user, checked all at once, chosen where there is one choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metier.data.rows import columns as columns_of
from metier.data.rows import frames, holds_bytes, strings
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
ROLES = ("split", "group", "time")
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """The roles of columns.

    `text`: one column, or two for a pair. `labels`: head name to `(column, kind of task)`. `split`, `group`, `time`:
    the columns that say which part of the data a row is in, what may not be torn apart, and when it was. `mentions`:
    head name to the column of names that its labels are about, one a row.
    """

    text: tuple[str, ...] = TEXT
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    split: str | None = None
    group: str | None = None
    time: str | None = None
    mentions: Mapping[str, str] = field(default_factory=dict)


def resolve(
    source: Source,
    text: Sequence[str] = TEXT,
    labels: Mapping[str, str] | Sequence[str] = (),
    *,
    tasks: Mapping[str, str] | None = None,
    roles: Mapping[str, str | None] | None = None,
    mentions: Mapping[str, str] | None = None,
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
        mentions: head name to the column of names that its labels are about; its kind is `mention`.
        strict: raise; otherwise names that do not exist are returned as they were given (for the doctor).

    Raises:
        DataError: once, naming every column that is missing, each with the nearest name that exists, and every one
            that cannot play its roles: text that is bytes, a label that is also the text, the split, group or time.
    """
    known = columns_of(source)
    heads = _heads(labels, [*text, *(roles or {}).values()], known)
    wanted = {role: (roles or {}).get(role) for role in ROLES}
    if wanted["split"] is None and "split" in known and "split" not in heads.values():
        wanted["split"] = "split"
    mentions = dict(mentions or {})
    tasks = {**(tasks or {}), **dict.fromkeys(mentions, "mention")}
    taken = [*heads.values(), *mentions.values(), *(name for name in wanted.values() if name)]
    sample = _sample(source)
    chosen, trouble = _text(tuple(text), known, set(taken), sample)
    kinds = {head: tasks.get(head) or _guess(sample, column, chosen) for head, column in heads.items()}
    labelled = {head: (column, kinds[head]) for head, column in heads.items()}
    found = Columns(chosen, labelled, **wanted, mentions=mentions)
    if strict:
        unfit = [trouble] if trouble else []
        unfit += [holds_bytes(name).found for name in dict.fromkeys(chosen) if _is_bytes(sample, name)]
        _refuse([*(text if tuple(text) != TEXT else ()), *taken], unfit, clashes(found), known)
    return found


def clashes(columns: Columns) -> list[str]:
    """A sentence for each column that plays two roles at once that no column can play."""
    labels = list(dict.fromkeys(column for column, _ in columns.labels.values()))
    twice = [name for name in dict.fromkeys(columns.text) if columns.text.count(name) > 1]
    found = [f"The column {name!r} is named twice as text." for name in twice]
    found += [f"The column {name!r} is both the text and a label." for name in labels if name in columns.text]
    names_of = columns.mentions.values()
    found += [f"The column {name!r} is both a label and names mentions." for name in labels if name in names_of]
    places = {role: getattr(columns, role) for role in ROLES}
    found += [f"The column {name!r} is both a label and the {role}." for role, name in places.items() if name in labels]
    return found


def missing_columns(source: Source, columns: Columns) -> dict[str, str]:
    """The columns that do not exist, each with a hint that names the nearest one that does."""
    known = columns_of(source)
    names = [*columns.text, *(column for column, _ in columns.labels.values())]
    names += [name for name in (columns.split, columns.group, columns.time, *columns.mentions.values()) if name]
    return {name: nearest(name, known).strip() for name in dict.fromkeys(names) if name not in known}


def require(source: Source, columns: Columns) -> None:
    """Raises one `DataError` that names every column that does not exist."""
    _refuse(list(missing_columns(source, columns)), [], [], columns_of(source))


def _refuse(asked: Sequence[str], unfit: Sequence[str], clashing: Sequence[str], known: Sequence[str]) -> None:
    """Raises one `DataError` for columns that do not exist, cannot be the text, or play two roles."""
    lost = [f"There is no column {name!r}.{nearest(name, known)}" for name in dict.fromkeys(asked) if name not in known]
    if not (lost or unfit or clashing):
        return
    expected = ["columns among " + ", ".join(known)] if lost or unfit else []
    expected += ["one role for each column"] if clashing else []
    raise DataError(
        " ".join([*lost, *unfit, *clashing]),
        expected=", and ".join(expected),
        hint="name the columns with --text and --label",
    )


def _heads(
    labels: Mapping[str, str] | Sequence[str], taken: Sequence[str | None], known: Sequence[str]
) -> dict[str, str]:
    """Head name to column: as named, else the first usual name that exists and has no other role."""
    heads = dict(labels) if isinstance(labels, Mapping) else {name: name for name in labels}
    return heads or {name: name for name in [name for name in LABELS if name in known and name not in taken][:1]}


def _sample(source: Source) -> pl.DataFrame:
    return next(iter(frames(source, rows=SAMPLE))).head(SAMPLE)


def _guess(sample: pl.DataFrame, column: str, text: Sequence[str]) -> str:
    if column not in sample.columns:
        return "classify"
    readable = text[0] in sample.columns and not _is_bytes(sample, text[0])
    texts = [shown for shown in strings(sample, text[0]).to_list() if shown] if readable else []
    return guess_task(sample[column].to_list(), texts)


def _is_bytes(sample: pl.DataFrame, name: str) -> bool:
    import polars as pl

    return sample.schema.get(name) == pl.Binary


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
        return asked, _none_clear([name for name in _string_columns(sample) if name not in taken])
    return (
        asked,
        f"There is no column 'text', and the text could be {' or '.join(map(repr, order[:4]))}: say --text NAME.",
    )


def _none_clear(names: Sequence[str]) -> str:
    if not names:
        return "There is no column 'text', and no other column holds texts."
    listed = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    return f"There is no column 'text', and no other is clearly the text (there are {listed}): say --text NAME."


def _string_columns(sample: pl.DataFrame) -> list[str]:
    import polars as pl

    return [name for name, kind in sample.schema.items() if kind == pl.String]


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
