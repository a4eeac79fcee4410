"""Which engine of a run is the fastest on this machine: measured once, then remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from metier.errors import RunError
from metier.models.table import Arrays
from metier.models.token_cache import folder as cache
from metier.predict.engines import ENGINES, Engine
from metier.run import write_text

logger = logging.getLogger(__name__)

SECONDS = 2.0
"""What measuring may take, beside loading what is measured."""
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
class Choice:
    """What to answer few texts with, and many; `tokens` of a batch of many, and texts a second as measured."""

    few: Entry
    many: Entry
    tokens: int
    rates: Mapping[str, float]


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


def choose(entries: Sequence[Entry], folder: Path, shape: Shape, identity: str, threads: int) -> Choice:
    """The remembered choice for this machine, or a measured one.

    Args:
        entries: what the run holds; engines whose library is missing are left out by the caller.
        folder: of the run.
        shape: of its batches.
        identity: of the run; another version is measured anew.
        threads: of the processor.
    """
    file = cache() / "engines" / f"{_key(entries, identity, threads)}.json"
    if (kept := _read(file)) is not None and kept.few in entries and kept.many in entries:
        return kept
    found = measured(entries, folder, shape, threads)
    with suppress(OSError):  # no room, or no right to write: then the next load measures again
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asdict(found)))
    return found


def measured(entries: Sequence[Entry], folder: Path, shape: Shape, threads: int) -> Choice:
    """Texts a second of every entry, one by one and in batches. Raises `RunError` where none of them works here."""
    each = SECONDS / (len(entries) * (1 + len(TOKENS)))
    alone: dict[Entry, float] = {}
    together: dict[tuple[Entry, int], float] = {}
    failed: RunError | None = None
    for entry in entries:
        try:
            alone[entry], of_batches = _rates(entry, folder, shape, threads, each)
        except RunError as error:  # its library is there, but does not work: another engine may
            logger.warning("%s Left out.", error)
            failed = error
            continue
        together |= {(entry, tokens): value for tokens, value in of_batches.items()}
    if failed and not alone:
        raise failed
    best = max(together, key=lambda key: together[key])
    rates = {f"{entry.engine} {entry.file} one by one": value for entry, value in alone.items()}
    rates |= {f"{entry.engine} {entry.file} {tokens} tokens": value for (entry, tokens), value in together.items()}
    return Choice(max(alone, key=lambda entry: alone[entry]), best[0], best[1], rates)


def _rates(entry: Entry, folder: Path, shape: Shape, threads: int, seconds: float) -> tuple[float, dict[int, float]]:
    """Texts a second of an entry, one by one and by tokens of a batch. Raises `RunError` where it does not work."""
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


def _key(entries: Sequence[Entry], identity: str, threads: int) -> str:
    facts: dict[str, Any] = {
        "run": identity,
        "entries": [asdict(entry) for entry in entries],
        "tokens": TOKENS,
        "libraries": {entry.engine: ENGINES[entry.engine].version() for entry in entries},
        "machine": [platform.machine(), platform.processor(), os.cpu_count(), _flags(), threads],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _flags() -> str:
    """What the processor can do, where the system says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line for line in lines if line.startswith("flags")), "")


def _read(file: Path) -> Choice | None:
    """What was remembered; `None` where nothing was, or nothing that can be read."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Choice(Entry(**kept["few"]), Entry(**kept["many"]), int(kept["tokens"]), kept["rates"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
