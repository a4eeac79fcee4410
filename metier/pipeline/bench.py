"""How fast a run is on this machine: every runtime that it holds, by the length of texts and the size of batches."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from metier.errors import RecipeError
from metier.models.tokeniser import Tokeniser
from metier.pipeline import load
from metier.pipeline.watch import Watch
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.run import RECIPE, Run
from metier.types import Document

LENGTHS, BATCHES = (8, 16, 64, 256), (1, 8, 32, 256)
FEWEST = 5
"""Calls of a cell at least, however long they take."""
DIFFERENT = 64
"""Batches of a cell, no two of them the same: what was answered once shall not be remembered."""


@dataclass(frozen=True)
class Cell:
    """One runtime at one length (tokens) and batch (texts): texts a second, and milliseconds a call."""

    engine: str
    length: int
    batch: int
    rate: float
    p50: float
    p95: float
    p99: float
    calls: int


@dataclass(frozen=True)
class Held:
    """One runtime: seconds to load, megabytes of memory that it took, megabytes on disk, what it says of itself."""

    engine: str
    seconds: float
    memory: float
    disk: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class Benched:
    """What was measured of a run."""

    run: str
    version: str
    held: list[Held]
    cells: list[Cell]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def bench(
    path: str | Path,
    watch: Watch,
    *,
    lengths: Sequence[int] = LENGTHS,
    batches: Sequence[int] = BATCHES,
    seconds: float = 1.0,
    threads: int = 0,
) -> Benched:
    """Measures a run: whole calls of `predict`, from text to calibrated answer.

    Args:
        path: of the run.
        watch: hears of every cell.
        lengths: of the texts in tokens, special ones included.
        batches: texts a call.
        seconds: that a cell may take.
        threads: of the processor; 0: all.

    Raises:
        RecipeError: for lengths, batches or seconds that are not above 0.
    """
    if min((*lengths, *batches, seconds)) <= 0 or not lengths or not batches:
        raise RecipeError("Lengths, batches and seconds are numbers above 0.")
    known = Run.open(path)
    recipe = Recipe.read(known.path / RECIPE)
    names = load.engines(known)
    watch.stage("bench", len(names) * len(lengths) * len(batches))
    held, cells = [], []
    for name in names:
        before, start = _memory(), time.perf_counter()
        runtime = load.runtime(known, recipe, device="cpu" if name != "torch" else "auto", threads=threads, engine=name)
        loaded = time.perf_counter() - start
        pair = len(recipe.data.text) == 2
        for cell in _cells(name, runtime, pair, lengths, batches, seconds):
            cells.append(cell)
            watch.tick(1)
        held.append(Held(name, loaded, _memory() - before, _disk(known.path), runtime.describe()))
        del runtime
        gc.collect()
    return Benched(known.path.absolute().name, known.version, held, cells)


def _cells(
    name: str, runtime: Runtime, pair: bool, lengths: Sequence[int], batches: Sequence[int], seconds: float
) -> Iterator[Cell]:
    for length in lengths:
        for batch in batches:
            drawn = texts(runtime.tokeniser, length, batch)
            marked = any(task.special_tokens for task in runtime.tasks.values())
            calls = [[_document(words, pair=pair, marked=marked) for words in call] for call in drawn]
            runtime.predict(calls[0])
            taken = _timed(runtime, calls, seconds)
            p50, p95, p99 = (1000 * float(value) for value in np.percentile(taken, (50, 95, 99)))
            yield Cell(name, length, batch, batch * len(taken) / sum(taken), p50, p95, p99, len(taken))


def _timed(runtime: Runtime, calls: Sequence[Sequence[Document]], seconds: float) -> list[float]:
    """Seconds of each call, until so many are over."""
    taken: list[float] = []
    begun = time.perf_counter()
    while len(taken) < FEWEST or time.perf_counter() - begun < seconds:
        documents = calls[len(taken) % len(calls)]
        start = time.perf_counter()
        runtime.predict(documents)
        taken.append(time.perf_counter() - start)
    return taken


def texts(tokeniser: Tokeniser, length: int, batch: int) -> list[list[list[str]]]:
    """Batches of texts of about so many tokens, as words that the tokenizer has whole."""
    vocabulary = sorted(word for word in tokeniser.tokenizer.get_vocab() if word.isalpha() and len(word) > 2)
    random = np.random.default_rng(length * 1_000 + batch)
    count = max(1, length - tokeniser.layout.cost + 1)
    drawn = random.choice(len(vocabulary), (min(DIFFERENT, max(2, 2_048 // batch)), batch, count))
    return [[[vocabulary[at] for at in row] for row in call.tolist()] for call in drawn]


def _document(words: list[str], *, pair: bool, marked: bool) -> Document:
    """Words as the run reads texts: whole, in two, or with two of them marked as entities."""
    if marked:
        first, second, rest = words[0], words[-1], " ".join(words[1:-1])
        return Document(f"<e1>{first}</e1> {rest} <e2>{second}</e2>")
    half = max(1, len(words) // 2)
    return Document(" ".join(words[:half]), pair=" ".join(words[half:])) if pair else Document(" ".join(words))


def _memory() -> float:
    """Megabytes that this process holds."""
    return float(psutil.Process().memory_info().rss) / 1e6


def _disk(path: Path) -> float:
    """Megabytes of what answers."""
    return sum(file.stat().st_size for file in path.iterdir() if file.suffix in (".onnx", ".safetensors")) / 1e6
