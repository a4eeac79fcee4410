"""Does the tone turn? Sentiment of stories against their own past: a CUSUM of normal residuals, of many series at once.

Page (1954), on standardised residuals as in Lucas & Crosier (1982). It is a second signal: its threshold is higher.
"""

from __future__ import annotations

import numpy as np

from metier.apps.monitor.detection.baseline import DAY
from metier.apps.monitor.detection.columns import Array, Columns

DROP = 0.75
"""The fall of the mean that is looked for, in standard deviations of a story."""
HALF = 28.0
"""Half-life of mean and variance, in days."""
PRIOR = 20.0
"""Stories by which the mean is drawn to neutral and the variance to `VARIANCE`."""
VARIANCE = 0.3
CUT = 3.0
"""Residuals are cut at so many standard deviations: one odd tick is no turn."""


class Sentiment(Columns):
    """Mean and spread of the sentiment of many series."""

    def __init__(self, count: int, tick: float) -> None:
        super().__init__(count, dict.fromkeys(("stories", "sum", "ticks", "square"), 1))
        self._keep = 0.5 ** (tick / DAY / HALF)

    def mean(self) -> Array:
        """Expected sentiment `(series,)` of a story, -1 to 1."""
        return self["sum"] / (self["stories"] + PRIOR)

    def residual(self, stories: Array, sentiment: Array) -> Array:
        """Residual `(series,)` of the sum of the sentiments of a tick, in standard deviations; zero without stories."""
        spread = (self["square"] + PRIOR * VARIANCE) / (self["ticks"] + PRIOR)
        some = np.maximum(stories, 1)
        found = (sentiment - stories * self.mean()) / np.sqrt(some * np.maximum(spread, 0.01))
        return np.where(stories > 0, np.clip(found, -CUT, CUT), 0.0)

    def learn(self, stories: Array, sentiment: Array, live: Array) -> None:
        """Takes in the sums of a tick where `live` is true and there were stories."""
        live = live & (stories > 0)
        square = (sentiment - stories * self.mean()) ** 2 / np.maximum(stories, 1)
        kept = np.where(live, self._keep, 1.0)
        for name, value in (("stories", stories), ("sum", sentiment), ("ticks", 1.0), ("square", square)):
            row = self[name]
            row *= kept
            row += value * live


def evidence(residual: Array, stories: Array) -> Array:
    """Log-likelihood ratio `(series,)` of a mean that fell by `DROP` standard deviations of a story, in nats.

    The sum of `n` stories is normal with variance `n`: `-drop sqrt(n) z - n drop**2 / 2`.
    """
    found: Array = -DROP * np.sqrt(stories) * residual - stories * DROP**2 / 2
    return found
