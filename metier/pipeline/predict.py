"""A run over a whole corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from metier.data import read
from metier.data.columns import TEXT, Columns, require
from metier.data.source import Source, is_path, parts
from metier.errors import DataError
from metier.models.table import Table
from metier.pipeline import load
from metier.pipeline.sources import mentioning
from metier.pipeline.watch import Watch
from metier.predict.corpus import Job, Steps, score
from metier.predict.runtime import Logits, Runtime
from metier.recipe import Recipe
from metier.run import RECIPE, Run
from metier.types import Prediction

SHARD = 5_000
"""Rows that are read, scored and written together."""
SHARD_BYTES = 4 << 20
"""Of the texts of a shard; one long text goes alone."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is scored and where to.

    Args:
        source: the corpus.
        out: the scored file.
        text: its text columns; the run's own by default.
        mention: its columns of what `mention` heads are asked about; those of the run by default, where there are any.
    """

    source: Source
    out: Path
    text: tuple[str, ...] = ()
    mention: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Ray instead of this process.

    Args:
        run: the folder, at the same path on every machine.
        workers: how many load the run (0: as many as there are processors).
        threads: of the processor that each of them has.
        device: where each of them computes.
    """

    run: Path
    workers: int = 0
    threads: int = 0
    device: str = "auto"


def predict(
    runtime: Runtime, recipe: Recipe, version: str, scoring: Scoring, watch: Watch, cluster: Cluster | None = None
) -> int:
    """Scores a corpus and returns the number of rows.

    Args:
        runtime: the loaded run.
        recipe: the run's.
        version: the run's.
        scoring: what, and where to.
        watch: hears of the rows that are done.
        cluster: where Ray does the work; `runtime` only says what the run is like.

    Raises:
        DataError: where the source lacks the text columns or has no rows, or changes while it is read.
        MissingExtra: where Ray is asked for and missing.
    """
    source, out = scoring.source, scoring.out
    if is_path(source) and out.exists() and out.samefile(source):
        raise DataError(f"{out} is the corpus itself.", hint="another --out: the corpus would be written over")
    seen, fingerprint = _state(source), read.fingerprint(source)
    columns = read.resolve(source, scoring.text or _texts(runtime, recipe, source), {}).text
    if not scoring.text and tuple(columns) != tuple(recipe.data.text or columns):
        watch.say(f"No column {' or '.join(recipe.data.text)}: the texts are read from {', '.join(columns)} (--text).")
    naming = _naming(runtime, recipe, scoring, source)
    kinds = {name: task.kind for name, task in runtime.tasks.items()}
    identity = {"source": fingerprint, "run": version, "text": columns, "rows": SHARD, "bytes": SHARD_BYTES}
    identity |= {"mention": naming} if naming else {}
    job = Job(out, identity, kinds)
    watch.stage("predict", 0)
    if cluster is not None:
        from metier.predict import ray_corpus

        frames = partial(_frames, source, columns, (seen, fingerprint))
        steps = partial(_loaded, cluster, (tuple(columns), naming))
        return ray_corpus.score(job, frames, steps, (cluster.workers, cluster.threads), watch.tick)
    frames_here = _frames(source, columns, (seen, fingerprint))
    return score(job, frames_here, steps_of(runtime, recipe, columns, naming), watch.tick)


def steps_of(runtime: Runtime, recipe: Recipe, columns: Sequence[str], naming: Sequence[str] = ()) -> Steps:
    """A run as the steps of a pipeline: clean and tokenise; compute; decode. `naming`: the columns of mentions."""
    keep = any(task.per_token for task in runtime.tasks.values())

    def prepare(frame: pl.DataFrame, row: int) -> Table:
        documents = read.documents(
            frame, columns, first=row, clean=recipe.data.clean, keep_length=keep, mentions=naming
        )
        return Table.of(documents, runtime.tokeniser, runtime.tasks)

    def compute(table: Table) -> tuple[Table, Logits]:
        return table, runtime.logits(table)

    def finish(computed: tuple[Table, Logits]) -> list[dict[str, Prediction]]:
        return runtime.decode(*computed)

    return Steps(prepare, compute, finish)


def _naming(runtime: Runtime, recipe: Recipe, scoring: Scoring, source: Source) -> list[str]:
    """The columns of what `mention` heads are asked about: those named, else those of the run that are there.

    Raises `DataError` where columns are named that there are not, or the run has no such head.
    """
    usual = mentioning(runtime.tasks, recipe)
    if scoring.mention and not usual:
        raise DataError("No head of this run is asked about mentions.", hint="leave --mention out")
    require(source, Columns((), mentions={name: name for name in scoring.mention}))
    known = read.columns(source)
    return list(scoring.mention) or [name for name in usual if name in known]


def _loaded(cluster: Cluster, columns: tuple[Sequence[str], Sequence[str]], threads: int) -> Steps:
    """What each worker does once, wherever it is: the run must lie there at the same path."""
    run = Run.open(cluster.run)
    recipe = Recipe.read(run.path / RECIPE)
    return steps_of(load.runtime(run, recipe, device=cluster.device, threads=threads), recipe, *columns)


def _frames(source: Source, columns: Sequence[str], before: tuple[object, str]) -> Iterator[pl.DataFrame]:
    """The corpus as frames, the same ones whenever it is read.

    Raises `DataError` where there are none, and where the source is another one than `before` at the end.
    """
    rows = 0
    for frame in read.frames(source, rows=SHARD):
        rows += len(frame)
        yield from bounded(frame, columns)
    seen, fingerprint = before
    if seen != _state(source) and fingerprint != read.fingerprint(source):
        raise DataError(
            f"{source} changed while it was read.", hint="the same command again, once nobody writes to it any more"
        )


def bounded(frame: pl.DataFrame, columns: Sequence[str]) -> Iterable[pl.DataFrame]:
    """A frame in pieces whose texts have at most about `SHARD_BYTES`."""
    texts = [name for name in columns if frame.schema[name] == pl.String]
    size = sum(frame.select(pl.col(name).str.len_bytes().sum()).item() for name in texts)
    pieces = max(1, min(len(frame), -(-size // SHARD_BYTES)))
    return frame.iter_slices(-(-len(frame) // pieces))


def _state(source: Source) -> object:
    """What is different once somebody wrote to a source, without reading it."""
    if not is_path(source):
        return None
    paths = [part.path for part in parts(source)]
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return [(str(file), state.st_size, state.st_mtime_ns) for file in files for state in (file.stat(),)]


def _texts(runtime: Runtime, recipe: Recipe, source: Source) -> tuple[str, ...]:
    """The text columns of the run, or the reader's own choice where the source has none of these names.

    A run that was fitted on pairs needs both columns, unless its heads give a single text its vector.
    """
    known, single = read.columns(source), any(task.separate for task in runtime.tasks.values())
    lost = not any(name in known for name in recipe.data.text)
    return TEXT if lost and (single or len(recipe.data.text) == 1) else recipe.data.text
