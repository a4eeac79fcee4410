"""Intents where nobody gave any: questions that ask the same come together, and each group gets a name.

Vectors of an encoder that was not fitted, at length 1, are parted by k-means (MacQueen 1967; Arthur & Vassilvitskii
2007), into as many groups as the silhouette of their cosine distances is largest for (Rousseeuw 1987). A group is named
by the terms that are said in it and not elsewhere (class-based TF-IDF, Grootendorst 2022), or where there are none by
its most central question.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from metier.errors import DataError

OTHER = "other"
"""The label of questions that belong to no group."""
MOST = 5_000
"""Questions that groups are made of; what is more joins the nearest one."""
SMALLEST = 5
NAMED = 3
"""Terms of a name, at most."""
COMMON = 0.15
"""The share of a group's questions that a term of its name must be in."""
LONGEST = 40
"""Columns of a name that is a question shortened; a Chinese character takes two."""
STEP = 1.25
"""From one number of groups that is tried to the next: all of them, for the silhouette has more than one peak."""
MEAN = 3
"""Times the smallest group that groups have on average, at least."""
ROUNDS = 50
STARTS = 5
"""Times that k-means begins anew with the number of groups that was best."""
FAR = 3.0
"""Robust deviations from its group's median likeness at which a question belongs to no group."""
BLOCK = 1024

Terms = Callable[[str], Iterable[str]]
"""The words and phrases of a text, in lower case, without those that say nothing."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A group of questions.

    Args:
        name: unique among the groups.
        size: how many questions it has.
        central: the place of the question that is most like all others of it.
        terms: the terms that tell it from the others, most telling first.
    """

    name: str
    size: int
    central: int
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intents:
    """What was found.

    Args:
        labels: `(n,)`, the name of each question's group, or `other`.
        intents: the groups, the largest first.
        silhouette: from -1 to 1, how clearly they are apart.
    """

    labels: list[str]
    intents: tuple[Intent, ...]
    silhouette: float


def find(
    texts: Sequence[str],
    vectors: np.ndarray,
    terms: Terms,
    *,
    count: int | None = None,
    smallest: int = SMALLEST,
    seed: int = 13,
) -> Intents:
    """Groups of questions, with names.

    Args:
        texts: `n` questions, in any language that `terms` can cut.
        vectors: `(n, width)`, theirs.
        terms: cuts a text into terms.
        count: how many groups there shall be at most; `None`: as many as the silhouette says.
        smallest: groups of fewer questions count as `other`.
        seed: of the sample where there are more than 5,000.

    Raises:
        DataError: where vectors and texts do not belong together, or hold what is no number.
    """
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise DataError(
            f"{len(texts)} questions have vectors {vectors.shape}.", expected="finite ones, a row a question"
        )
    own = _unit(vectors)
    if len(texts) < max(2 * smallest, 3):
        return Intents([OTHER] * len(texts), (), 0.0)
    groups, silhouette = grouped(own, count=count, smallest=smallest, seed=seed)
    kept = np.flatnonzero(np.bincount(groups[groups >= 0], minlength=1) >= smallest)
    members = sorted((np.flatnonzero(groups == one) for one in kept), key=lambda own: (-len(own), own[0]))
    intents = named(texts, own, members, terms)
    labels = [OTHER] * len(texts)
    for intent, places in zip(intents, members, strict=True):
        for place in places.tolist():
            labels[place] = intent.name
    return Intents(labels, tuple(intents), silhouette)


def grouped(
    vectors: np.ndarray, *, count: int | None, smallest: int = SMALLEST, seed: int = 13
) -> tuple[np.ndarray, float]:
    """The group of each row of `(n, width)` at length 1, -1 for none, and the silhouette of all."""
    chosen = np.arange(len(vectors))
    if len(vectors) > MOST:
        chosen = np.sort(np.random.default_rng(seed).choice(len(vectors), MOST, replace=False))
    centres, value = _centres(vectors[chosen], count, smallest, seed)
    groups, likeness = _nearest(vectors, centres)
    floors = np.array([_floor(likeness[groups == one]) for one in range(len(centres))])
    return np.where(likeness >= floors[groups], groups, -1), value


def _centres(vectors: np.ndarray, count: int | None, smallest: int, seed: int) -> tuple[np.ndarray, float]:
    """The centres `(groups, width)` of so many groups, or of as many as the silhouette says, and the silhouette."""
    most = max(2, len(vectors) // (MEAN * smallest))
    sizes = [count] if count else list(dict.fromkeys(round(2 * STEP**at) for at in range(60) if 2 * STEP**at <= most))
    best, found = -2.0, vectors[:1]
    for size in sizes:
        centres, value = _means(vectors, min(size, len(vectors)), seed, 1)
        if value > best:
            best, found = value, centres
    centres, value = _means(vectors, len(found), seed, STARTS)
    return (centres, value) if value > best else (found, best)


def _means(vectors: np.ndarray, size: int, seed: int, starts: int) -> tuple[np.ndarray, float]:
    """The centres of k-means at length 1, and their silhouette; of rows that are all the same there are fewer."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than groups
        made = KMeans(size, n_init=starts, max_iter=ROUNDS, random_state=seed).fit(vectors).cluster_centers_
    centres = _unit(np.unique(made, axis=0))
    return centres, silhouette(vectors, _nearest(vectors, centres)[0])


def silhouette(vectors: np.ndarray, groups: np.ndarray) -> float:
    """The mean of `(b - a) / max(a, b)` over rows `(n, width)` at length 1 (Rousseeuw 1987).

    `a` is the mean cosine distance to the others of the own group, `b` that to the nearest other group. Both come
    from sums, since the mean of `1 - x y` over `y` is `1 - x mean(y)`. A row alone in its group counts 0.
    """
    names, own = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return -1.0
    counts = np.bincount(own)
    sums = np.zeros((len(names), vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, own, vectors)
    values = np.zeros(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        block, group = vectors[start : start + BLOCK], own[start : start + BLOCK]
        likeness, rows = block @ sums.T, np.arange(len(block))
        near = 1.0 - (likeness[rows, group] - (block**2).sum(axis=1)) / np.maximum(counts[group] - 1, 1)
        distances = 1.0 - likeness / counts
        distances[rows, group] = np.inf
        far = distances.min(axis=1)
        share = (far - near) / np.maximum(np.maximum(near, far), 1e-9)
        values[start : start + BLOCK] = np.where(counts[group] > 1, share, 0.0)
    return float(values.mean())


def named(texts: Sequence[str], vectors: np.ndarray, members: Sequence[np.ndarray], terms: Terms) -> list[Intent]:
    """The groups, each with a name of its own."""
    said = [Counter(term for place in own for term in set(terms(texts[place]))) for own in members]
    everywhere: Counter[str] = sum(said, Counter())
    mean = sum(everywhere.values()) / max(len(members), 1)
    taken: set[str] = {OTHER}
    found = []
    for own, counts in zip(members, said, strict=True):
        centre = vectors[own].mean(axis=0)
        central = int(own[np.argmax(vectors[own] @ centre)])
        telling = _telling(counts, everywhere, mean, len(own))
        name = _unused(", ".join(telling) or shortened(texts[central]), taken)
        found.append(Intent(name, len(own), central, tuple(telling)))
    return found


def _telling(counts: Counter[str], everywhere: Counter[str], mean: float, size: int) -> list[str]:
    """The terms of a name by class-based TF-IDF; of terms that contain one another, the more telling one.

    A term counts once a question. `W = tf * log(1 + A / f)`: `tf` in the group, `f` in all, `A` the terms of a group.
    """
    common = [term for term, count in counts.items() if count >= max(2.0, COMMON * size)]
    weights = {term: counts[term] * math.log(1 + mean / everywhere[term]) for term in common}
    found: list[str] = []
    for term in sorted(common, key=lambda term: (-weights[term], term)):
        if not any(term in other or other in term for other in found):
            found.append(term)
        if len(found) == NAMED:
            break
    return found


def shortened(text: str) -> str:
    """A question as a name: its first words that fit into 40 columns."""
    text = " ".join(text.split()).strip(" ?？。.!！") or OTHER
    width, end = 0, 0
    for end, character in enumerate(text, 1):
        width += 2 if ord(character) > 0x2E7F else 1
        if width > LONGEST:
            cut = text[: end - 1]
            head = cut.rsplit(" ", 1)[0] if text[end - 1 : end] != " " and " " in cut else cut
            return head.rstrip(" ,;:，；：") + "…"
    return text[:end]


def _unused(name: str, taken: set[str]) -> str:
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name} ({count})"
    taken.add(found)
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float32)
    found: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


def _nearest(vectors: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the place of the nearest centre, and its cosine."""
    found = [block @ centres.T for block in np.array_split(vectors, len(vectors) // BLOCK + 1)]
    likeness = np.concatenate([block.max(axis=1) for block in found])
    return np.concatenate([block.argmax(axis=1) for block in found]), likeness


def _floor(likeness: np.ndarray) -> float:
    """The cosine under which a question is no longer of a group, from those of its members (Hampel 1974)."""
    if not len(likeness):
        return 2.0
    middle = float(np.median(likeness))
    return middle - FAR * 1.4826 * float(np.median(np.abs(likeness - middle))) - 0.02
