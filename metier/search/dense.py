"""Nearest unit vectors: all of them compared while they are few, a graph of neighbours (HNSW) beyond.

The raw vectors are the truth and stay on disk; the graph (Malkov & Yashunin 2020, by usearch, in 16 bits) is made of
them and can be made again. What it finds is compared anew with the raw vectors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import MissingExtra, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXACT = 50_000
"""Vectors up to which all are compared."""
BLOCK = 8_192
"""Vectors that are compared at a time."""
CONNECTIVITY, BREADTH_BUILT, BREADTH_ASKED = 16, 96, 128
"""Neighbours of a vector in the graph, and how many candidates are kept while it grows and when it is asked."""
VECTORS, GRAPH = "vectors.npy", "graph.usearch"


def mapped(file: Path) -> np.ndarray:
    """An array on disk, memory-mapped, as a plain array: a `memmap` takes microseconds for every element."""
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


class Dense:
    """Unit vectors of some texts, read-only, memory-mapped.

    Args:
        folder: that `write` wrote its files into.
    """

    def __init__(self, folder: Path) -> None:
        self.vectors = mapped(folder / VECTORS)
        self.n, self.width = self.vectors.shape
        self.graph = _viewed(folder / GRAPH, self.width) if (folder / GRAPH).is_file() else None

    def nearest(self, vector: np.ndarray, limit: int, alive: np.ndarray) -> np.ndarray:
        """The rows of up to `limit` vectors nearest to one `(width,)`, nearest first, of those that are `alive` `(n,)`.

        Of a graph they are nearly all of the nearest. Where few are alive, all that are alive are compared.
        """
        living = int(np.count_nonzero(alive))
        if not living or not limit:
            return np.zeros(0, dtype=np.int64)
        if self.graph is None:
            return _best(np.where(alive, self.cosines(vector), -2.0), min(limit, living))
        if living < self.n // 4:
            rows = np.flatnonzero(alive)
        else:
            wanted = min(self.n, 2 * limit * self.n // living)
            rows = self.graph.search(np.asarray(vector, dtype=np.float32), wanted).keys.astype(np.int64)
            rows = rows[alive[rows]]
        found: np.ndarray = rows[_best(self.at(rows, vector), min(limit, len(rows)))]
        return found

    def at(self, rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """The cosines `(n,)` of some rows with a vector."""
        found: np.ndarray = np.asarray(self.vectors[rows], dtype=np.float32) @ np.asarray(vector, dtype=np.float32)
        return found

    def cosines(self, vector: np.ndarray) -> np.ndarray:
        """The cosines `(n,)` of all rows with a vector."""
        found = np.empty(self.n, dtype=np.float32)
        asked = np.asarray(vector, dtype=np.float32)
        for start in range(0, self.n, BLOCK):
            found[start : start + BLOCK] = np.asarray(self.vectors[start : start + BLOCK], dtype=np.float32) @ asked
        return found


def _best(values: np.ndarray, limit: int) -> np.ndarray:
    """Places of the `limit` greatest, greatest first; of equals the first."""
    chosen = np.argpartition(-values, limit)[:limit] if limit < len(values) else np.arange(len(values))
    found: np.ndarray = chosen[np.lexsort((chosen, -values[chosen]))]
    return found


def write(
    folder: Path, n: int, width: int, blocks: Iterator[np.ndarray], tick: Callable[[int], None] = lambda rows: None
) -> None:
    """Writes `n` unit vectors, which come in blocks `(some, width)`, and where they are many the graph.

    Up to `EXACT` in 32 bits, which are compared faster; beyond in 16.

    Raises:
        StoreError: where a block has another width.
        MissingExtra: where a graph is needed and usearch is not installed.
    """
    many = n > EXACT
    graph = _graph(width) if many else None
    kind = np.float16 if many else np.float32
    if not n:
        np.save(folder / VECTORS, np.zeros((0, width), dtype=kind), allow_pickle=False)
        return
    kept = np.lib.format.open_memmap(folder / VECTORS, mode="w+", dtype=kind, shape=(n, width))
    start = 0
    for block in blocks:
        if block.shape[1:] != (width,):
            raise StoreError(f"A block of vectors is {block.shape}.", expected=f"(texts, {width})")
        rows = slice(start, start + len(block))
        kept[rows] = block
        if graph is not None:
            graph.add(np.arange(rows.start, rows.stop, dtype=np.uint64), np.asarray(block, dtype=np.float32), threads=1)
        start += len(block)
        tick(len(block))
    kept.flush()
    if graph is not None:
        graph.save(str(folder / GRAPH))


def _graph(width: int) -> Any:
    try:
        from usearch.compiled import MetricKind, ScalarKind
        from usearch.index import Index
    except ImportError:
        raise MissingExtra("usearch", "apps") from None
    return Index(
        ndim=width, metric=MetricKind.IP, dtype=ScalarKind.F16, connectivity=CONNECTIVITY,
        expansion_add=BREADTH_BUILT, expansion_search=BREADTH_ASKED,
    )  # fmt: skip


def _viewed(file: Path, width: int) -> Any:
    """A graph on disk, memory-mapped. Raises `StoreError` where it is none."""
    graph = _graph(width)
    try:
        graph.view(str(file))
    except (RuntimeError, ValueError, OSError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{file} cannot be read: {said}", hint="build the index again from the store") from None
    return graph
