"""A run's logits from one table of vectors, in NumPy: a text is the weighted mean of its tokens, however long it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from metier.errors import RunError
from metier.models.bags import BREAK, Bags
from metier.models.table import VECTOR, Table
from metier.models.tokeniser import Tokeniser
from metier.predict.runtime import Logits, Runtime, Tick
from metier.tasks.task import Task
from metier.types import Document, Prediction

BLOCK = 4_096
"""Documents that are tokenised together while the block before them is computed and decoded."""
NEAR = 8
"""Texts whose vectors are gathered together: more of them are a product with more noughts."""
EPS = np.float32(1e-6)
ENDLESS = 1 << 30
"""Tokens that a row may have: there are no windows."""


class StaticRuntime(Runtime):
    """A static student ready to answer, on a processor and without torch.

    Args:
        tasks: the heads by name; none of them answers per token.
        tokeniser: of the run; it cuts nothing.
        floors: of each head, the calibrated score under which it abstains.
        bags: how token ids become rows of the table.
        arrays: as `optimise.static.arrays` gave them.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        tokeniser: Tokeniser,
        floors: Mapping[str, float],
        bags: Bags,
        arrays: Mapping[str, np.ndarray],
    ) -> None:
        super().__init__(tasks, endless(tokeniser), floors)
        self.bags = bags
        self.arrays = {name: array if name == "vectors" else array.astype(np.float32) for name, array in arrays.items()}
        self._weights = self.arrays["weights"]
        self._vectors = self.arrays["vectors"].astype(np.float32) * self._weights[:, None]
        heads = [(self.arrays[f"heads.{at}"], self.arrays[f"heads.{at}.bias"]) for at in range(len(self.tasks))]
        self._out = np.concatenate([weight for weight, _ in heads]).T.copy()
        self._bias = np.concatenate([bias for _, bias in heads])
        self._cuts = np.cumsum([len(bias) for _, bias in heads])[:-1]

    def predict(self, documents: Sequence[Document], heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """As `Runtime.predict`; one block is tokenised while the one before it is computed and decoded."""
        found: list[dict[str, Prediction]] = []
        for ids, bounds in self._tokenised(documents):
            found += self._decoded(dict(zip(self.tasks, self._heads(self.pooled(ids, bounds)), strict=True)), heads)
        return found

    def logits(self, table: Table, *, tick: Tick = lambda rows: None, vectors: bool = False) -> Logits:
        """As `Runtime.logits`. Documents of which the table has windows, or a part, are tokenised anew, as a whole."""
        if len(table.rows) == len(table.documents) and not table.rows.truncated:
            parts: Iterator[tuple[np.ndarray, np.ndarray]] = _cut(table)
        else:
            parts = self._tokenised(table.documents)
        found: Logits = {name: [] for name in (*self.tasks, *((VECTOR,) if vectors else ()))}
        for ids, bounds in parts:
            pooled = self.pooled(ids, bounds)
            for name, own in zip((*self.tasks, VECTOR), (*self._heads(pooled), pooled), strict=True):
                if name in found:
                    found[name] += list(own)
            tick(len(bounds) - 1)
        return found

    def pooled(self, ids: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """What the heads read of texts, `(texts, width)`; see `Bags` for what says which ids are whose."""
        rows, ends = self.bags(ids, bounds)
        counted = self._weights[rows]
        mean = self._summed(rows, ends)
        sums = np.concatenate([[0.0], np.cumsum(counted, dtype=np.float64)])
        total = (sums[ends[1:]] - sums[ends[:-1]]).astype(np.float32)
        mean /= np.maximum(total, EPS)[:, None]
        mean /= np.sqrt(np.einsum("ij,ij->i", mean, mean) / np.float32(mean.shape[1]) + EPS)[:, None]
        if "widen" in self.arrays:
            inner = mean @ self.arrays["widen"].T + self.arrays["widen_bias"]
            mean += np.maximum(inner, 0.0, out=inner) @ self.arrays["narrow"].T
        return mean

    def _summed(self, rows: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The sum of each text's weighted vectors, `(texts, width)`, a few texts at a time: what is read stays near.

        A product with a matrix of ones and zeros, many times as fast as `np.add.reduceat`.
        """
        texts = len(ends) - 1
        sums = np.zeros((texts, self._vectors.shape[1]), dtype=np.float32)
        starts = range(0, texts, NEAR)
        most = max((int(ends[min(start + NEAR, texts)] - ends[start]) for start in starts), default=0)
        near = np.empty((most, self._vectors.shape[1]), dtype=np.float32)
        for start in starts:
            own = ends[start : start + NEAR + 1]
            count = int(own[-1] - own[0])
            vectors = np.take(self._vectors, rows[own[0] : own[-1]], axis=0, out=near[:count], mode="clip")
            whose = np.zeros((len(own) - 1, count), dtype=np.float32)
            whose[np.repeat(np.arange(len(whose)), np.diff(own)), np.arange(count)] = 1.0
            np.matmul(whose, vectors, out=sums[start : start + len(whose)])
        return sums

    def describe(self) -> dict[str, object]:
        """As `Runtime.describe`."""
        return {"engine": "static", "precision": "fp32", "threads": os.cpu_count() or 1, "device": "cpu"}

    def _heads(self, pooled: np.ndarray) -> list[np.ndarray]:
        """The logits of every head, `(texts, labels)` each: one product for all."""
        return np.split(pooled @ self._out + self._bias, self._cuts, axis=1)

    def _decoded(self, logits: Mapping[str, np.ndarray], heads: Sequence[str] | None) -> list[dict[str, Prediction]]:
        wanted = [name for name in self.tasks if heads is None or name in heads]
        rows: dict[str, Any] = {**logits}  # an array is a sequence of its rows
        said = [self._floored(name, self.tasks[name].decode(rows[name], ())) for name in wanted]
        if len(wanted) == 1:
            return [{wanted[0]: item} for item in said[0]]
        return [dict(zip(wanted, row, strict=True)) for row in zip(*said, strict=True)]

    def _tokenised(self, documents: Sequence[Document]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and bounds of blocks of documents, each made in a thread of its own while the last is used."""
        blocks = [documents[start : start + BLOCK] for start in range(0, len(documents), BLOCK)]
        if len(blocks) < 2:
            yield from map(self._ids, blocks)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="metier-tokens") as pool:
            coming = pool.submit(self._ids, blocks[0])
            for following in blocks[1:]:
                ready, coming = coming, pool.submit(self._ids, following)
                yield ready.result()
            yield coming.result()

    def _ids(self, documents: Sequence[Document]) -> tuple[np.ndarray, np.ndarray]:
        texts = self._encoded([document.text for document in documents])
        if any(document.pair is not None for document in documents):
            others = iter(self._encoded([document.pair for document in documents if document.pair is not None]))
            texts = [
                own if document.pair is None else [*own, BREAK, *next(others)]
                for own, document in zip(texts, documents, strict=True)
            ]
        bounds = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)), out=bounds[1:])
        return np.fromiter(chain.from_iterable(texts), dtype=np.int64, count=int(bounds[-1])), bounds

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text without special tokens and offsets."""
        encode = self.tokeniser.tokenizer.encode_batch_fast
        try:
            raws = encode(texts, add_special_tokens=False)
        except TypeError:  # half of a surrogate pair cannot be said in UTF-8; one question mark stands for it
            raws = encode([text.encode("utf-8", "replace").decode() for text in texts], add_special_tokens=False)
        return [raw.ids for raw in raws]


def endless(tokeniser: Tokeniser) -> Tokeniser:
    """One that cuts nothing."""
    return Tokeniser(tokeniser.tokenizer, max_length=ENDLESS, stride=0)


def _cut(table: Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of a table of one row a document."""
    bounds = table.rows.bounds
    for start in range(0, len(table.rows), BLOCK):
        own = bounds[start : start + BLOCK + 1]
        yield table.rows.ids[own[0] : own[-1]], own - own[0]


def write(runtime: StaticRuntime) -> bytes:
    """The table and the heads as one safetensors file."""
    arrays = {**runtime.arrays, "vectors": runtime.arrays["vectors"].astype(np.float16)}  # which they were before
    return bytes(save(arrays, {"bags": json.dumps(asdict(runtime.bags))}))


def read(file: Path, tasks: Mapping[str, Task], tokeniser: Tokeniser, floors: Mapping[str, float]) -> StaticRuntime:
    """What `write` wrote. Raises `RunError` for a file that does not fit the run."""
    try:
        with safe_open(file, framework="np") as stored:
            saved = json.loads(stored.metadata()["bags"])
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (not a dict)
        bags = replace(Bags(**saved), skip=tuple(saved["skip"]))
        if len(arrays["vectors"]) != bags.rows:
            raise ValueError(f"{len(arrays['vectors'])} vectors instead of {bags.rows}")
        return StaticRuntime(tasks, tokeniser, floors, bags, arrays)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file} does not fit the run: {str(error).splitlines()[0]}", hint="make it again") from None
