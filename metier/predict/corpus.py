"""A whole corpus to a scored file: bounded memory, one shard after the other, resumed where it stopped.

Four things happen at the same time, each to another shard: one is read, one tokenised, one computed, one written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from metier.predict.stages import Ahead, Behind
from metier.types import Prediction, Span

Predictions = Sequence[Mapping[str, Prediction]]
SUFFIXES = (".parquet", ".csv", ".jsonl")
DONE = "done.json"
GROUP_ROWS, GROUP_BYTES = 100_000, 64 << 20
"""Of a row group of the output, whichever comes first. What a Parquet file says of its groups stays in memory."""


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

    @contextmanager
    def claimed(self) -> Iterator[set[int]]:
        """Inside, no other process works at this job. Yields the numbers of the shards that are there already.

        Raises `DataError` where the output cannot be written there.
        """
        if self.out.suffix not in SUFFIXES:
            raise DataError(f"{self.out} has a format that cannot be written.", expected=", ".join(SUFFIXES))
        if self.out.is_dir():
            raise DataError(f"{self.out} is a folder.", expected="the name of a file")
        self.folder.mkdir(parents=True, exist_ok=True)
        with run.claimed(self.folder):
            yield self._resume()

    def _resume(self) -> set[int]:
        """The numbers of the shards that are there already; those of another job are thrown away."""
        marker = self.folder / DONE
        identity = hashlib.sha256(json.dumps(self.identity, sort_keys=True, default=str).encode()).hexdigest()
        if marker.is_file() and marker.read_text() == identity:
            return {int(shard.stem) for shard in self.shards()}
        if any(self.folder.iterdir()) and not marker.is_file():
            raise DataError(f"{self.folder} exists and holds no shards of a prediction.", hint="another --out")
        run.empty(self.folder)
        run.write_text(marker, identity)
        return set()

    def shards(self) -> list[Path]:
        """The shards that are there, in order."""
        found = [shard for shard in self.folder.glob("*.parquet") if shard.stem.isdigit()]
        return sorted(found, key=lambda shard: int(shard.stem))

    def keep(self, number: int, scored: bytes) -> None:
        """Writes one shard, whole or not at all."""
        run.write_bytes(self.folder / f"{number:06d}.parquet", scored)


@dataclass(frozen=True, slots=True)
class Shard:
    """Some rows of the corpus, the first of which has the number `first`."""

    number: int
    first: int
    frame: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Steps:
    """What becomes of a shard. Each step is called in one thread, for one shard after the other, in order.

    Args:
        prepare: the rows of a frame, and the number of the first, as the model reads them.
        compute: the model.
        finish: what the model said, as predictions; called beside it.
    """

    prepare: Callable[[pl.DataFrame, int], Any]
    compute: Callable[[Any], Any]
    finish: Callable[[Any], Predictions] = lambda predictions: predictions

    def __call__(self, frame: pl.DataFrame, first: int) -> Predictions:
        """One step after the other."""
        return self.finish(self.compute(self.prepare(frame, first)))


def score(
    job: Job, frames: Iterable[pl.DataFrame], steps: Steps, tick: Callable[[int], None] = lambda rows: None
) -> int:
    """Scores every frame and writes `job.out`; returns its number of rows.

    Each frame becomes a shard that is renamed into place when it is whole, so a job that was killed goes on after its
    last shard. Frames must come in the same order and sizes again. What any of the steps raises ends the others; what
    was computed by then is written.

    Args:
        job: output and identity.
        frames: the corpus in bounded frames.
        steps: frames to predictions.
        tick: told of every row that is done.
    """
    with job.claimed() as done:
        rows = 0

        def prepared(shard: Shard) -> tuple[Shard, Any]:
            return shard, None if shard.number in done else steps.prepare(shard.frame, shard.first)

        def write(computed: tuple[Shard, Any]) -> None:
            shard, found = computed
            job.keep(shard.number, parquet(attach(shard.frame, steps.finish(found), job.heads)))

        with Behind(write) as writer, Ahead(numbered(frames)) as read, Ahead(map(prepared, read)) as ready:
            for shard, item in ready:
                if shard.number not in done:
                    writer.put((shard, steps.compute(item)))
                rows += len(shard.frame)
                tick(len(shard.frame))
                del shard, item
        join(job)
    return rows


def numbered(frames: Iterable[pl.DataFrame]) -> Iterator[Shard]:
    """Frames as shards."""
    first = 0
    for number, frame in enumerate(frames):
        yield Shard(number, first, frame)
        first += len(frame)


def attach(frame: pl.DataFrame, predictions: Predictions, heads: Mapping[str, str]) -> pl.DataFrame:
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
    return {"tag": SPANS, "mention": SPANS, "multilabel": pl.List(pl.String)}.get(kind)


def _plain(label: Any) -> Any:
    if not isinstance(label, tuple):
        return label
    return [
        {"start": item.start, "end": item.end, "label": item.label, "text": item.text, "score": item.score}
        if isinstance(item, Span)
        else item
        for item in label
    ]


def parquet(frame: pl.DataFrame) -> bytes:
    """A frame as a Parquet file."""
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(frame.to_arrow(), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def join(job: Job) -> None:
    """The shards as one file, batch by batch, renamed into place when it is whole."""
    shards = job.shards()
    if not shards:
        raise DataError("There is nothing to predict: the source has no rows.")
    if int(shards[-1].stem) != len(shards) - 1:
        raise DataError(f"Shards are missing in {job.folder}.", hint="remove that folder and predict again")
    schema = _schema(shards)
    beside = job.out.with_name(f".{job.out.name}.whole")
    batches = (batch for shard in shards for batch in pa.dataset.dataset(shard, schema=schema).to_batches())
    WRITERS[job.out.suffix](beside, schema, batches)
    beside.replace(job.out)
    for shard in shards:  # before the marker: cut off here, the next try still knows whose shards these are
        shard.unlink()
    shutil.rmtree(job.folder)


def _schema(shards: Sequence[Path]) -> pa.Schema:
    """The columns of all shards, each in the type that suits every shard."""
    found = pa.parquet.read_schema(shards[0])
    for shard in shards[1:]:
        if not (further := pa.parquet.read_schema(shard)).equals(found):
            found = pa.unify_schemas([found, further], promote_options="permissive")
    return found


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with pa.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _grouped(batches):
            writer.write_table(pa.Table.from_batches(group, schema), row_group_size=GROUP_ROWS)


def _grouped(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches that make one row group."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


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
