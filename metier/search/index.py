"""Texts that can be searched by words and by vectors, and changed while they are searched.

On disk lies what was true when it was last written (`stored`), in memory what changed since (`overlay`): a text is
found at once, and every so often both become the next generation on disk, in the background. The index is a cache:
what was in memory is lost with the process, and `mark` says from where on its owner has to put it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metier.errors import MetierError, StoreError
from metier.search import stored
from metier.search.dense import BLOCK
from metier.search.hybrid import DEPTH, SHARE, Rerank, fused, reranked
from metier.search.lexical import query, spelled
from metier.search.overlay import Overlay, Wanted
from metier.search.stored import Entry, Stored

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit vectors `(n, width)`; a row of zeros for a text that it cannot read."""
Tick = Callable[[int], None]
MERGE = 2_000
"""Changes after which the next generation is written."""
ENCODED = 1_024
"""Texts that are encoded at a time."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A group that was found, by the text of it that fits best.

    Args:
        id: of that text.
        group: that it counts for.
        score: from 0 to 1, of both searches: comparable from query to query.
        lexical: BM25.
        cosine: between the vectors; 0 where the query has none.
        ranks: of the text among the candidates of the lexical and of the dense search, from 1; 0: not found by it.
        text: that was found.
    """

    id: str
    group: str
    score: float
    lexical: float
    cosine: float
    ranks: tuple[int, int]
    text: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """How results are ranked.

    Args:
        share: what the words count against the vectors.
        depth: texts that each search hands on.
        rerank: a second look at the best, where there is one.
        weight: what the second look counts.
        seconds: that it may take.
    """

    share: float = SHARE
    depth: int = DEPTH
    rerank: Rerank | None = None
    weight: float = 0.5
    seconds: float = 0.02


class Index:
    """An index in a folder. Any number of threads may search and change it; one process may change it.

    Args:
        folder: that `build` made.
        encode: the encoder that it was built with; where it has a `version`, that must be the same.
        ranking: how results are ranked.
        merge: changes after which the next generation is written in the background; 0: only when `merge` is called.

    Raises:
        StoreError: where the folder is no index, not whole, or made with another encoder.
    """

    def __init__(
        self, folder: str | Path, encode: Encode, *, ranking: Ranking | None = None, merge: int = MERGE
    ) -> None:
        self.folder, self._encode, self.ranking, self._after = Path(folder), encode, ranking or Ranking(), merge
        self._stored = Stored(stored.current(self.folder))
        made, own = self._stored.facts.get("encoder", ""), _version(encode)
        if made != own:
            raise StoreError(f"{folder} was built with the encoder {made}, not with {own}.", hint=stored.HINT)
        stored.sweep(self.folder)
        self.mark = int(self._stored.facts.get("mark", 0))
        """The highest mark of what is in the index."""
        self.trouble = ""
        """Why the last merge in the background failed; empty where it did not."""
        self._width = int(self._stored.facts["width"])
        self._alive = np.ones(self._stored.n, dtype=bool)
        self._overlay = Overlay(self._stored.lexical, self._width)
        self._touched: set[str] = set()
        self._lock, self._merging = threading.RLock(), threading.Lock()
        self._background: threading.Thread | None = None

    @classmethod
    def build(
        cls,
        folder: str | Path,
        entries: Iterable[Entry],
        encode: Encode,
        *,
        mark: int = 0,
        tick: Tick = lambda texts: None,
        **settings: Any,
    ) -> Index:
        """Writes an index of texts, over the one that is there, and opens it.

        Args:
            folder: where it goes.
            entries: the texts.
            encode: texts to unit vectors.
            mark: up to where the texts are what their owner has.
            tick: hears of texts that are done.
            settings: of `Index`.

        Raises:
            StoreError: where two texts have one id, or the folder holds something else.
        """
        path, texts = Path(folder), list(entries)
        if path.is_dir() and any(path.iterdir()) and not stored.owned(path):
            raise StoreError(f"{path} holds something that is no index.", expected="an empty folder or an index")
        width = int(encode(["width"]).shape[1])
        facts = {"width": width, "encoder": _version(encode), "mark": mark}
        stored.write(path, texts, _encoded(texts, encode), facts, tick)
        return cls(path, encode, **settings)

    def __len__(self) -> int:
        """Texts that can be found."""
        with self._lock:
            return int(np.count_nonzero(self._alive)) + len(self._overlay)

    def __contains__(self, id: str) -> bool:
        with self._lock:
            row = self._stored.row(id)
            return id in self._overlay.slots or (row is not None and bool(self._alive[row]))

    def put(self, entries: Sequence[Entry], *, mark: int | None = None, vectors: np.ndarray | None = None) -> None:
        """Adds texts, or replaces those with the same ids; they are found from the next search on.

        Args:
            entries: the texts.
            mark: up to where the index is now what its owner has.
            vectors: of the texts `(n, width)`, where they are known.
        """
        found = self._encode([entry.text for entry in entries]) if vectors is None else vectors
        with self._lock:
            self._bury([entry.id for entry in entries])
            self._overlay.put(entries, found)
            self.mark = self.mark if mark is None else max(self.mark, mark)
        self._merge_soon()

    def remove(self, ids: Sequence[str], *, mark: int | None = None) -> None:
        """Forgets texts; ids that are not there are none of its business."""
        with self._lock:
            self._bury(ids)
            for id in ids:
                self._overlay.remove(id)
            self.mark = self.mark if mark is None else max(self.mark, mark)
        self._merge_soon()

    def _bury(self, ids: Sequence[str]) -> None:
        """Texts on disk that do not count any more; searches under way keep the array that they have."""
        rows = [row for row in map(self._stored.row, ids) if row is not None]
        self._touched.update(ids)
        if rows:
            self._alive = self._alive.copy()
            self._alive[rows] = False

    def search(
        self,
        text: str,
        limit: int = 5,
        *,
        groups: Collection[str] | None = None,
        vector: np.ndarray | None = None,
        without: Collection[str] = (),
    ) -> list[Hit]:
        """The groups that fit a text best, best first.

        Args:
            text: in people's words.
            limit: of groups.
            groups: that may be found; None: all.
            vector: of the text `(width,)`, where it is known already.
            without: ids of texts that may not be found: how an index is asked for what it holds.
        """
        if vector is None:
            vector = self._encode([text])[0]
        asked = vector if np.any(vector) else None
        wanted = Wanted(None if groups is None else frozenset(groups), frozenset(without))
        depth, most = max(self.ranking.depth, limit), limit if self.ranking.rerank is None else 4 * limit
        while True:
            found, all_seen = self._candidates(text, asked, wanted, depth, most)
            if all_seen or len(found) >= limit:
                break
            depth *= 4  # many texts of few groups
        return self._looked_again(text, found)[:limit]

    def _candidates(
        self, text: str, vector: np.ndarray | None, wanted: Wanted, depth: int, most: int
    ) -> tuple[list[Hit], bool]:
        """Up to `most` of the best texts of both searches, one a group, and whether there are no more."""
        asked, best, fresh = query(text), 0.0, list[Entry]()
        words = cosines = np.zeros(0, dtype=np.float32)
        with self._lock:  # one moment for all; what lies on disk does not change and is searched outside
            base, alive, overlay, changed = self._stored, self._alive, self._overlay, bool(self._overlay.end)
            if changed:
                asked, best = spelled(asked, base.lexical, overlay.lexical)
                fresh, words, cosines = overlay.scored(asked, vector, wanted)
        if not changed:
            asked, best = spelled(asked, base.lexical)
        mask = alive if wanted.groups is None else alive & base.in_groups(wanted.groups)
        if hidden := [row for row in map(base.row, wanted.without) if row is not None]:
            mask = mask.copy()
            mask[hidden] = False
        scores = np.where(mask, base.lexical.scores(asked), 0.0)
        rows = _highest(scores, depth)
        more = len(rows) == depth
        if vector is not None:
            near = base.dense.nearest(vector, depth, mask)
            more = more or len(near) == depth
            rows = np.union1d(rows, near)
        words = np.concatenate([scores[rows], words])
        known = np.zeros(len(rows), dtype=np.float32) if vector is None else base.dense.at(rows, vector)
        cosines = np.concatenate([known, cosines])
        entries = _Entries(base, rows, fresh)
        own = None if vector is None else cosines
        return _hits(entries, words, own, fused(words, best, own, self.ranking.share), most), not more

    def _looked_again(self, text: str, found: list[Hit]) -> list[Hit]:
        """The same by their new scores, where there is a second look."""
        how = self.ranking
        if how.rerank is None or not found:
            return found
        scores = np.array([hit.score for hit in found])
        again = reranked(text, [hit.text for hit in found], scores, how.rerank, weight=how.weight, seconds=how.seconds)
        order = np.argsort(-again, kind="stable").tolist()
        return [replace(found[at], score=float(again[at])) for at in order]

    def merge(self) -> bool:
        """Writes all that can be found as the next generation; False where nothing changed, or another did so.

        Raises:
            StoreError: where the disk is full, or another process wrote into the folder.
        """
        if not self._merging.acquire(blocking=False):
            return False
        try:
            with self._lock:
                base, alive, overlay, end = self._stored, self._alive, self._overlay, self._overlay.end
                if not end and alive.all():
                    return False
                fresh = dict(overlay.entries)
                vectors = overlay.vectors(list(fresh))
                facts = {name: base.facts[name] for name in ("width", "encoder")} | {"mark": self.mark}
                self._touched = set()
            if stored.current(self.folder) != base.folder:
                raise StoreError(f"Another process wrote into {self.folder}.", hint="open the index again")
            rows = np.flatnonzero(alive)
            entries = [*(base.entry(row) for row in rows.tolist()), *fresh.values()]
            made = stored.write(self.folder, entries, _copied(base, rows, vectors), facts)
            with self._lock:
                self._swap(made, end)
            return True
        finally:
            self._merging.release()

    def _swap(self, made: Stored, end: int) -> None:
        """The new generation, with what changed while it was written on top."""
        late = {slot: entry for slot, entry in self._overlay.entries.items() if slot >= end}
        vectors = self._overlay.vectors(list(late))
        self._stored, self._alive = made, np.ones(made.n, dtype=bool)
        self._overlay = Overlay(made.lexical, self._width)
        self._bury(list(self._touched))
        self._overlay.put(list(late.values()), vectors)

    def _merge_soon(self) -> None:
        with self._lock:
            waiting = self._background is not None and self._background.is_alive()
            dead = self._stored.n - int(np.count_nonzero(self._alive))
            if waiting or not self._after or self._overlay.end + dead < self._after:
                return
            self._background = threading.Thread(target=self._merge_quietly, name="metier-merge", daemon=True)
            self._background.start()

    def _merge_quietly(self) -> None:
        try:
            self.merge()
            self.trouble = ""
        except MetierError as error:  # tried again after the next change; until then it all stays in memory
            self.trouble = str(error)

    def wait(self) -> None:
        """Until nothing is written in the background."""
        background = self._background
        if background is not None:
            background.join()


class _Entries:
    """Candidates: rows on disk, then texts in memory; read when somebody looks."""

    def __init__(self, base: Stored, rows: np.ndarray, fresh: Sequence[Entry]) -> None:
        self.base, self.rows, self.fresh = base, rows.tolist(), fresh

    def group(self, at: int) -> str:
        return self.base.group(self.rows[at]) if at < len(self.rows) else self.fresh[at - len(self.rows)].of

    def __getitem__(self, at: int) -> Entry:
        return self.base.entry(self.rows[at]) if at < len(self.rows) else self.fresh[at - len(self.rows)]


def _hits(entries: _Entries, words: np.ndarray, cosines: np.ndarray | None, score: np.ndarray, most: int) -> list[Hit]:
    """Up to `most` candidates that have anything in common with the query, best first, one a group."""
    cosines = np.zeros(len(words), dtype=np.float32) if cosines is None else cosines
    lexical, dense = _ranks(words), _ranks(cosines)
    found: dict[str, Hit] = {}
    for at in np.argsort(-score, kind="stable").tolist():
        if len(found) == most or score[at] <= 0:
            break
        group = entries.group(at)
        if group not in found:
            entry, ranks = entries[at], (int(lexical[at]), int(dense[at]))
            found[group] = Hit(
                entry.id, group, float(score[at]), float(words[at]), float(cosines[at]), ranks, entry.text
            )
    return list(found.values())


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1, greatest first; 0 for what is not above 0."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
    return np.where(values > 0, ranks, 0)


def _highest(scores: np.ndarray, limit: int) -> np.ndarray:
    """Rows of the highest scores above 0, in any order."""
    rows = np.flatnonzero(scores)
    if len(rows) <= limit:
        return rows
    found: np.ndarray = rows[np.argpartition(-scores[rows], limit)[:limit]]
    return found


def _encoded(entries: Sequence[Entry], encode: Encode) -> Iterator[np.ndarray]:
    for start in range(0, len(entries), ENCODED):
        yield encode([entry.text for entry in entries[start : start + ENCODED]])


def _copied(base: Stored, rows: np.ndarray, fresh: np.ndarray) -> Iterator[np.ndarray]:
    """The vectors of rows on disk, then those in memory."""
    for start in range(0, len(rows), BLOCK):
        yield np.asarray(base.dense.vectors[rows[start : start + BLOCK]], dtype=np.float32)
    if len(fresh):
        yield fresh


def _version(encode: Encode) -> str:
    return str(getattr(encode, "version", ""))
