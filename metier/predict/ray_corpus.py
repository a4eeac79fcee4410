"""A whole corpus over a cluster, by Ray Data: the same shards, the same output, the same resuming as `corpus.score`.

One task reads the corpus and streams its shards to actors, each of which loaded the run once; what they scored comes
back to this process, which writes it. Corpus and run must lie at the same path on every machine; the output need not.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from metier.errors import DataError, MetierError, MissingExtra, RecipeError
from metier.predict.corpus import Job, Steps, attach, join, numbered, parquet

try:
    import ray
    import ray.data
except ImportError:
    raise MissingExtra("ray", "ray") from None

Row = dict[str, Any]
Load = Callable[[int], Steps]
"""The run, for so many threads of a processor."""
QUIET = {"enable_progress_bars": False, "print_on_execution_start": False, "target_max_block_size": 1}
"""What is set while a job runs. A block is one shard: any shard is larger than the least that Ray may be told."""


def score(
    job: Job,
    frames: Callable[[], Iterable[pl.DataFrame]],
    load: Load,
    shape: tuple[int, int] = (0, 0),
    tick: Callable[[int], None] = lambda rows: None,
) -> int:
    """As `corpus.score`, by the actors of a cluster; returns the number of rows.

    The cluster is the one that `RAY_ADDRESS` names, or this machine.

    Args:
        job: output and identity.
        frames: gives the corpus in bounded frames; called where the reading task runs.
        load: gives the steps of the run; called once in each actor.
        shape: actors, and threads of each (0: as the processors of the cluster allow).
        tick: told of every row that is done.

    Raises:
        MetierError: what reading, loading or predicting raised, wherever it ran.
        RecipeError: for more actors than there are processors.
    """
    with job.claimed() as done, _cluster():
        workers, threads = _shape(*shape)
        # Reading takes no processor: it must run while the actors have them all.
        start = ray.data.from_items([{"start": 0}], override_num_blocks=1)
        source = start.map_batches(_Reading(frames, frozenset(done)), batch_size=1, num_cpus=0)
        scored = source.map_batches(
            Scorer,
            fn_constructor_args=(load, threads, dict(job.heads)),
            concurrency=workers,
            num_cpus=threads,
            batch_size=1,
        )
        rows = 0
        for row in scored.iter_rows():
            _raise(row)
            if row["content"]:
                job.keep(int(row["number"]), row["content"])
            rows += int(row["rows"])
            tick(int(row["rows"]))
        join(job)
    return rows


class _Reading:
    """The corpus as rows of Ray's, one a shard. Shards that are done are named, and not sent."""

    def __init__(self, frames: Callable[[], Iterable[pl.DataFrame]], done: frozenset[int]) -> None:
        self.frames, self.done = frames, done

    def __call__(self, _: Any) -> Iterator[dict[str, np.ndarray]]:
        try:
            for shard in numbered(self.frames()):
                content = b"" if shard.number in self.done else _packed(shard.frame)
                yield _row(number=shard.number, first=shard.first, rows=len(shard.frame), content=content)
        except MetierError as error:
            yield _row(error=error)


class Scorer:
    """An actor: the run, loaded once, and shards that go through it.

    Args:
        load: the run.
        threads: of the processor.
        heads: the kind of task of each head.
    """

    def __init__(self, load: Load, threads: int, heads: dict[str, str]) -> None:
        self._load, self._threads, self._heads = load, threads, heads
        self._steps: Steps | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        row = {name: column[0] for name, column in batch.items()}
        if not row["content"]:
            return _row(**row)
        try:
            self._steps = self._steps or self._load(self._threads)
            frame = pl.read_ipc_stream(io.BytesIO(row["content"]))
            scored = attach(frame, self._steps(frame, int(row["first"])), self._heads)
        except MetierError as error:
            return _row(error=error)
        return _row(number=row["number"], rows=row["rows"], content=parquet(scored))


def _row(
    number: int = 0, first: int = 0, rows: int = 0, content: bytes = b"", error: MetierError | str = ""
) -> dict[str, np.ndarray]:
    """One row as Ray takes it. A mistake travels as text: one line, not what three machines say of it."""
    said = str(error)
    values = {"number": number, "first": first, "rows": rows, "content": content, "error": said}
    return {
        name: np.array([value], dtype=object if isinstance(value, bytes) else None) for name, value in values.items()
    }


def _raise(row: Row) -> None:
    if row["error"]:
        raise DataError(row["error"])


def _packed(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_ipc_stream(stream)
    return stream.getvalue()


def _shape(workers: int, threads: int) -> tuple[int, int]:
    """Actors, and processors of each."""
    there = max(1, int(ray.cluster_resources().get("CPU", 1)))
    threads = threads or max(1, there // workers if workers else 1)
    workers = workers or max(1, there // threads)
    if workers * threads > there:
        raise RecipeError(
            f"{workers} workers with {threads} threads each need {workers * threads} processors; Ray has {there}.",
            hint=f"--workers {max(1, there // threads)}, or --threads {max(1, there // workers)}",
        )
    return workers, threads


@contextmanager
def _cluster() -> Iterator[None]:
    """Ray, started where it does not run yet, and as quiet as the rest of the house."""
    own = not ray.is_initialized()
    if own:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **({} if "RAY_ADDRESS" in os.environ else _here()))
    context = ray.data.DataContext.get_current()
    before = {name: getattr(context, name) for name in QUIET}
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        for name, value in QUIET.items():
            setattr(context, name, value)
        logger.setLevel(logging.ERROR)
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)
        if own:
            ray.shutdown()


def _here() -> dict[str, Any]:
    """A Ray of this machine: its workers find Metier where this process found it."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"include_dashboard": False, "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}}
