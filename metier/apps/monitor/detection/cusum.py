"""Evidence for a surge, added up: the negative binomial likelihood-ratio CUSUM, for many series at once.

Page (1954); for counts Lucas (1985); with a seasonal mean and negative binomial counts Hoehle & Paul (2008). All
evidence is in nats (natural logarithms of likelihood ratios), so that detectors share one scale and one threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metier.apps.monitor.detection.columns import Array, Columns

RATIO = 2.5
"""The rise that the CUSUM is built to find: expected stories times this."""
OFF = 0.5
"""Its alarm ends when half of the evidence is gone."""


def evidence(count: Array, mean: Array, extra: Array, growth: Array, ratios: Sequence[float]) -> Array:
    """`log p(count | ratio * mean) - log p(count | mean)` `(ratios, series)` of negative binomials.

    The variance of a count of mean `m` is `m (1 + extra + growth m)`: the size is `m / (extra + growth m)`. With
    `extra = 0` the size is the same under both and this is `count log(ratio (mean + size) / (ratio mean + size)) -
    size log((ratio mean + size) / (mean + size))` of Hoehle & Paul (2008); with `growth = 0` a surge is more of the
    same clusters, and one tick full of stories says less than a few that are half full.
    """
    means = np.multiply.outer(np.array([1.0, *ratios]), np.maximum(mean, 1e-12))
    excess = np.maximum(extra + growth * means, 1e-6)
    size, over = means / excess, np.log1p(excess)
    # up to what depends on the count alone
    likelihood = log_gamma(count + size) - log_gamma(size) - size * over + count * (np.log(excess) - over)
    found: Array = likelihood[1:] - likelihood[0]
    return found


def log_gamma(x: Array) -> Array:
    """`log Gamma(x)` for `x > 0`: Stirling's series after eight steps of `Gamma(x + 1) = x Gamma(x)`."""
    z = x + 8
    paired = x * (x + 7)  # (x + 1)(x + 6) is this and 6, and so on
    steps = paired * (paired + 6) * (paired + 10) * (paired + 12)
    inverse = 1 / z
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    found: Array = (z - 0.5) * np.log(z) - z + 0.9189385332046727 + series - np.log(steps)
    return found


class Step(NamedTuple):
    """What one tick did, arrays `(kinds, series)`: the sum before it is held at the threshold, whether one is on."""

    statistic: Array
    on: Array


class Evidence(Columns):
    """Sums of evidence, of several kinds for many series: `S = max(0, S + evidence)`, on from the threshold on.

    `S` is held at the threshold: however long a surge was, its end is seen as soon as that of any other. It is over
    when `S` has fallen to a share of the threshold, or when nothing has spoken for it for a while; then `S` begins at
    zero again. A surge is thought to begin after the last tick with `S = 0`, the maximum-likelihood estimate of the
    change-point (Page 1954).

    Args:
        count: of series.
        off: of each kind, the share of the threshold to which `S` falls when a surge is over.
        patience: seconds after which a surge for which nothing has spoken is over.
    """

    def __init__(self, count: int, off: Sequence[float], patience: float) -> None:
        super().__init__(count, {name: len(off) for name in ("sum", "since", "on", "last")})
        self.off, self.patience = np.array(off)[:, None], patience

    def step(self, start: float, said: Array, threshold: Array, live: Array) -> Step:
        """Adds the evidence of a tick.

        Args:
            start: of the tick, seconds.
            said: `(kinds, series)` nats.
            threshold: `(kinds, series)` nats.
            live: `(series,)` whether the tick counts; where not, sums stand still.
        """
        before, was = self["sum"], self["on"] > 0
        raw = np.maximum(before + said * live, 0.0)
        since = np.where((before == 0) & (raw > 0), start, self["since"])
        last = np.where((said > 0) & live, start, self["last"])
        tired = start - last >= self.patience
        held, reached = np.minimum(raw, threshold), (raw >= threshold) & live
        on = reached | (was & ~tired & (held > self.off * threshold))
        self["sum"] = np.where((was & ~on) | (tired & ~live), 0.0, held)
        self["since"], self["last"], self["on"] = since, last, on
        return Step(raw, on)

    def reset(self, where: Array) -> None:
        """Back to zero, and off."""
        for name in ("sum", "on"):
            self[name] *= ~where
