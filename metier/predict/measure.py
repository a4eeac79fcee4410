"""Texts a second of one engine of a run on this machine, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from metier.errors import RunError
from metier.models.table import Arrays
from metier.predict.engines import ENGINES, Engine

TOKENS = (256, 512, 1024, 2048)
"""Sizes of a batch that are tried for many texts. A processor whose caches hold what a layer makes of a small batch is
slower with a large one."""


@dataclass(frozen=True)
class Entry:
    """A graph that a run holds, and an engine that computes it."""

    engine: str
    file: str
    precision: str = "fp32"


@dataclass(frozen=True)
class Shape:
    """What batches of a run look like: the ids that there are, the usual length of a text, inputs of heads."""

    vocabulary: int
    length: int
    inputs: Mapping[str, Mapping[str, int]]
    """Of heads that read more than hidden states, how many numbers a row has of each."""

    def batch(self, rows: int) -> Arrays:
        """A batch of this length with ids drawn at random."""
        random = np.random.default_rng(rows)
        ids = random.integers(0, self.vocabulary, (rows, self.length))
        inputs = {
            name: {key: np.ones((rows, count), dtype=np.int64) for key, count in own.items()}
            for name, own in self.inputs.items()
        }
        return Arrays(np.arange(rows), ids, np.ones(ids.shape, dtype=bool), np.zeros_like(ids), inputs)


def rates(entry: Entry, folder: Path, shape: Shape, threads: int, seconds: float) -> tuple[float, dict[int, float]]:
    """Texts a second of an entry, one by one, and by tokens of a batch. Raises `RunError` where it does not work.

    Args:
        entry: a graph and its engine.
        folder: of the run.
        shape: of its batches.
        threads: of the processor.
        seconds: that each of the measurements may take.
    """
    one, all_of_them = few(entry, folder, threads), many(entry, folder, threads)
    try:
        alone = rate(partial(_one, one, shape), seconds)
        with ThreadPoolExecutor(threads) as pool:
            batches = {tokens: shape.batch(max(1, tokens // shape.length)) for tokens in TOKENS}
            return alone, {
                tokens: rate(partial(_all, all_of_them, batch, pool), seconds) for tokens, batch in batches.items()
            }
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(
            f"{folder / entry.file} cannot be computed by {entry.engine}: {said.rstrip('.')}.",
            hint="make the run again with metier optimise",
        ) from None


def apart(entry: Entry, folder: Path, shape: Shape, threads: int, seconds: float) -> tuple[float, dict[int, float]]:
    """As `rates`, in a process of its own."""
    asked = [asdict(entry), str(folder.absolute()), asdict(shape), threads, seconds]
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=json.dumps(asked), env=os.environ | {"PYTHONPATH": _path()},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:  # no interpreter to be had, as in a frozen program
        return rates(entry, folder, shape, threads, seconds)
    if done.returncode < 0:
        raise RunError(
            f"{folder / entry.file} cannot be computed by {entry.engine}: it ended its process with "
            f"{signal.Signals(-done.returncode).name}."
        )
    if done.returncode:
        return rates(entry, folder, shape, threads, seconds)
    said = json.loads(done.stdout.splitlines()[-1])
    if isinstance(said, str):
        raise RunError(said)
    alone, together = said
    return alone, dict(together)


def _path() -> str:
    """Where the other process finds what this one found."""
    return os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])


def few(entry: Entry, folder: Path, threads: int, *, spin: bool = True) -> Engine:
    """The engine of an entry with all threads on one batch."""
    return ENGINES[entry.engine](folder / entry.file, threads, 1, spin=spin)


def many(entry: Entry, folder: Path, threads: int) -> Engine:
    """The engine of an entry with a batch on every thread."""
    return ENGINES[entry.engine](folder / entry.file, 1, threads)


def rate(work: Callable[[], int], seconds: float) -> float:
    """Texts a second of some work that says how many texts it was, after one turn to warm up; the best of its turns."""
    work()
    best, start = 0.0, time.perf_counter()
    while True:
        began = time.perf_counter()
        texts = work()
        ended = time.perf_counter()
        best = max(best, texts / (ended - began))
        if ended - start > seconds:
            return best


def _one(engine: Engine, shape: Shape) -> int:
    engine(shape.batch(1))
    return 1


def _all(engine: Engine, batch: Arrays, pool: ThreadPoolExecutor) -> int:
    """A batch on each stream."""
    for _ in pool.map(engine, [batch] * engine.streams):
        continue
    return len(batch.rows) * engine.streams


def _main() -> None:
    """What `apart` starts: reads its question from standard input and writes the answer."""
    entry, folder, shape, threads, seconds = json.load(sys.stdin)
    try:
        alone, together = rates(Entry(**entry), Path(folder), Shape(**shape), threads, seconds)
        said: object = [alone, list(together.items())]
    except RunError as error:
        said = str(error)
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    _main()
