"""Stories, not posts: a document that says what an earlier one said joins its story, and does not count again.

Candidates come from MinHash keys in a table (`buckets`), how alike two texts are is measured by their words
(`wording`), and what is neither surely a copy nor surely none is settled by vectors that understanding yields anyway.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from metier.apps.monitor.item import Item
from metier.apps.monitor.stories.buckets import Buckets, band_keys
from metier.apps.monitor.stories.wording import Wording, alike, wording
from metier.errors import RecipeError

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class StorySettings:
    """What makes a story. The thresholds were chosen on edited headlines: `benchmarks/monitor_stories.py`.

    Args:
        window: seconds of document time. A story takes documents for so long after its first one; what says the same
            later is a story of its own.
        limit: different texts that are remembered at most; beyond it those are forgotten that would be first anyway.
        sure: similarity (`wording.alike`) from which a text is a copy.
        doubtful: similarity under which it is none. Between the two the vectors decide; without them it is none, too.
        cosine: of the vectors, from which a doubtful text is a copy.
        first: similarity to the first document of a story that every further one must have, so that a story does not
            wander off from link to link.
        shortest: words (two Chinese characters are one) under which only the same text is a copy.
    """

    window: float = 3 * 86_400.0
    limit: int = 120_000
    sure: float = 0.7
    doubtful: float = 0.5
    cosine: float = 0.9
    first: float = 0.5
    shortest: float = 3.0

    def __post_init__(self) -> None:
        if not (0 < self.doubtful <= self.sure <= 1 and self.first <= self.sure):
            raise RecipeError(
                f"Stories have doubtful = {self.doubtful:g}, sure = {self.sure:g} and first = {self.first:g}.",
                expected="0 < doubtful <= sure <= 1, and first no more than sure",
            )
        if not self.window > 0 or self.limit < 1:
            raise RecipeError(
                f"Stories have window = {self.window:g} and limit = {self.limit}.",
                expected="a window of some seconds and a limit of at least one text",
            )


class Assigned(NamedTuple):
    """Where a document belongs.

    Args:
        id: of the document.
        story: the id of the first document of its story; its own where it is the first.
        new: whether it is the first.
        similarity: to the document that it was found by, 0 to 1; 1 where it is the first.
        how: `first`, `same` (the same words), `near` (nearly) or `vector` (doubtful, settled by the vectors).
        near: the id of that document; its own where it is the first.
        vector: what to store for `Stories.rebuild`: `packed`, or None.
    """

    id: str
    story: str
    new: bool
    similarity: float
    how: str
    near: str
    vector: bytes | None


class Kept(NamedTuple):
    """A stored document of the window, as `Stories.rebuild` wants it: what `assign` was given and what it answered."""

    id: str
    text: str
    time: float
    story: str
    vector: bytes | None = None


def packed(vector: Any) -> bytes | None:
    """A vector `(width,)` as bytes, one a number: its direction, in steps of 1/127. None for None and for zeros.

    Sums of such products are integers, so that a cosine comes out the same on every machine, and after a restart.
    """
    if vector is None:
        return None
    values = np.asarray(vector, dtype=np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    if not 0 < largest < np.inf:
        return None
    return np.rint(values / largest * 127).astype(np.int8).tobytes()


def cosine(one: bytes, other: bytes) -> float:
    """Of two packed vectors; 0 where they are not of the same width."""
    a, b = np.frombuffer(one, dtype=np.int8).astype(np.int64), np.frombuffer(other, dtype=np.int8).astype(np.int64)
    if len(a) != len(b):
        return 0.0
    return float(int(a @ b) / (int(a @ a) * int(b @ b)) ** 0.5)


def bands(texts: Sequence[str], settings: StorySettings | None = None) -> np.ndarray:
    """The keys `(n, bands)` of texts, 32 bits each, by which several workers split the stream.

    Only texts that share a key in the same column are ever compared; 0 is no key. Copies share all of them.
    """
    return band_keys([wording(text) for text in texts], (settings or StorySettings()).shortest)


class _Text:
    """What is remembered of a text: by whom it came last, and the story that it belongs to."""

    __slots__ = ("document", "first", "key", "start", "story", "tokens", "vector")

    def __init__(self, key: bytes, tokens: str) -> None:
        self.key, self.tokens, self.first = key, tokens, key
        self.document = self.story = ""
        self.start = 0.0
        self.vector: bytes | None = None


class Stories:
    """The texts of a sliding window, by document time, and the stories that they belong to.

    A document joins the story of the earlier document that is most like it; of equals, of the one that came first. What
    comes out depends on the order of the documents alone, not on how they were cut into batches. The window ends at
    the latest time of a document that was seen; a document from before it may join a story, but nothing joins it.
    """

    def __init__(self, settings: StorySettings | None = None) -> None:
        self.settings = settings or StorySettings()
        self.now = -np.inf
        self._buckets = Buckets(self.settings.limit)
        self._texts: list[_Text | None] = [None] * self.settings.limit
        self._slots: dict[bytes, int] = {}
        self._free = list(range(self.settings.limit - 1, -1, -1))
        self._ends: list[tuple[float, int, int]] = []
        self._count = 0

    def __len__(self) -> int:
        """Different texts that are remembered."""
        return len(self._slots)

    @classmethod
    def rebuild(cls, rows: Iterable[Kept], settings: StorySettings | None = None) -> Stories:
        """The stories as they were when the last of `rows` had been assigned.

        Args:
            rows: the stored documents in the order in which they were assigned; those of the window are enough, that is
                whose time is not before the latest time of any less `window`.
            settings: the same as then.
        """
        stories = cls(settings)
        starts: dict[str, tuple[float, bytes]] = {}
        for batch in _batches(rows):
            wordings = [wording(row.text) for row in batch]
            keys = band_keys(wordings, stories.settings.shortest)
            for row, words, key in zip(batch, wordings, keys, strict=True):
                if row.id == row.story:
                    starts[row.id] = (row.time, words.key)
                stories._pass(row.time)
                if row.story in starts:
                    stories._keep(row, words, key, *starts[row.story])
        return stories

    def assign(self, items: Sequence[Item], vectors: Sequence[Any] | np.ndarray | None = None) -> list[Assigned]:
        """The stories of documents, in their order.

        Args:
            items: in the order in which they are to count.
            vectors: of the items, `(width,)` each; None where there is none.
        """
        found: list[Assigned] = []
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            wordings = [wording(item.text) for item in batch]
            keys = band_keys(wordings, self.settings.shortest)
            for at, (item, words, key) in enumerate(zip(batch, wordings, keys, strict=True), start):
                found.append(self._assign(item, words, key, packed(vectors[at]) if vectors is not None else None))
        return found

    def _assign(self, item: Item, words: Wording, keys: np.ndarray, vector: bytes | None) -> Assigned:
        self._pass(item.time)
        slot = self._slots.get(words.key)
        similarity, how = 1.0, "same"
        if slot is None:
            slot, similarity, how = self._nearest(words, keys, vector)
        text = self._texts[slot] if slot is not None else None
        if text is None:
            answer = Assigned(item.id, item.id, True, 1.0, "first", item.id, vector)
            start, first = item.time, words.key
        else:
            answer = Assigned(item.id, text.story, False, similarity, how, text.document, vector)
            start, first = text.start, text.first
        self._keep(Kept(item.id, item.text, item.time, answer.story, vector), words, keys, start, first)
        return answer

    def _nearest(self, words: Wording, keys: np.ndarray, vector: bytes | None) -> tuple[int | None, float, str]:
        """The slot of the text most like one, how alike they are, and how that was settled."""
        if words.length < self.settings.shortest:
            return None, 1.0, "first"
        ranked = []
        for slot in self._buckets.near(keys):
            text = self._texts[slot]
            assert text is not None
            similarity = alike(words.tokens, text.tokens.split("\n"), self.settings.doubtful)
            if similarity:
                ranked.append((-similarity, int(self._buckets.order[slot]), slot))
        for less, _, slot in sorted(ranked):
            how = self._settle(-less, vector, self._texts[slot])
            if how and self._near_first(words, slot):
                return slot, -less, how
        return None, 1.0, "first"

    def _near_first(self, words: Wording, slot: int) -> bool:
        """Whether a text is like the first one of the story of another, too; of a forgotten one nothing is known."""
        text = self._texts[slot]
        first = self._slots.get(text.first) if text is not None else None
        beginning = self._texts[first] if first is not None and first != slot else None
        if beginning is None or self.settings.first <= 0:
            return True
        return alike(words.tokens, beginning.tokens.split("\n"), self.settings.first) > 0

    def _settle(self, similarity: float, vector: bytes | None, text: _Text | None) -> str:
        """How a candidate of at least doubtful similarity is found to be a copy; empty where it is none."""
        if similarity >= self.settings.sure:
            return "near"
        if vector is None or text is None or text.vector is None:
            return ""
        return "vector" if cosine(vector, text.vector) >= self.settings.cosine else ""

    def _pass(self, time: float) -> None:
        """Moves the window to a document's time and forgets what it leaves behind."""
        self.now = max(self.now, time)
        while self._ends and self._ends[0][0] < self.now - self.settings.window:
            self._forget(*heapq.heappop(self._ends))

    def _keep(self, row: Kept, words: Wording, keys: np.ndarray, start: float, first: bytes) -> None:
        """Remembers a document for as long as it and the first one of its story are in the window.

        One text has one slot, which belongs to the document that lasts longest.
        """
        self._count += 1
        lasts = min(row.time, start)
        if lasts < self.now - self.settings.window:
            return
        slot = self._slots.get(words.key)
        if slot is not None:
            text = self._texts[slot]
            assert text is not None
            if text.story != row.story:  # the old one had been forgotten, for there were too many
                self._forget(float(self._buckets.lasts[slot]), int(self._buckets.order[slot]), slot)
            elif lasts <= self._buckets.lasts[slot]:
                return
        self._put(row, words, keys, start, first)

    def _put(self, row: Kept, words: Wording, keys: np.ndarray, start: float, first: bytes) -> None:
        lasts = min(row.time, start)
        slot = self._slots.get(words.key)
        if slot is None:
            if not self._free and not self._make_room(lasts):
                return
            slot = self._free.pop()
            self._slots[words.key] = slot
        text = self._texts[slot] = _Text(words.key, "\n".join(words.tokens))
        text.document, text.story, text.start, text.first, text.vector = row.id, row.story, start, first, row.vector
        self._buckets.put(slot, keys, lasts, self._count)
        heapq.heappush(self._ends, (lasts, self._count, slot))
        if len(self._ends) > 2 * self.settings.limit + BATCH:
            self._ends = [one for one in self._ends if self._valid(*one)]
            heapq.heapify(self._ends)

    def _make_room(self, lasts: float) -> bool:
        """Forgets the text that would be forgotten first; False where that is the one that wants in."""
        while not self._valid(*self._ends[0]):
            heapq.heappop(self._ends)
        if self._ends[0][0] > lasts:
            return False
        self._forget(*heapq.heappop(self._ends))
        return True

    def _valid(self, lasts: float, order: int, slot: int) -> bool:
        return bool(self._buckets.lasts[slot] == lasts and self._buckets.order[slot] == order)

    def _forget(self, lasts: float, order: int, slot: int) -> None:
        if self._valid(lasts, order, slot):
            text = self._texts[slot]
            assert text is not None
            del self._slots[text.key]
            self._texts[slot] = None
            self._buckets.drop(slot)
            self._free.append(slot)


def _batches(rows: Iterable[Kept]) -> Iterator[list[Kept]]:
    stream = iter(rows)
    while batch := list(islice(stream, BATCH)):
        yield batch
