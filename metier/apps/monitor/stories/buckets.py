"""Where texts that may be alike meet: MinHash keys, and a table of them of fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metier.apps.monitor.stories.wording import Wording
from metier.data.dedup import SEED, mixed

BANDS, ROWS = 24, 3
"""Texts meet where all `ROWS` minima of one of `BANDS` agree: at a similarity of shingles of 0.5 in 96 % of cases."""
WAYS = 8
"""Texts that a cell of the table holds."""
SHINGLES = 50_000
"""Shingles that are hashed at a time."""
_RNG = np.random.default_rng(SEED)
_FACTORS = _RNG.integers(0, 2**63, size=BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RNG.integers(0, 2**63, size=BANDS * ROWS, dtype=np.uint64)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def band_keys(wordings: Sequence[Wording], shortest: float) -> np.ndarray:
    """The keys `(n, BANDS + 1)` of texts, 32 bits each: two texts that share one in the same column may be alike.

    MinHash (Broder 1997) over the shingles of `Wording`, hashed by multiply-shift (Dietzfelbinger et al. 1997). The
    last column is the text's beginning, by which a text meets its own longer form. 0 is no key: a text under `shortest`
    words has only the last one, of all its characters. Copies share every key; who splits the work by any one column
    has copies together.
    """
    found = np.zeros((len(wordings), BANDS + 1), dtype=np.uint32)
    whole = [at for at, one in enumerate(wordings) if one.length >= shortest and one.shingles]
    start = 0
    while start < len(whole):
        end, size = start, 0
        while end < len(whole) and (size == 0 or size + len(wordings[whole[end]].shingles) <= SHINGLES):
            size += len(wordings[whole[end]].shingles)
            end += 1
        found[whole[start:end], :BANDS] = _minima([wordings[at].shingles for at in whole[start:end]])
        start = end
    long = set(whole)
    leads = [one.lead if at in long else int.from_bytes(one.key[:8], "little") for at, one in enumerate(wordings)]
    lead = np.array(leads, dtype=np.uint64)
    found[:, BANDS] = np.where(lead > 0, np.maximum(mixed(lead) >> np.uint64(32), np.uint64(1)), np.uint64(0))
    return found


def _minima(shingles: Sequence[tuple[int, ...]]) -> np.ndarray:
    """The keys `(n, BANDS)` of the bands: the minima of `ROWS` hash functions stirred together."""
    lengths = np.array([len(one) for one in shingles])
    flat = mixed(np.fromiter((value for one in shingles for value in one), dtype=np.uint64, count=int(lengths.sum())))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    keys = np.empty((len(shingles), BANDS), dtype=np.uint64)
    for band in range(BANDS):
        key = np.full(len(shingles), np.uint64(band), dtype=np.uint64)
        for row in range(band * ROWS, band * ROWS + ROWS):
            key = mixed(
                key * _STEP + np.minimum.reduceat((flat * _FACTORS[row] + _OFFSETS[row]) >> np.uint64(32), starts)
            )
        keys[:, band] = key
    short: np.ndarray = np.maximum(keys >> np.uint64(32), np.uint64(1)).astype(np.uint32)
    return short


class Buckets:
    """A table of the keys of at most `limit` texts, each known by its number (a slot), 0 to `limit - 1`.

    A cell holds the `WAYS` texts that last longest, and of these that last as long the ones that came last: which they
    are depends on what is in the table and not on what was.
    """

    def __init__(self, limit: int) -> None:
        cells = 1 << max(4, (limit // 2).bit_length())
        self._mask = cells - 1
        self._bands = np.arange(BANDS + 1)
        self._base = self._bands * cells
        self._cells = np.full(((BANDS + 1) * cells, WAYS), -1, dtype=np.int32)
        self._keys = np.zeros((limit, BANDS + 1), dtype=np.uint32)
        # the last row is of no text: slot -1
        self.lasts = np.full(limit + 1, -np.inf)
        self.order = np.full(limit + 1, -1, dtype=np.int64)

    def near(self, keys: np.ndarray) -> list[int]:
        """The slots of the texts that share a key with a text of these keys `(BANDS + 1,)`."""
        held = self._cells[self._base + (keys & self._mask)]
        hit = (self._keys[held, self._bands[:, None]] == keys[:, None]) & (held >= 0) & (keys != 0)[:, None]
        return sorted(set(held[hit].tolist()))

    def put(self, slot: int, keys: np.ndarray, lasts: float, order: int) -> None:
        """Gives a text its slot, or says that it lasts longer now.

        Args:
            slot: a free one, or the text's own.
            keys: `(BANDS + 1,)`.
            lasts: until when.
            order: its place in the stream.
        """
        self._keys[slot], self.lasts[slot], self.order[slot] = keys, lasts, order
        places = self._base + (keys & self._mask)
        held = self._cells[places]
        rank = self.lasts[held]
        shortest = rank.min(axis=1)
        way = np.where(rank == shortest[:, None], self.order[held], np.iinfo(np.int64).max).argmin(axis=1)
        out = held[self._bands, way]
        weaker = (shortest < lasts) | ((shortest == lasts) & (self.order[out] < order))
        into = weaker & (keys != 0) & ~(held == slot).any(axis=1)
        self._cells[places[into], way[into]] = slot

    def drop(self, slot: int) -> None:
        """Frees a slot."""
        places = self._base + (self._keys[slot] & self._mask)
        held = self._cells[places]
        held[held == slot] = -1
        self._cells[places] = held
        self._keys[slot], self.lasts[slot], self.order[slot] = 0, -np.inf, -1
