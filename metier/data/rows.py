"""Batches of rows: any source as a stream of DataFrames of one schema, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metier.data import conll, jsonl, tables
from metier.data.source import Part, Source, is_path, parts
from metier.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

ROWS = 50_000


def frames(source: Source, *, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """A source as batches of at most `rows` rows, all of one schema.

    Args:
        source: a path to CSV, TSV, JSONL, Parquet (each also .gz), Excel, CoNLL (also .gz), to a folder with
            train/valid/test files of one of these, or to a folder of text files (subfolders are labels); a polars or
            pandas DataFrame; a list of dictionaries.
        rows: the most rows in one batch.

    Raises:
        DataError: what cannot be read, with the file and the line where there is one; a source without rows.
    """
    seen = 0
    for frame in _frames(source, rows):
        for batch in frame.iter_slices(rows):
            seen += batch.height
            if batch.height:
                yield batch
    if not seen:
        raise DataError(f"{_name(source)} has no rows.", expected="at least one row under the header")


def columns(source: Source) -> list[str]:
    """The names of the columns of a source, without reading its rows where the format allows."""
    if not is_path(source):
        return tables.table_frame(source).columns
    found = parts(source)
    names = dict.fromkeys(name for part in found for name in _columns(part))
    if any(part.split for part in found):
        names["split"] = None
    return list(names)


def _frames(source: Source, rows: int) -> Iterator[pl.DataFrame]:
    if not is_path(source):
        yield tables.table_frame(source)
        return
    found = parts(source)
    if len(found) == 1 and not found[0].split:
        yield from _part_frames(found[0], rows)
        return
    yield from _aligned(found, columns(source), rows)


def _aligned(found: Sequence[Part], names: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
    """The batches of several files, each with every column of any, in one type, and the split that its file is."""
    import polars as pl

    kinds = _types(found)
    for part in found:
        for frame in _part_frames(part, rows):
            same = pl.DataFrame([_retyped(frame, name, kinds.get(name)) for name in names if name != "split"])
            yield same.with_columns(pl.lit(part.split, pl.String).alias("split")).select(names)


def _types(found: Sequence[Part]) -> dict[str, pl.DataType]:
    """The type of each column that suits every file, from the first row of each: a file keeps its types."""
    kinds: dict[str, list[pl.DataType]] = {}
    for part in found:
        first = next(_part_frames(part, 1), None)
        for name, kind in first.schema.items() if first is not None else ():
            kinds.setdefault(name, []).append(kind)
    return {name: _common(several) for name, several in kinds.items()}


def _common(kinds: Sequence[pl.DataType]) -> pl.DataType:
    """The type in which columns meet: numbers widen, lists take the wider item, all else that differs is a string."""
    import polars as pl

    known = [kind for kind in kinds if kind != pl.Null]
    if all(kind == known[0] for kind in known):
        return known[0] if known else pl.Null()
    if all(kind.is_numeric() for kind in known) or all(kind.is_nested() for kind in known):
        try:
            return pl.concat([pl.DataFrame(schema={"": kind}) for kind in known], how="vertical_relaxed").schema[""]
        except pl.exceptions.SchemaError:
            return pl.String()
    return pl.String()


def _retyped(frame: pl.DataFrame, name: str, kind: pl.DataType | None) -> pl.Series:
    """A column in the type that all files share; nulls where this file does not have it."""
    import polars as pl

    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=kind or pl.String())
    column = frame[name]
    if kind is None or column.dtype == kind:
        return column
    if kind != pl.String:
        return column.cast(kind)
    if not column.dtype.is_float():
        return _as_strings(column)
    # 1.0, which is what pandas makes of 1 in a column with gaps, is the label "1" (`targets.label_text`)
    whole = pl.when(pl.col(name) == pl.col(name).floor()).then(pl.col(name).cast(pl.Int64, strict=False))
    return frame.select(pl.coalesce(whole.cast(pl.String), pl.col(name).cast(pl.String)).alias(name))[name]


def _part_frames(part: Part, rows: int) -> Iterator[pl.DataFrame]:
    match part.format:
        case "csv":
            return tables.csv_frames(part.path, ",")
        case "tsv":
            return tables.csv_frames(part.path, "\t")
        case "jsonl":
            return jsonl.json_frames(part.path, rows)
        case "parquet":
            return tables.parquet_frames(part.path, rows)
        case "excel":
            return iter([tables.excel_frame(part.path)])
        case "conll":
            return conll.conll_frames(part.path, rows)
        case "folder":
            return tables.folder_frames(part.path, rows)
        case _:
            return tables.line_frames(part.path, rows)


def _columns(part: Part) -> list[str]:
    match part.format:
        case "csv":
            return list(tables.dialect(part.path, ",").header)
        case "tsv":
            return list(tables.dialect(part.path, "\t").header)
        case "jsonl":
            return list(jsonl.json_schema(part.path))
        case "parquet":
            return tables.parquet_columns(part.path)
        case "excel":
            return tables.excel_frame(part.path).columns
        case "conll":
            return ["text", "tokens", "spans"]
        case "folder":
            return tables.folder_columns(part.path)
        case _:
            return ["text"]


def strings(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column as strings without nulls. Raises `DataError` for one of bytes."""
    return _as_strings(frame[name]).fill_null("")


def _as_strings(column: pl.Series) -> pl.Series:
    """A column of any type as strings, with its nulls."""
    import polars as pl

    if column.dtype == pl.Binary:
        raise holds_bytes(column.name)
    if column.dtype.is_nested() or column.dtype in (pl.Duration, pl.Object):  # polars casts none of these
        shown = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, shown, dtype=pl.String)
    return column.cast(pl.String)


def holds_bytes(name: str) -> DataError:
    """The error for a column of bytes where strings are needed."""
    return DataError(
        f"The column {name!r} holds bytes.",
        expected="strings",
        hint="write this column as strings in UTF-8, or name another one",
    )


def _name(source: Source) -> str:
    return str(source) if is_path(source) else f"This {type(source).__name__}"
