"""Tables, a batch at a time: CSV, TSV, Parquet, Excel, lines of text, folders of texts, and tables in memory."""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, Literal

from metier.data.encoding import raw_stream, text_lines, utf8_stream
from metier.data.jsonl import rows_to_frame
from metier.data.source import SPLITS, Source, sequence_of_dicts
from metier.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

BLOCK = 16 << 20
"""Bytes of CSV that are parsed at a time; no row may be longer."""
BATCH = 64 << 20
"""A batch of rows read in Python is cut when its text reaches this many characters."""
SAMPLE = 1 << 18


# -- CSV and TSV -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file of separated values is written. `cells`: its first row as it stands; `header`: names from these."""

    cells: tuple[str, ...]
    header: tuple[str, ...]
    delimiter: str
    quoted: bool


def dialect(path: Path, delimiter: str) -> Dialect:
    """The header, the delimiter and the quoting of a file, from its first lines.

    A `.csv` whose header has no comma but semicolons or tabs is read with these. A `.tsv` in which a cell opens with a
    quotation mark that it never closes is read without quoting. Blanks around names are no part of them, and a column
    without a name is called by its position.

    Raises:
        DataError: an empty file, a header that cannot be read, two columns of one name.
    """
    with utf8_stream(path) as stream:
        start = stream.read(SAMPLE).decode("utf-8", errors="ignore")
    if not start.strip("\ufeff\r\n \t"):
        raise DataError(f"{path.name} is empty.", expected="a header and rows", hint="look at how it was written")
    first = start.lstrip("\r\n").split("\n", 1)[0]
    if delimiter not in first:
        delimiter = max(delimiter, ";", "\t", ",", key=lambda mark: (first.count(mark), mark == delimiter))
    quoted = delimiter != "\t" or not _bare_quotes(start, first.count("\t"))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    rows = csv.reader(io.StringIO(start.lstrip("\r\n"), newline=""), delimiter=delimiter, quoting=quoting)
    try:
        cells = tuple(next(rows))
    except csv.Error as error:
        raise DataError(
            f"{path.name} has no readable header: {_reason(error)}.", hint="look for an open quotation mark"
        ) from error
    return Dialect(cells, _header(path, cells), delimiter, quoted)


def _header(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns. pandas writes its index without one, and a comma at the end of a line adds another."""
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path.name} has two columns named {', '.join(map(repr, twice))}.",
            expected="a header in which every name stands once",
            hint="rename one of them, or give the file a header",
        )
    for place, name in enumerate(names):
        if not name:
            free = (f"column_{number}" for number in count(place + 1))
            names[place] = next(made for made in free if made not in names)
    return tuple(names)


def _bare_quotes(start: str, tabs: int) -> bool:
    """Whether every line has as many tabs as the header, and some cell opens a quotation and leaves it open."""
    lines = [line.rstrip("\r") for line in start.split("\n")[:-1] if line.strip()]
    if any(line.count("\t") != tabs for line in lines):
        return False
    cells = (cell for line in lines for cell in line.split("\t") if cell.startswith('"'))
    return any(len(cell) == 1 or not cell.endswith('"') or cell.count('"') % 2 for cell in cells)


def csv_frames(path: Path, delimiter: str) -> Iterator[pl.DataFrame]:
    """Batches of a CSV or TSV file; every cell stays a string. Raises `DataError` for rows of another width."""
    import polars as pl
    import pyarrow as pa
    from pyarrow import csv as arrow

    form = dialect(path, delimiter)
    broken: list[Any] = []

    def refuse(row: Any) -> str:
        broken.append(row)
        return "skip"

    parse = arrow.ParseOptions(
        delimiter=form.delimiter,
        quote_char='"' if form.quoted else False,
        newlines_in_values=form.quoted,
        invalid_row_handler=refuse,
    )
    convert = arrow.ConvertOptions(column_types=dict.fromkeys(form.cells, pa.string()), strings_can_be_null=False)
    read = arrow.ReadOptions(use_threads=False, block_size=BLOCK)
    with utf8_stream(path) as stream:
        try:
            for batch in arrow.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert):
                _refuse_ragged(path, broken)
                frame = pl.from_arrow(batch.rename_columns(list(form.header)))
                assert isinstance(frame, pl.DataFrame)
                yield frame
        except pa.ArrowInvalid as error:
            _refuse_ragged(path, broken)
            if "Empty CSV" in str(error):
                return
            raise DataError(f"{path.name} is not a readable table: {_reason(error)}.", hint=_csv_hint(error)) from error
    _refuse_ragged(path, broken)


def _csv_hint(error: Exception) -> str:
    if "straddling" in str(error):
        return f"look for a quotation mark that is never closed; a row may hold {BLOCK >> 20} MB at most, Parquet more"
    return "open it in a text editor near that row, or save it as JSONL or Parquet"


def _reason(error: Exception) -> str:
    """What a library says is wrong: its first line, without the full stop that our sentence brings."""
    return str(error).replace("CSV parse error: ", "").split("\n")[0].rstrip(". ")


def _refuse_ragged(path: Path, broken: list[Any]) -> None:
    if not broken:
        return
    row = broken[0]
    more = f" (and {len(broken) - 1} rows after it)" if len(broken) > 1 else ""
    raise DataError(
        f"{path.name}, row {row.number - 1}: {row.actual_columns} cells where the header has {row.expected_columns}"
        f"{more}: {row.text[:80]!r}.",
        expected="as many cells in each row as in the header",
        hint="put quotation marks around texts with a delimiter in them",
    )


# -- other files -------------------------------------------------------------------------------------------------
def parquet_frames(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """Batches of a Parquet file; one that is gzipped is unzipped to a temporary file first."""
    import polars as pl
    import pyarrow as pa
    from pyarrow import parquet

    with raw_stream(path) as stream, tempfile.TemporaryFile() as unzipped:
        if isinstance(stream, io.BufferedReader) and not isinstance(stream.raw, io.FileIO):
            copyfileobj(stream, unzipped)
            unzipped.seek(0)
            file: Any = unzipped
        else:
            file = stream
        try:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=min(rows, 10_000)):
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield frame
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(
                f"{path.name} is not a readable Parquet file: {_reason(error)}.", hint="write it again"
            ) from error


def parquet_columns(path: Path) -> list[str]:
    """The column names of a Parquet file, from its footer."""
    import pyarrow as pa
    from pyarrow import parquet

    if path.suffix == ".gz":
        return next((frame.columns for frame in parquet_frames(path, 1)), [])
    try:
        return list(parquet.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path.name} is not a readable Parquet file: {_reason(error)}.", hint="write it again"
        ) from error


def excel_frame(path: Path) -> pl.DataFrame:
    """The first sheet of an Excel file. Its size is bounded (1,048,576 rows), so it is read whole."""
    import fastexcel
    import polars as pl

    try:
        with raw_stream(path) as stream:
            return pl.read_excel(io.BytesIO(stream.read()), engine="calamine", raise_if_empty=False)
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError, ValueError, OSError) as error:
        raise DataError(
            f"{path.name} is not a readable Excel file: {_reason(error)}.", hint="save its sheet as CSV"
        ) from error


def line_frames(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """A text file as a table with the column `text`: one row for each line that is not blank."""
    yield from _text_frames(({"text": text} for text in text_lines(path) if text.strip()), rows)


def folder_frames(folder: Path, rows: int) -> Iterator[pl.DataFrame]:
    """A folder of text files: `id` (the path), `text`, `label` (the subfolder), `split` (a folder above it)."""
    yield from _text_frames((_text_file(folder, path) for path in text_files(folder)), rows)


def folder_columns(folder: Path) -> list[str]:
    """The columns that `folder_frames` gives."""
    return list(_text_file(folder, text_files(folder)[0], read=False))


def text_files(folder: Path) -> list[Path]:
    """Every text file under a folder, sorted."""
    return sorted(path for pattern in ("*.txt", "*.txt.gz") for path in folder.rglob(pattern) if path.is_file())


def _text_file(folder: Path, path: Path, *, read: bool = True) -> dict[str, Any]:
    text = ""
    if read and path.stat().st_size:
        with utf8_stream(path) as stream:
            text = stream.read().decode("utf-8")
    above = path.relative_to(folder).parts[:-1]
    row: dict[str, Any] = {"id": str(path.relative_to(folder)), "text": text}
    split = SPLITS.get(above[0].lower()) if above else None
    names = above[1:] if split else above
    if names:
        row["label"] = "/".join(names)
    if split:
        row["split"] = split
    return row


def _text_frames(rows_of: Iterator[dict[str, Any]], rows: int) -> Iterator[pl.DataFrame]:
    import polars as pl

    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows_of:
        batch.append(row)
        size += len(row["text"])
        if len(batch) >= rows or size >= BATCH:
            yield pl.DataFrame(batch, infer_schema_length=None)
            batch, size = [], 0
    if batch:
        yield pl.DataFrame(batch, infer_schema_length=None)


# -- tables in memory --------------------------------------------------------------------------------------------
def table_frame(source: Source) -> pl.DataFrame:
    """A polars or pandas DataFrame, or a list of dictionaries, as a polars DataFrame."""
    import polars as pl

    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if isinstance(source, pl.DataFrame):
        return source
    if sequence_of_dicts(source):
        return rows_to_frame(list(source))
    if type(source).__module__.split(".")[0] == "pandas" and hasattr(source, "to_dict"):
        try:
            frame: pl.DataFrame = pl.from_pandas(source.rename(columns=str))
            return frame
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):  # mixed objects, lone surrogates
            return rows_to_frame([{str(k): v for k, v in row.items()} for row in source.to_dict("records")])
    raise DataError(
        f"A {type(source).__name__} is no source of data.",
        expected="a path, a polars or pandas DataFrame, or a list of dictionaries",
        hint="polars.DataFrame(...)",
    )
