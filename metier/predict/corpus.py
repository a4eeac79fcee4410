"""A whole corpus to a scored file: bounded memory, one shard after the other, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet

from metier import run
from metier.errors import DataError
from metier.types import Document, Prediction, Span

Predict = Callable[[Sequence[Document]], list[dict[str, Prediction]]]
SUFFIXES = (".parquet", ".csv", ".jsonl")
DONE = "done.json"


@dataclass(frozen=True, slots=True)
class Job:
    """What is scored, and where to. `identity` names source, run and columns: shards of another job do not count."""

    out: Path
    identity: Mapping[str, Any]
    heads: Mapping[str, str]
    """The kind of task of each head."""

    @property
    def folder(self) -> Path:
        """Where the shards are until the output is whole."""
        return self.out.with_name(self.out.name + ".parts")


def score(
    job: Job,
    frames: Iterable[pl.DataFrame],
    documents: Callable[[pl.DataFrame, int], list[Document]],
    predict: Predict,
    tick: Callable[[int], None] = lambda rows: None,
) -> int:
    """Scores every frame and writes `job.out`; returns its number of rows.

    Each frame becomes a shard that is renamed into place when it is whole, so a job that was killed goes on after its
    last shard. Frames must come in the same order and sizes again.

    Args:
        job: output and identity.
        frames: the corpus in bounded frames.
        documents: the documents of a frame whose first row has this number.
        predict: documents to predictions.
        tick: told of every row that is done.
    """
    if job.out.suffix not in SUFFIXES:
        raise DataError(f"{job.out} has a format that cannot be written.", expected=", ".join(SUFFIXES))
    if job.out.is_dir():
        raise DataError(f"{job.out} is a folder.", expected="the name of a file")
    job.folder.mkdir(parents=True, exist_ok=True)
    with run.claimed(job.folder):
        done = _resume(job)
        rows = 0
        for number, frame in enumerate(frames):
            shard = job.folder / f"{number:06d}.parquet"
            if number >= done:
                scored = attach(frame, predict(documents(frame, rows)), job.heads)
                run.write_bytes(shard, _parquet(scored))
            rows += len(frame)
            tick(len(frame))
        _join(job)
    return rows


def attach(
    frame: pl.DataFrame, predictions: Sequence[Mapping[str, Prediction]], heads: Mapping[str, str]
) -> pl.DataFrame:
    """A frame with `HEAD`, `HEAD_score` and `HEAD_abstain` of every head.

    An input column of one of these names is kept as `NAME_input` (`NAME_input_2` where there is one already).
    """
    names = [name + ending for name in heads for ending in ("", "_score", "_abstain")]
    frame = frame.rename({name: _free(name, (*names, *frame.columns)) for name in names if name in frame.columns})
    added: list[pl.Series] = []
    for head, kind in heads.items():
        column = [row[head] for row in predictions]
        added.append(pl.Series(head, [_plain(item.label) for item in column], strict=False, dtype=_dtype(kind)))
        added.append(pl.Series(f"{head}_score", [item.score for item in column], dtype=pl.Float64))
        added.append(pl.Series(f"{head}_abstain", [item.abstain for item in column], dtype=pl.Boolean))
    return frame.with_columns(added)


def _free(name: str, taken: Sequence[str]) -> str:
    """`NAME_input`, or the first number after it that no other column has."""
    names = chain([f"{name}_input"], (f"{name}_input_{number}" for number in count(2)))
    return next(free for free in names if free not in taken)


SPANS = pl.List(
    pl.Struct({"start": pl.Int64, "end": pl.Int64, "label": pl.String, "text": pl.String, "score": pl.Float64})
)


def _dtype(kind: str) -> pl.DataType | None:
    """The type of a label column, the same in every shard; `None` where the values themselves tell."""
    return {"tag": SPANS, "multilabel": pl.List(pl.String)}.get(kind)


def _plain(label: Any) -> Any:
    if not isinstance(label, tuple):
        return label
    return [
        {"start": item.start, "end": item.end, "label": item.label, "text": item.text, "score": item.score}
        if isinstance(item, Span)
        else item
        for item in label
    ]


def _resume(job: Job) -> int:
    """The number of shards that are there already; those of another job are thrown away."""
    marker = job.folder / DONE
    identity = hashlib.sha256(json.dumps(job.identity, sort_keys=True, default=str).encode()).hexdigest()
    if marker.is_file() and marker.read_text() == identity:
        return len(list(job.folder.glob("*.parquet")))
    if any(job.folder.iterdir()) and not marker.is_file():
        raise DataError(f"{job.folder} exists and holds no shards of a prediction.", hint="another --out")
    run.empty(job.folder)
    run.write_text(marker, identity)
    return 0


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(frame.to_arrow(), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _join(job: Job) -> None:
    """The shards as one file, batch by batch, renamed into place when it is whole."""
    shards = sorted(job.folder.glob("*.parquet"))
    if not shards:
        raise DataError("There is nothing to predict: the source has no rows.")
    schema = pa.unify_schemas([pa.parquet.read_schema(shard) for shard in shards], promote_options="permissive")
    beside = job.out.with_name(f".{job.out.name}.whole")
    batches = (batch for shard in shards for batch in pa.dataset.dataset(shard, schema=schema).to_batches())
    WRITERS[job.out.suffix](beside, schema, batches)
    beside.replace(job.out)
    shutil.rmtree(job.folder)


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with pa.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_lines(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in batches:
            for row in batch.to_pylist():
                file.write(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, default=_shown) + "\n")


def _finite(value: Any) -> Any:
    """The same values with null for NaN and the infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _shown(value: Any) -> str:
    """What JSON has no form for: bytes in hexadecimal, times and decimals as they are written."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _write_csv(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Lists have no place in a CSV cell, nor have bytes; they are written as JSON."""
    flat = pa.schema([pa.field(field.name, pa.string()) if _is_odd(field.type) else field for field in schema])
    with pa.csv.CSVWriter(path, flat) as writer:
        for batch in batches:
            columns = [
                pa.array([None if cell is None else _cell(cell) for cell in column.to_pylist()], pa.string())
                if _is_odd(column.type)
                else column
                for column in batch.columns
            ]
            writer.write_batch(pa.record_batch(columns, schema=flat))


def _is_odd(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _cell(value: Any) -> str:
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_shown)


WRITERS: dict[str, Callable[[Path, pa.Schema, Iterator[pa.RecordBatch]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_lines,
}
