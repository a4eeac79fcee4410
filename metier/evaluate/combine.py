"""Several signals into one score: by a logistic regression, or by their mean rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PENALTY = 1.0
"""Half of the squared weights' cost, of signals at a standard deviation of one."""
STEPS = 100


@dataclass(frozen=True, slots=True)
class Learned:
    """A logistic regression on signals, none of which counts against a text.

    A signal that is further outside must never make a text less so: with few examples the weights of signals that say
    nearly the same may come out with opposite signs, which holds for these examples alone. A signal whose weight would
    be negative is left out.

    Args:
        names: of the signals.
        mean, spread: `(signals,)`, of texts in scope.
        weights: `(signals,)`, 0 or more.
        bias: one number.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    bias: float

    @classmethod
    def fit(cls, names: Sequence[str], inside: np.ndarray, outside: np.ndarray) -> Learned:
        """From signals `(n, signals)` of texts in scope and `(m, signals)` out of scope, each half of the weight."""
        mean, spread = inside.mean(axis=0), np.maximum(inside.std(axis=0), 1e-9)
        x = (np.concatenate([inside, outside]) - mean) / spread
        y = np.repeat([0.0, 1.0], [len(inside), len(outside)])
        share = np.repeat([0.5 / len(inside), 0.5 / len(outside)], [len(inside), len(outside)]) * len(outside) * 2
        active = np.arange(len(names))
        while True:
            weights, bias = _logistic(x[:, active], y, share)
            if not len(active) or weights.min() >= 0:
                break
            active = np.delete(active, weights.argmin())
        every = np.zeros(len(names))
        every[active] = weights
        return cls(tuple(names), mean, spread, every, bias)

    def score(self, signals: np.ndarray) -> np.ndarray:
        """Probabilities `(n,)` of signals `(n, signals)`."""
        found: np.ndarray = _sigmoid((signals - self.mean) / self.spread @ self.weights + self.bias)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs beside `describe`."""
        return {"mean": self.mean, "spread": self.spread, "weights": self.weights, "bias": np.array([self.bias])}

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        weights = dict(zip(self.names, self.weights.round(4).tolist(), strict=True))
        return {"kind": "learned", "names": list(self.names), "weights": weights}

    @classmethod
    def restore(cls, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Learned:
        """The inverse of `describe` and `arrays`."""
        mean, spread, weights = (arrays[name] for name in ("mean", "spread", "weights"))
        return cls(tuple(told["names"]), mean, spread, weights, float(arrays["bias"][0]))


@dataclass(frozen=True, slots=True)
class Ranks:
    """The mean, over signals, of the share of texts in scope that lie less far outside.

    Args:
        names: of the signals.
        known: `(n, signals)`, those of texts in scope, each column in rising order.
    """

    names: tuple[str, ...]
    known: np.ndarray

    @classmethod
    def fit(cls, names: Sequence[str], inside: np.ndarray) -> Ranks:
        """From signals `(n, signals)` of texts in scope."""
        return cls(tuple(names), np.sort(inside, axis=0))

    def score(self, signals: np.ndarray) -> np.ndarray:
        """Mean quantiles `(n,)` of signals `(n, signals)`."""
        found = [_quantile(known, own) for known, own in zip(self.known.T, signals.T, strict=True)]
        return np.asarray(np.mean(found, axis=0))

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs beside `describe`."""
        return {"known": self.known}

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        return {"kind": "ranks", "names": list(self.names)}

    @classmethod
    def restore(cls, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Ranks:
        """The inverse of `describe` and `arrays`."""
        return cls(tuple(told["names"]), arrays["known"])


def _quantile(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where values stand among sorted ones, 0 to 1, so that what lies further out always stands higher.

    Beyond the last one what is left, 1 / (n + 1), is shared by how far: all outliers at 1 could not be told apart.
    """
    n = len(known)
    distinct, first = np.unique(known, return_index=True)
    last = np.append(first[1:], n)
    inner = np.interp(values, distinct, (first + last + 1) / 2 / (n + 1))
    spread = max(float(known[-1] - known[0]), 1e-9)
    beyond, before = np.maximum(0.0, values - known[-1]) / spread, np.maximum(0.0, known[0] - values) / spread
    top, bottom = 1.0 - inner, inner
    found: np.ndarray = inner + top * beyond / (1 + beyond) - bottom * before / (1 + before)
    return found


def _logistic(x: np.ndarray, y: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias of a penalised logistic regression, by Newton's method; the bias is not penalised."""
    rows = np.column_stack([x, np.ones(len(x))])
    penalty = np.diag([PENALTY] * x.shape[1] + [1e-6])
    found = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        p = _sigmoid(rows @ found)
        slope = rows.T @ (share * (p - y)) + penalty @ found
        bend = (rows * (share * p * (1 - p))[:, None]).T @ rows + penalty
        step = np.linalg.solve(bend, slope)
        found = found - step * min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))  # far off, a whole step may overshoot
        if np.abs(step).max() < 1e-8:
            break
    return found[:-1], float(found[-1])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = 0.5 * (1.0 + np.tanh(0.5 * values))
    return found
