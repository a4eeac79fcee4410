"""Intents where nobody gave any: questions that ask the same come together, and each group gets a name.

Vectors of an encoder that was not fitted, at length 1, are joined from the bottom up by their mean cosine (average
linkage, Sokal & Michener 1958). Where to cut the tree is where groups are tightest for how far apart they lie (the
silhouette, Rousseeuw 1987, in its simplified form by centres, Hruschka et al. 2004). A group is named by the terms
that are said in it and not elsewhere (class-based TF-IDF, Grootendorst 2022), or where there are none by its most
central question.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from metier.errors import DataError

OTHER = "other"
"""The label of questions that belong to no group."""
MOST = 10_000
"""Questions that the tree is made of; what is more joins the nearest group. Its memory and time grow by the square."""
SMALLEST = 5
NAMED = 3
"""Terms of a name, at most."""
COMMON = 0.15
"""The share of a group's questions that a term of its name must be in."""
LONGEST = 40
"""Columns of a name that is a question shortened; a Chinese character takes two."""
STEP = 1.12
"""From one number of groups that is tried to the next."""
FAR = 3.0
"""Deviations from its group's mean likeness at which a question belongs to no group."""
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
        seed: of the sample where there are more than 10,000.

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
    sample = vectors[chosen]
    groups, silhouette = _cut(sample, _tree(sample), count, smallest)
    large = np.flatnonzero(np.bincount(groups) >= smallest)
    if not len(large):
        return np.full(len(vectors), -1), 0.0
    centres = _centres(sample, groups, large)
    nearest, likeness = _nearest(sample, centres)
    inside = np.isin(groups, large) & (large[nearest] == groups)
    floors = np.array([_floor(likeness[inside & (nearest == at)]) for at in range(len(large))])
    every, how = _nearest(vectors, centres)
    found = np.where(how >= floors[every], large[every], -1)
    return found, silhouette


def _tree(vectors: np.ndarray) -> np.ndarray:
    """The linkage of rows at length 1 by the mean of cosine distances."""
    from scipy.cluster.hierarchy import linkage

    n = len(vectors)
    distances = np.empty(n * (n - 1) // 2, dtype=np.float64)
    start = 0
    for row in range(0, n, BLOCK):
        block = 1.0 - vectors[row : row + BLOCK] @ vectors[row:].T
        for at, line in enumerate(block):
            own = line[at + 1 :]
            distances[start : start + len(own)] = own
            start += len(own)
    np.maximum(distances, 0.0, out=distances)
    tree: np.ndarray = linkage(distances, method="average")
    return tree


def _cut(vectors: np.ndarray, tree: np.ndarray, count: int | None, smallest: int) -> tuple[np.ndarray, float]:
    """The groups `(n,)` of the best cut, or of that into `count`, and their silhouette."""
    from scipy.cluster.hierarchy import fcluster

    most = max(2, min(len(vectors) // 2, 2000))
    sizes = [count] if count else sorted({round(2 * STEP**at) for at in range(200) if 2 * STEP**at <= most})
    best, found = -2.0, np.zeros(len(vectors), dtype=np.int64)
    for size in sizes:
        groups = fcluster(tree, size, criterion="maxclust") - 1
        value = silhouette(vectors, groups, smallest)
        if value > best:
            best, found = value, groups
    return found, best


def silhouette(vectors: np.ndarray, groups: np.ndarray, smallest: int = 1) -> float:
    """The mean simplified silhouette: `(b - a) / max(a, b)` of a row, `a` the distance to its own centre, `b` the next.

    Rows of groups smaller than `smallest` count 0, as singletons do in Rousseeuw's.
    """
    large = np.flatnonzero(np.bincount(groups) >= smallest)
    if len(large) < 2:
        return -1.0
    distances = 1.0 - vectors @ _centres(vectors, groups, large).T
    place = np.full(groups.max() + 1, -1)
    place[large] = np.arange(len(large))
    own = place[groups]
    inside = np.flatnonzero(own >= 0)
    near = distances[inside, own[inside]]
    distances[inside, own[inside]] = np.inf
    next_one = distances[inside].min(axis=1)
    values = (next_one - near) / np.maximum(np.maximum(next_one, near), 1e-9)
    return float(values.sum() / len(groups))


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


def _centres(vectors: np.ndarray, groups: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """`(chosen, width)`, the mean directions of some groups."""
    sums = np.zeros((groups.max() + 1, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, groups, vectors)
    return _unit(sums[chosen])


def _nearest(vectors: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the place of the nearest centre, and its cosine."""
    found = [block @ centres.T for block in np.array_split(vectors, len(vectors) // BLOCK + 1)]
    likeness = np.concatenate([block.max(axis=1) for block in found])
    return np.concatenate([block.argmax(axis=1) for block in found]), likeness


def _floor(likeness: np.ndarray) -> float:
    """The cosine under which a question is no longer of a group, from those of its members."""
    return float(likeness.mean() - FAR * likeness.std() - 0.02) if len(likeness) else 2.0
