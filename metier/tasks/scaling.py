"""Probabilities from logits, and the one temperature that makes them honest (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np

COLDEST, HOTTEST = 0.02, 50.0
"""The bounds of a fitted temperature: outside them the held-out sample says nothing more."""


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities over the last axis of `logits`, in double precision and without overflow."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=-1, keepdims=True)
    return scaled


def sigmoid(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The logistic function of `logits / temperature`, element by element, without overflow."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    small = np.exp(-np.abs(scaled))
    probability: np.ndarray = np.where(scaled >= 0, 1.0, small) / (1.0 + small)
    return probability


def fit_temperature(logits: np.ndarray, golds: np.ndarray) -> float:
    """The temperature under which held-out `logits` `(n, labels)` have the least negative log-likelihood.

    The likelihood is convex in `1 / temperature`, so the root of its slope is found by bisection. The gold class
    counts `1 - 1 / (n + 2)` and the others share the rest (Platt 1999): a sample without a single error would otherwise
    ask for a temperature of zero and certainty for ever.

    Args:
        logits: what the head said, `(n, labels)`.
        golds: the index of the right label, `(n,)`; rows with a negative index are left out.
    """
    rows = golds >= 0
    scores = np.asarray(logits, dtype=np.float64)[rows]
    if not len(scores) or scores.shape[1] < 2 or not np.isfinite(scores).all():
        return 1.0
    scores = scores - scores.max(axis=1, keepdims=True)
    if not scores.any():
        return 1.0
    miss = 1.0 / (len(scores) + 2.0)
    gold = scores[np.arange(len(scores)), golds[rows]]
    others = (scores.sum(axis=1) - gold) / (scores.shape[1] - 1)
    wanted = float(((1.0 - miss) * gold + miss * others).mean())

    def slope(temperature: float) -> float:
        """The derivative of the loss by `1 / temperature`; it grows as the temperature falls."""
        return float((softmax(scores, temperature) * scores).sum(axis=1).mean()) - wanted

    cold, hot = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(40):
        middle = (cold + hot) / 2
        cold, hot = (middle, hot) if slope(float(np.exp(middle))) > 0 else (cold, middle)
        if hot - cold < 1e-6:
            break
    return float(np.exp((cold + hot) / 2))


def fit_exponent(log_scores: np.ndarray, correct: np.ndarray) -> float:
    """The power to which probabilities must be raised to be right as often as they say.

    For scores that are products over many decisions, whose errors are not independent: one exponent over 1 says that
    they promise too much, one under 1 that they promise too little. The likelihood of being right is convex in it.

    Args:
        log_scores: the logarithms of the probabilities, `(n,)`.
        correct: whether each was right, `(n,)`, 0 or 1.
    """
    if not len(log_scores):
        return 1.0
    logs = np.minimum(np.asarray(log_scores, dtype=np.float64), -1e-9)
    count, hits = len(logs), float(np.sum(correct))
    # Platt's targets (1999) keep the exponent finite when everything was right, or nothing.
    right = np.where(np.asarray(correct) > 0.5, (hits + 1.0) / (hits + 2.0), 1.0 / (count - hits + 2.0))

    def slope(exponent: float) -> float:
        """The derivative of the negative log-likelihood; it grows with the exponent."""
        with np.errstate(over="ignore"):
            odds = 1.0 / np.expm1(-exponent * logs)
        return float((-right * logs + (1.0 - right) * logs * odds).sum())

    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return float(np.exp((low + high) / 2))


def fit_logistic(values: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """`(slope, middle)` of the logistic curve that says how probably a value is positive (Platt 1999).

    Newton's method on standardised values, with Platt's targets and a very weak pull to zero, so that it ends.

    Args:
        values: `(n,)`.
        positive: `(n,)`, booleans of both kinds.
    """
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    x = np.stack([(values - centre) / spread, np.ones(len(values))], axis=1)
    count, hits = len(values), float(positive.sum())
    wanted = np.where(positive, (hits + 1.0) / (hits + 2.0), 1.0 / (count - hits + 2.0))
    weights = np.zeros(2)
    for _ in range(50):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - wanted) + 1e-6 * weights
        curvature = (x * (p * (1.0 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    slope = weights[0] / spread
    if abs(slope) < 1e-9:
        return 0.0, 0.0
    return float(slope), float(centre - weights[1] / slope)
