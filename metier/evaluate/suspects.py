"""The examples whose label a classifier, that never saw them, disagrees with most."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

FIT_ROWS = 20_000
"""A fold is fitted on at most this many rows, so that the check stays a matter of seconds."""

FEWEST = 5
"""Texts that must carry a label, and lack it, before it is doubted anywhere."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Row `index` carries the label `given`; the others of its kind say `suggested`. `score` in (0, 1] ranks them."""

    index: int
    given: str
    suggested: str
    score: float


def suspects(
    embeddings: np.ndarray, labels: Sequence[str], *, folds: int = 5, seed: int = 0, top: int = 50
) -> list[Suspect]:
    """Labels that are probably wrong, the surest first: confident learning (Northcutt, Jiang & Chuang, 2021).

    Probabilities come out of fold, from a logistic regression on the embeddings. A label is doubted where another
    class reaches the confidence that its own members have on average, and the given one does not; the rank is the
    margin between the two.

    Args:
        embeddings: `(n, width)`, of the frozen backbone rather than the fitted one, which has learned the errors.
        labels: the given labels, `n` of them.
        folds: classes with fewer examples than folds are never doubted: nothing could be known of them.

    Returns:
        At most `top` suspects; none where fewer than two classes are large enough.

    Raises:
        ValueError: if `embeddings` is not `(len(labels), width)`.
    """
    if embeddings.ndim != 2 or len(embeddings) != len(labels):
        raise ValueError(f"embeddings {embeddings.shape} for {len(labels)} labels")
    classes, given, counts = np.unique(
        np.asarray(labels, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    large = counts >= folds
    rows = np.flatnonzero(large[given])
    if large.sum() < 2:
        return []
    kept = np.flatnonzero(large)
    code = np.searchsorted(kept, given[rows])
    probabilities = out_of_fold(embeddings[rows], code, folds=folds, seed=seed)
    suggested, margin = doubts(probabilities, code)
    ranked = np.argsort(-margin, kind="stable")[:top]
    return [
        Suspect(int(rows[i]), str(classes[kept[code[i]]]), str(classes[kept[suggested[i]]]), float(margin[i]))
        for i in ranked
        if margin[i] > 0
    ]


def doubtful_sets(embeddings: np.ndarray, labels: Sequence[Collection[str]], *, top: int = 50) -> list[Suspect]:
    """As `suspects`, for any number of labels a text: each label is a class against the rest.

    A label is doubted where its score, with the text left out, is nearer to what the texts on the other side have on
    average than to its own side's; `suggested` is the set with the doubted labels turned over, `score` the largest
    distance of one of them.
    """
    names = sorted({name for chosen in labels for name in chosen})
    given = np.array([[name in chosen for name in names] for chosen in labels], dtype=np.float64)
    positives = given.sum(axis=0)
    kept = np.flatnonzero((positives >= FEWEST) & (len(labels) - positives >= FEWEST))
    if not len(kept):
        return []
    given = given[:, kept]
    found = left_out(_unit(embeddings), given)
    inside, outside = ((found * side).sum(axis=0) / side.sum(axis=0) for side in (given, 1 - given))
    middle = (inside + outside) / 2
    doubted = np.where(given > 0, found < middle, found > middle) & (inside > outside)
    distance = (np.abs(found - given) * doubted).max(axis=1)
    ranked = np.argsort(-distance, kind="stable")[:top]
    suspects = []
    for at in ranked[distance[ranked] > 0]:
        turned = {names[label] for label in kept[doubted[at]]}
        instead = turned.symmetric_difference(labels[at])
        score = min(float(distance[at]), 1.0)
        suspects.append(Suspect(int(at), "|".join(sorted(labels[at])), "|".join(sorted(instead)), score))
    return suspects


def doubtful_numbers(embeddings: np.ndarray, values: Sequence[float], *, top: int = 50) -> list[Suspect]:
    """As `suspects`, for numbers: those farther than three deviations from what the other texts let expect.

    The deviation is the robust one, 1.4826 times the median distance; `score` is the share of the distance that lies
    beyond three of them.
    """
    given = np.array(values, dtype=np.float64)
    if len(given) < 2 * FEWEST or np.ptp(given) == 0:
        return []
    centre = given.mean()
    found = left_out(_unit(embeddings), (given - centre)[:, None])[:, 0] + centre
    distance = np.abs(given - found)
    far = 3 * 1.4826 * float(np.median(distance))
    ranked = np.argsort(-distance, kind="stable")[:top]
    return [
        Suspect(int(at), f"{given[at]:g}", f"{found[at]:.3g}", float(1 - far / distance[at]))
        for at in ranked[distance[ranked] > far]
    ]


def left_out(vectors: np.ndarray, targets: np.ndarray, *, strength: float = 1.0) -> np.ndarray:
    """What a ridge regression says of each row when it is fitted on all the others, `(n, outputs)`.

    One fit gives them all: the residual of row i divided by `1 - h_i`, its leverage (Allen 1974, PRESS).
    """
    rows = np.hstack([vectors, np.ones((len(vectors), 1), dtype=vectors.dtype)]).astype(np.float64)
    solved = np.linalg.solve(rows.T @ rows + strength * np.eye(rows.shape[1]), rows.T)
    leverage = np.einsum("nd,dn->n", rows, solved)[:, None]
    found: np.ndarray = (rows @ (solved @ targets) - leverage * targets) / (1 - leverage)
    return found


def doubts(probabilities: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class that confident learning puts in the place of each given one, and how surely.

    Args:
        probabilities: `(n, classes)`, out of fold.
        given: `(n,)` codes of the given classes; every class occurs.

    Returns:
        `(suggested, margin)`, both `(n,)`; the margin is 0 where the given label stands.
    """
    n, classes = probabilities.shape
    own = probabilities[np.arange(n), given]
    threshold = np.bincount(given, weights=own, minlength=classes) / np.bincount(given, minlength=classes)
    confident = np.where(probabilities >= threshold, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    margin = probabilities[np.arange(n), suggested] - own
    doubted = (confident.max(axis=1) >= 0) & (suggested != given) & (margin > 0)
    return suggested, np.where(doubted, margin, 0.0)


def out_of_fold(embeddings: np.ndarray, given: np.ndarray, *, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Probabilities `(n, classes)` of a logistic regression that was fitted on the other folds.

    Args:
        embeddings: `(n, width)`.
        given: `(n,)` codes `0 .. classes-1`, each of them at least `folds` times.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    scaled = _unit(embeddings)
    probabilities = np.zeros((len(given), int(given.max()) + 1))
    generator = np.random.default_rng(seed)
    for train, held in StratifiedKFold(folds, shuffle=True, random_state=seed).split(scaled, given):
        # A stratified fold may be thinned at random: a class that vanishes keeps the probability 0 in that fold.
        fitted = generator.choice(train, FIT_ROWS, replace=False) if len(train) > FIT_ROWS else train
        with warnings.catch_warnings():
            # Ranking doubts needs no optimum to the last digit; the bound on the iterations bounds the time.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=10.0, max_iter=60).fit(scaled[fitted], given[fitted])
        probabilities[np.ix_(held, model.classes_)] = model.predict_proba(scaled[held])
    return probabilities


def _unit(embeddings: np.ndarray) -> np.ndarray:
    """Rows of length 1, so that the strength of the regularisation means the same for every backbone."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: np.ndarray = (embeddings / np.maximum(norms, 1e-12)).astype(np.float32)
    return scaled
