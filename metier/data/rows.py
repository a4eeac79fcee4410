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
    """The batches of several files, each with every column of any and the split that its file is."""
    import polars as pl

    for part in found:
        for frame in _part_frames(part, rows):
            added = [pl.lit(None, pl.String).alias(name) for name in names if name not in frame.columns]
            yield frame.with_columns(*added).with_columns(pl.lit(part.split).alias("split")).select(names)


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


def _name(source: Source) -> str:
    return str(source) if is_path(source) else f"This {type(source).__name__}"
