"""The examples whose label a classifier, that never saw them, disagrees with most."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FIT_ROWS = 20_000
"""A fold is fitted on at most this many rows, so that the check stays a matter of seconds."""


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
