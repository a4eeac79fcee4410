"""JSON lines. The file is walked once for the type of each column, so that every batch has the same schema."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from metier.data.encoding import utf8_stream
from metier.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

Schema = dict[str, Any]
"""pyarrow types by column name."""
BATCH = 64 << 20
SURROGATES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def json_frames(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """Batches of a file with one JSON object a line (or one array of objects). Errors name the line."""
    schema = json_schema(path)
    for batch in _batches(path, rows):
        yield _frame(batch, schema)


def json_schema(path: Path) -> Schema:
    """Every key of the file with its type; remembered until the file changes."""
    state = path.stat()
    return dict(_schema_of(path, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=16)
def _schema_of(path: Path, _mtime: int, _size: int) -> Schema:
    schema: Schema = {}
    for batch in _batches(path, 10_000):
        schema = _widened(schema, batch)
    return schema


def rows_to_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A list of dictionaries as a DataFrame; columns of mixed types become strings, lone surrogates U+FFFD."""
    plain = [{str(key): _clean(value) for key, value in row.items()} for row in rows]
    return _frame(plain, _widened({}, plain))


def _batches(path: Path, rows: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for row, length in _objects(path):
        batch.append(row)
        size += length
        if len(batch) >= rows or size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _objects(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """`(object, bytes)` of each line that is not blank, or of the array that the file is."""
    first = True
    with utf8_stream(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            if first and line.lstrip()[:1] == b"[":
                yield from _array(path, line + stream.read())
                return
            first = False
            row = _parsed(line, f"{path.name}, line {number}")
            if not isinstance(row, dict):
                raise DataError(
                    f"{path.name}, line {number}: a {type(row).__name__} instead of an object: {_short(line)}.",
                    expected='one JSON object a line, such as {"text": "...", "label": "..."}',
                )
            yield row, len(line)


def _array(path: Path, content: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    rows = _parsed(content, path.name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path.name} is not an array of objects.", expected="one JSON object a line, or one array")
    share = len(content) // max(1, len(rows))
    yield from ((row, share) for row in rows)


def _parsed(line: bytes, place: str) -> Any:
    import orjson

    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # orjson refuses lone surrogates, NaN and infinities; files in the wild hold them
        try:
            return _clean(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            raise DataError(
                f"{place}: not JSON ({reason}): {_short(line)}.", expected="one JSON object a line",
                hint="escape quotation marks and line breaks inside texts",
            ) from error  # fmt: skip


def _short(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", errors="replace").strip())


def _clean(value: Any) -> Any:
    """`value` with lone surrogates replaced one for one, so that character offsets stay valid."""
    if isinstance(value, str):
        return SURROGATES.sub(REPLACEMENT, value) if not value.isascii() else value
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


# -- types -------------------------------------------------------------------------------------------------------
def _widened(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> Schema:
    """`schema` made wide enough for `rows`. Types that have nothing in common become strings."""
    names = dict.fromkeys(schema) | dict.fromkeys(key for row in rows for key in row)
    return {name: _union(schema.get(name), [row.get(name) for row in rows]) for name in names}


def _union(known: Any, values: list[Any]) -> Any:
    import pyarrow as pa

    try:
        found = pa.array(values).type  # infer_type lets mixed types pass
        if known is None or known == found:
            return found
        fields = [pa.schema([("it", kind)]) for kind in (known, found)]
        return pa.unify_schemas(fields, promote_options="permissive").field("it").type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.string()


def _frame(rows: Sequence[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    import polars as pl
    import pyarrow as pa

    columns = {name: _column([row.get(name) for row in rows], kind) for name, kind in schema.items()}
    frame = pl.from_arrow(pa.table(columns)) if columns else pl.DataFrame()
    assert isinstance(frame, pl.DataFrame)
    return frame


def _column(values: list[Any], kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else _text(value) for value in values]
    try:
        return pa.array(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else _text(value) for value in values], type=pa.string())


def _text(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
