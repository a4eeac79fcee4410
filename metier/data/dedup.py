"""Texts that say the same: exactly (after normalisation), or nearly (MinHash with banded locality-sensitive hashing).

All of it is arithmetic on arrays of 64-bit integers; texts are only ever looked at a batch at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from metier.types import Example, Target

BATCH = 5_000
BATCH_CHARACTERS = 2_000_000
PAIRS = 400
"""Texts (two a pair) that are compared at a time."""
LONGEST = 20_000
"""Near-duplicates are judged by so many characters from the beginning."""
BANDS, ROWS = 16, 4
"""Texts meet if all `ROWS` minima of one of the `BANDS` agree: at a similarity of 0.8 in 99.98 % of cases."""
THRESHOLD = 0.8
SEED = 13
SEPARATOR = 10
HAN = ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
       (0x20000, 0x3FFFF))  # fmt: skip
"""Characters that are words of their own, for no blanks stand between words: Chinese and Japanese."""


# -- exact -------------------------------------------------------------------------------------------------------
def text_keys(texts: Sequence[str] | pl.Series) -> np.ndarray:
    """A 64-bit key `(n,)` a text, equal for texts that differ in width, case and white space only (NFKC)."""
    import polars as pl

    series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    plain = series.fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", "")
    keys: np.ndarray = plain.hash(seed=SEED).to_numpy()
    return keys


def example_keys(examples: Sequence[Example]) -> np.ndarray:
    """`text_keys` of the text, or of both texts of a pair, of each example."""
    keys = np.empty(len(examples), dtype=np.uint64)
    for start in range(0, len(examples), 50_000):
        documents = [example.document for example in examples[start : start + 50_000]]
        one = text_keys([document.text for document in documents])
        if any(document.pair is not None for document in documents):
            one = pair_keys(one, text_keys([document.pair or "" for document in documents]))
        keys[start : start + len(documents)] = one
    return keys


def pair_keys(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Keys of pairs `(n,)` from those of their texts."""
    return mixed(one * np.uint64(0x9E3779B97F4A7C15) + other)


def mixed(values: np.ndarray) -> np.ndarray:
    """Integers with their bits stirred (the finaliser of splitmix64, Steele, Lea & Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    stirred: np.ndarray = values ^ (values >> np.uint64(31))
    return stirred


def first_of_each(keys: np.ndarray) -> np.ndarray:
    """`(n,)`: for each key the place where it stands first."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first[inverse]


def deduplicate(
    examples: Sequence[Example], how: Literal["exact", "near", "off"] = "exact"
) -> tuple[list[Example], int]:
    """The examples without those that repeat an earlier one, and how many these were.

    Only examples with the same targets are repetitions: the same text under another label is a contradiction, which
    the doctor shows and nobody should lose silently. Official valid and test parts are left alone.
    """
    if how == "off" or not examples:
        return list(examples), 0
    judged = [index for index, example in enumerate(examples) if example.split in (None, "train")]
    chosen = [examples[index] for index in judged]
    codes = _target_codes([example.targets for example in chosen])
    first = first_of_each(pair_keys(example_keys(chosen), codes)) if chosen else np.empty(0, dtype=np.int64)
    repeated = first != np.arange(len(chosen))
    if how == "near":
        repeated |= _near(chosen, codes, repeated)
    out = {index for index, drop in zip(judged, repeated.tolist(), strict=True) if drop}
    return [example for index, example in enumerate(examples) if index not in out], len(out)


def _target_codes(targets: Sequence[object]) -> np.ndarray:
    """A number `(n,)` a target set, equal for equal ones."""
    codes: dict[object, int] = {}
    found = [codes.setdefault(_frozen(target), len(codes)) for target in targets]
    return np.array(found, dtype=np.uint64)


def _frozen(target: object) -> tuple[tuple[str, Target], ...]:
    return tuple(sorted(dict(target).items())) if target else ()  # type: ignore[call-overload]


def _near(examples: Sequence[Example], codes: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """Which examples `(n,)` are near an earlier one that has the same targets and is kept."""
    index = NearIndex()
    for batch in batches([example.document.text for example in examples]):
        index.add(batch)
    later, earlier = index.pairs()
    # of a pair the first text is nearly the same and the second quite
    other = text_keys([example.document.pair or "" for example in examples])
    same = (other[later] == other[earlier]) & (codes[later] == codes[earlier]) & ~repeated[later] & ~repeated[earlier]
    drop = np.zeros(len(examples), dtype=bool)
    late, early = later[same].tolist(), earlier[same].tolist()
    # the index estimates; what is thrown away is measured
    alike = similarities([examples[at].document.text for at in late], [examples[at].document.text for at in early])
    for one, other_one, score in zip(late, early, alike.tolist(), strict=True):
        drop[one] |= score >= THRESHOLD and not drop[other_one]
    return drop


# -- near --------------------------------------------------------------------------------------------------------
def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in batches of bounded size, each text cut at `LONGEST` characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text[:LONGEST])
        size += len(batch[-1])
        if len(batch) >= BATCH or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def similarities(ones: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """The Jaccard similarity `(n,)` of the shingles of each pair of texts, 0 to 1."""
    found = [np.empty(0)]
    both = [text[:LONGEST] for pair in zip(ones, others, strict=True) for text in pair]
    for start in range(0, len(both), PAIRS):
        shingles, owner = _shingles(both[start : start + PAIRS])
        count = len(both[start : start + PAIRS]) // 2
        apart = _distinct(shingles, owner, owner // 2, count)  # the sizes of the two sets, added
        union = _distinct(shingles, owner // 2, owner // 2, count)
        found.append((apart - union) / np.maximum(union, 1))
    return np.concatenate(found)


def _distinct(shingles: np.ndarray, within: np.ndarray, pair: np.ndarray, count: int) -> np.ndarray:
    """How many different shingles `(count,)` the members of each pair have, told apart by `within`."""
    _, first = np.unique(pair_keys(mixed(within.astype(np.uint64)), shingles), return_index=True)
    return np.bincount(pair[first], minlength=count)


@dataclass
class NearIndex:
    """MinHash signatures (Broder 1997) of a stream of texts: 128 bytes a text.

    Kept are, for each text, a 32-bit key a band, and the lowest byte of each minimum, from which the similarity of two
    texts is estimated (b-bit minwise hashing, Li & Koenig 2010).
    """

    _bands: list[np.ndarray] = field(default_factory=list)
    _bytes: list[np.ndarray] = field(default_factory=list)

    def add(self, texts: Sequence[str]) -> None:
        """Takes in a batch of texts (see `batches`)."""
        minima = signatures(texts)
        stirred = mixed(minima.reshape(len(texts), BANDS, ROWS).astype(np.uint64))
        key = np.zeros((len(texts), BANDS), dtype=np.uint64)
        for row in range(ROWS):
            key = mixed(key * np.uint64(0x9E3779B97F4A7C15) + stirred[:, :, row])
        self._bands.append((key >> np.uint64(32)).astype(np.uint32))
        self._bytes.append(stirred.reshape(len(texts), BANDS * ROWS).astype(np.uint8))

    def pairs(self, threshold: float = THRESHOLD) -> tuple[np.ndarray, np.ndarray]:
        """`(later, earlier)`: places of texts at least `threshold` alike, sorted by the later one.

        In a bucket of many texts each is compared with the first and with the one before it, so that the work grows
        with the number of texts and not with its square.
        """
        if not self._bands:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        self._bands, self._bytes = [np.concatenate(self._bands)], [np.concatenate(self._bytes)]
        later: list[np.ndarray] = []
        earlier: list[np.ndarray] = []
        for band in range(BANDS):
            late, early = _neighbours(self._bands[0][:, band])
            alike = self._alike(late, early, threshold)
            later.append(late[alike])
            earlier.append(early[alike])
        both = np.unique(np.stack([np.concatenate(later), np.concatenate(earlier)], axis=1), axis=0)
        return both[:, 0], both[:, 1]

    def _alike(self, later: np.ndarray, earlier: np.ndarray, threshold: float) -> np.ndarray:
        """Whether each pair is alike: the share of equal bytes, less those equal by chance, estimates it."""
        found = np.zeros(len(later), dtype=bool)
        for start in range(0, len(later), 100_000):
            rows = slice(start, start + 100_000)
            equal = (self._bytes[0][later[rows]] == self._bytes[0][earlier[rows]]).mean(axis=1)
            found[rows] = (equal - 1 / 256) / (1 - 1 / 256) >= threshold
        return found


def _neighbours(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs `(later, earlier)` of places with equal keys: each with the one before it and with the first."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    same = np.flatnonzero(ranked[1:] == ranked[:-1]) + 1
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    first = starts[np.searchsorted(starts, same, side="right") - 1]
    apart = first != same - 1
    later = np.concatenate([order[same], order[same[apart]]])
    return later, np.concatenate([order[same - 1], order[first[apart]]])


def signatures(texts: Sequence[str]) -> np.ndarray:
    """The minima `(n, BANDS * ROWS)` of as many hash functions over the shingles of each text.

    Shingles are two words on end, three characters where most words are Chinese; a shorter text is one shingle.
    """
    shingles, owner = _shingles(texts)
    factors, offsets = _functions()
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]])) if len(owner) else owner
    minima = np.zeros((len(texts), len(factors)), dtype=np.uint32)
    for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
        values = ((shingles * factor + offset) >> np.uint64(32)).astype(np.uint32)
        minima[owner[starts], column] = np.minimum.reduceat(values, starts) if len(starts) else 0
    bare = np.ones(len(texts), dtype=bool)
    bare[owner] = False
    if bare.any():  # nothing to compare: unlike each other and everything else
        minima[bare] = mixed(np.arange(int(bare.sum()) * len(factors), dtype=np.uint64) + np.uint64(SEED)).reshape(
            -1, len(factors)
        ) >> np.uint64(32)
    return minima


def _functions() -> tuple[np.ndarray, np.ndarray]:
    """Odd factors and offsets of multiply-shift hashing (Dietzfelbinger et al. 1997)."""
    numbers = np.random.default_rng(SEED).integers(1, 2**63, size=(2, BANDS * ROWS), dtype=np.uint64)
    return numbers[0] * np.uint64(2) + np.uint64(1), numbers[1]


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """`(hashes, owners)`: the hash of each shingle and the text that it is from, in the order of the texts."""
    codes = _codes(texts)
    text_of = np.cumsum(codes == SEPARATOR) - (codes == SEPARATOR)
    starts, ends = _words(codes)
    if not len(starts):
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    owner = text_of[starts]
    words = np.bincount(owner, minlength=len(texts))
    chinese = np.bincount(owner, weights=_is_han(codes[starts]), minlength=len(texts))
    width = np.minimum(np.where(chinese * 2 > words, 3, 2), words)[owner]
    last = np.arange(len(starts)) + width - 1
    whole = last < np.cumsum(words)[owner]
    first = np.flatnonzero(whole)
    return _substrings(codes, starts[first], ends[last[first]]), owner[first]


def _codes(texts: Sequence[str]) -> np.ndarray:
    """The code points of normalised texts, one after another, each text closed by `SEPARATOR`."""
    import polars as pl

    raw = pl.Series(list(texts), dtype=pl.String).str.normalize("NFKC").str.to_lowercase()
    plain = raw.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars(" ")
    plain = pl.select(pl.when(plain == "").then(raw.str.replace_all(r"\s+", " ")).otherwise(plain)).to_series()
    joined = "".join(f"{text}\n" for text in plain.to_list())
    return np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)


def _is_han(codes: np.ndarray) -> np.ndarray:
    found = np.zeros(len(codes), dtype=bool)
    for low, high in HAN:
        found |= (codes >= low) & (codes <= high)
    return found


def _words(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(starts, ends)` of the words: runs without blanks, Chinese characters each on its own."""
    blank = (codes == 32) | (codes == SEPARATOR)
    han = _is_han(codes)
    edge = np.ones(len(codes), dtype=bool)
    edge[1:] = blank[:-1] | han[:-1] | han[1:]
    starts = np.flatnonzero(~blank & edge)
    close = np.ones(len(codes), dtype=bool)
    close[:-1] = blank[1:] | han[1:] | han[:-1]
    return starts, np.flatnonzero(~blank & close) + 1


def _substrings(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Hashes of substrings, from the running sum of `code * p**place` modulo 2**64, shifted back by `p**-start`."""
    base, inverse = np.uint64(0x5851F42D4C957F2D), np.uint64(pow(0x5851F42D4C957F2D, -1, 2**64))
    powers = np.cumprod(np.full(len(codes), base, dtype=np.uint64))
    back = np.cumprod(np.full(len(codes), inverse, dtype=np.uint64))
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * powers, out=sums[1:])
    return mixed((sums[ends] - sums[starts]) * back[starts])
