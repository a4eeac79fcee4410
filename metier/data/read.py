"""Data in: any source as batches of rows, and rows as documents and examples.

Every reader is a generator with bounded memory: a file larger than memory is read a batch at a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metier.data import mentions as naming
from metier.data.clean import clean_series
from metier.data.columns import Columns, require, resolve
from metier.data.rows import columns, frames, strings
from metier.data.source import Source, fingerprint, split_name
from metier.data.targets import SPAN_KINDS, broken, guess_task, reader
from metier.types import Document, Example, Span, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import polars as pl

__all__ = ["Columns", "columns", "documents", "examples", "fingerprint", "frames", "guess_task", "resolve"]


def documents(
    frame: pl.DataFrame,
    text_columns: Sequence[str],
    *,
    first: int = 0,
    clean: bool = True,
    keep_length: bool = False,
    meta: Sequence[str] = (),
    mentions: Sequence[str] = (),
) -> list[Document]:
    """The rows of a batch as documents.

    Args:
        frame: a batch of `frames`.
        text_columns: one column, or two for pairs. Nulls are empty texts.
        first: the number of the first row, for the ids of a source without a column `id`.
        clean: clean the texts as for training.
        keep_length: clean one character for one, so that offsets into the texts stay valid.
        meta: columns whose values go into `Document.meta`.
        mentions: columns that say what a `mention` head is asked about: see `mentions.asked`.

    Raises:
        DataError: a text or id column of bytes.
    """
    offsets = _offsets(frame)
    texts = [_texts(frame, name, clean, keep_length or offsets is not None) for name in text_columns]
    pairs = texts[1] if len(texts) > 1 else [None] * frame.height
    named = "id" in frame.columns and "id" not in text_columns
    ids = strings(frame, "id").to_list() if named else [str(first + row) for row in range(frame.height)]
    words = offsets if offsets is not None else [None] * frame.height
    rest = (frame.select(meta).to_dicts(),) if meta else ()
    found = [Document(*row) for row in zip(texts[0], pairs, ids, words, *rest, strict=True)]
    return naming.with_mentions(found, [frame[name].to_list() for name in mentions]) if mentions else found


def examples(source: Source, columns: Columns, *, clean: bool = True) -> Iterator[Example]:
    """The rows of a source with their targets.

    A head whose cell is empty, null or NaN is absent from `Example.targets`; for `multilabel` an empty list says that
    no label applies. A row with one mention is one example here (`mentions.gathered` joins them). `Example.split` is
    `train`, `valid` or `test` for the usual names of these and the source's own name for any other
    (`metier.data.split` counts and drops those).

    Raises:
        DataError: a cell that cannot be read as its task needs, with its row and column.
    """
    require(source, columns)
    meta = [name for name in (columns.group, columns.time) if name]
    keep = any(kind in SPAN_KINDS for _, kind in columns.labels.values())
    readers: dict[str, Callable[[Any, str], Target | None]] = {}
    first = 0
    for frame in frames(source):
        if not readers:
            readers = {
                head: _reader(columns, head, frame[name].to_list()) for head, (name, _) in columns.labels.items()
            }
        rows = documents(frame, columns.text, first=first, clean=clean, keep_length=keep, meta=meta)
        targets: list[dict[str, Target]] = [{} for _ in rows]
        for head, (name, _) in columns.labels.items():
            found: Iterable[Target | None] = _targets(frame[name].to_list(), rows, readers[head], (name, first))
            if head in columns.mentions:
                found = naming.named(frame[columns.mentions[head]], list(found), rows, first)
            for index, target in enumerate(found):
                if target is not None:
                    targets[index][head] = target
        rows = [_mentioning(document, own, columns) for document, own in zip(rows, targets, strict=True)]
        splits = [None] * frame.height if columns.split is None else _splits(frame, columns.split)
        first += frame.height
        yield from map(Example, rows, targets, splits)


def _reader(columns: Columns, head: str, sample: Sequence[Any]) -> Callable[[Any, str], Target | None]:
    """How the cells of a head are read; those beside a name hold one label, as for `classify`."""
    kind = "classify" if head in columns.mentions else columns.labels[head][1]
    return reader(kind, sample) if kind in SPAN_KINDS else _remembered(reader(kind, sample))


def _mentioning(document: Document, targets: Mapping[str, Target], columns: Columns) -> Document:
    """A document that knows of the mentions that it has labels for."""
    heads = [head for head, (_, kind) in columns.labels.items() if kind == "mention" and head in targets]
    spans = [span for head in heads for span in targets[head] if isinstance(span, Span)]  # type: ignore[union-attr]
    places = tuple(sorted({(span.start, span.end) for span in spans}))
    return replace(document, mentions=places) if heads else document


def _targets(
    values: Sequence[Any],
    rows: Sequence[Document],
    read: Callable[[Any, str], Target | None],
    place: tuple[str, int],
) -> Iterator[Target | None]:
    """The target of each cell of a column. `place`: the column's name and the number of its first row."""
    for index, (value, document) in enumerate(zip(values, rows, strict=True)):
        try:
            yield read(value, document.text)
        except ValueError as error:
            raise broken(error, place[1] + index + 1, place[0]) from error


def _remembered(read: Callable[[Any, str], Target | None]) -> Callable[[Any, str], Target | None]:
    """`read`, computed once for each different string: labels repeat. Not for targets that depend on the text."""
    known: dict[str, Target | None] = {}

    def remembered(value: Any, text: str) -> Target | None:
        if not isinstance(value, str):
            return read(value, text)
        if value not in known:
            known[value] = read(value, text)
        return known[value]

    return remembered


def _splits(frame: pl.DataFrame, column: str) -> list[str | None]:
    values = frame[column].to_list()
    names = {value: split_name(value) for value in set(values)}
    return [names[value] for value in values]


def _texts(frame: pl.DataFrame, name: str, clean: bool, keep_length: bool) -> list[str]:
    texts = strings(frame, name)
    found: list[str] = (clean_series(texts, keep_length) if clean else texts).to_list()
    return found


def _offsets(frame: pl.DataFrame) -> list[tuple[tuple[int, int], ...] | None] | None:
    """The word offsets of each row, if there is a column `tokens` that holds pairs of integers."""
    import polars as pl

    if frame.schema.get("tokens") != pl.List(pl.List(pl.Int64)):
        return None
    rows = frame["tokens"].to_list()
    return [None if row is None else tuple((start, end) for start, end in row) for row in rows]
