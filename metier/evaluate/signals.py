"""How far a text lies from all that a classifier was fitted on: several numbers a text, each larger further outside.

| signal | what it is | source |
|---|---|---|
| `neighbours` | distance to the k-th nearest training text, all vectors at length 1 | Sun et al. 2022 |
| `mahalanobis` | distance to the nearest class, all classes of one covariance | Lee et al. 2018 |
| `relative` | its square, less the squared distance to all of the training texts together | Ren et al. 2021 |
| `energy` | minus the logarithm of the summed exponentials of the logits | Liu et al. 2020 |
| `odds` | log odds against the best label, of calibrated probabilities | Hendrycks & Gimpel 2017, calibrated |
| `entropy` | of the calibrated probabilities, in nats | |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.errors import DataError

SIGNALS = ("neighbours", "mahalanobis", "relative", "energy", "odds", "entropy")
BLOCK = 256
"""Texts whose distances to the whole bank are in memory at a time."""
SMALLEST = 1e-12
"""A probability that float arithmetic can still tell from nought."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a run says of some texts.

    Args:
        vectors: `(n, width)`, those that its heads read (`Runtime.understand`).
        probabilities: `(n, classes)`, calibrated.
        logits: `(n, classes)` where they are at hand: without them there is no `energy`.

    Raises:
        DataError: where these are not of the same texts, or hold what is no number.
    """

    vectors: np.ndarray
    probabilities: np.ndarray
    logits: np.ndarray | None = None

    def __post_init__(self) -> None:
        arrays = [("vectors", self.vectors), ("probabilities", self.probabilities), ("logits", self.logits)]
        for name, array in arrays:
            if array is None:
                continue
            if array.ndim != 2 or len(array) != len(self.vectors):
                raise DataError(
                    f"{name} have the shape {array.shape}.", expected=f"({len(self.vectors)}, ...), a row a text"
                )
            if not np.isfinite(array).all():
                raise DataError(f"{name} hold values that are no numbers.", expected="finite numbers")

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, chosen: np.ndarray) -> Answers:
        """Some of them."""
        logits = None if self.logits is None else self.logits[chosen]
        return Answers(self.vectors[chosen], self.probabilities[chosen], logits)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows `(n, width)` at length 1, float32; a row of noughts stays as it is."""
    vectors = np.asarray(vectors, dtype=np.float32)
    found: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


def nearest(vectors: np.ndarray, bank: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Distances `(n, ks)` of rows to their k-th nearest ones of a bank, both at length 1 (Sun et al. 2022)."""
    ks = [min(k, len(bank)) for k in ks]
    found = np.empty((len(vectors), len(ks)))
    for start in range(0, len(vectors), BLOCK):
        likeness = vectors[start : start + BLOCK] @ bank.T
        kept = np.partition(likeness, len(bank) - max(ks), axis=1)[:, len(bank) - max(ks) :]
        kept = np.sort(kept, axis=1)[:, ::-1]
        found[start : start + BLOCK] = kept[:, [k - 1 for k in ks]]
    distances: np.ndarray = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * found))
    return distances


@dataclass(frozen=True, slots=True)
class Gaussians:
    """A normal distribution for each class, all of one covariance (Lee et al. 2018), and one for all texts together.

    Args:
        centres: `(classes, width)`, the means, each multiplied by `whitening`.
        whitening: `(width, width)`, lower triangular, `whitening.T @ whitening` the inverse of the shared covariance.
        centre: `(width,)`, the mean of all texts, multiplied by `whitening_all`.
        whitening_all: that of the covariance of all texts.
    """

    centres: np.ndarray
    whitening: np.ndarray
    centre: np.ndarray
    whitening_all: np.ndarray

    @classmethod
    def fit(cls, vectors: np.ndarray, classes: np.ndarray) -> Gaussians:
        """From vectors `(n, width)` and the number of the class of each, `(n,)`, 0 to classes - 1."""
        vectors = np.asarray(vectors, dtype=np.float64)
        counts = np.bincount(classes)
        means = np.zeros((len(counts), vectors.shape[1]))
        np.add.at(means, classes, vectors)
        means /= counts[:, None]
        mean = vectors.mean(axis=0)
        own, every = _whitening(vectors - means[classes]), _whitening(vectors - mean)
        return cls(means @ own.T, own, every @ mean, every)

    def distances(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared Mahalanobis distances `(n,)`: to the nearest class, and to all texts together."""
        vectors = np.asarray(vectors, dtype=np.float64)
        own = vectors @ self.whitening.T
        squares = (own**2).sum(axis=1)[:, None] - 2.0 * own @ self.centres.T + (self.centres**2).sum(axis=1)
        every = vectors @ self.whitening_all.T - self.centre
        return np.maximum(0.0, squares.min(axis=1)), (every**2).sum(axis=1)


def _whitening(centred: np.ndarray) -> np.ndarray:
    """The inverse of the Cholesky factor of a covariance that is drawn towards a sphere (OAS, Chen et al. 2010).

    Vectors of a fitted encoder hardly vary in most directions; as it is, their covariance has no inverse.
    """
    rows, width = centred.shape
    covariance = centred.T @ centred / max(rows, 1)
    mean = np.trace(covariance) / width or 1.0
    squares = float((covariance**2).mean())
    # rho = (tr(S^2) + tr(S)^2) / ((n + 1) (tr(S^2) - tr(S)^2 / p)); the terms of 2/p are left out, as p is hundreds
    above, below = squares + mean**2, (rows + 1.0) * (squares - mean**2 / width)
    share = min(1.0, above / below) if below > 0 else 1.0
    covariance = (1.0 - share) * covariance + (share + 1e-9) * mean * np.eye(width)
    found: np.ndarray = np.linalg.inv(np.linalg.cholesky(covariance))
    return found


def energy(logits: np.ndarray) -> np.ndarray:
    """`-log(sum(exp(logits)))` `(n,)` of logits `(n, classes)` (Liu et al. 2020, at temperature 1)."""
    logits = np.asarray(logits, dtype=np.float64)
    most = logits.max(axis=1)
    found: np.ndarray = -(most + np.log(np.exp(logits - most[:, None]).sum(axis=1)))
    return found


def odds(probabilities: np.ndarray) -> np.ndarray:
    """`log((1 - p) / p)` `(n,)` of the best label's calibrated probability `p`."""
    # what the other labels have together, since 1 - p has no digits left where p is nearly 1
    ranked = np.sort(np.asarray(probabilities, dtype=np.float64), axis=1)
    best, others = ranked[:, -1], ranked[:, :-1].sum(axis=1)
    found: np.ndarray = np.log(np.maximum(others, SMALLEST)) - np.log(np.maximum(best, SMALLEST))
    return found


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """`-sum(p log p)` `(n,)`, in nats."""
    p = np.asarray(probabilities, dtype=np.float64)
    found: np.ndarray = -(p * np.log(np.maximum(p, SMALLEST))).sum(axis=1)
    return found


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The chance that a text of `outside` `(m,)` scores above one of `inside` `(n,)`, ties half (Hanley & McNeil 1982).

    NaN where either is empty.
    """
    if not len(inside) or not len(outside):
        return float("nan")
    ranked = np.sort(np.asarray(inside, dtype=np.float64))
    below = np.searchsorted(ranked, outside, side="left") + np.searchsorted(ranked, outside, side="right")
    return float(below.mean() / (2 * len(ranked)))
