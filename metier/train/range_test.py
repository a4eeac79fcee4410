"""The learning-rate range test (Smith 2017): a few updates at rates that rise from far too low to far too high.

Smith lets the rate grow linearly and reads the curve by eye. Howard and Gugger (2020) let it grow by a constant factor,
smooth the loss by an exponential average without its bias, stop where the loss explodes, and suggest the rate at which
the smoothed loss falls fastest; or, bolder, a tenth of the rate at which it is least. This is their form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metier.train.loop import Fit

STEPS = 60
SMOOTHING = 0.9
"""Share of the past in the average of losses; 0.98 in the paper's library, which takes more steps than these."""
EXPLOSION = 3.0
"""The loss over the least one so far that ends the test."""
SKIPPED = 5
"""Updates at the beginning at which the average knows too little to be compared."""


@dataclass(frozen=True)
class Curve:
    """Learning rates and the smoothed losses after the updates before them, both `(steps,)`."""

    rates: np.ndarray
    losses: np.ndarray

    @property
    def steepest(self) -> float | None:
        """The rate at which the loss falls fastest as the logarithm of the rate grows; `None` where it never falls."""
        if len(self.rates) < SKIPPED + 3:
            return None
        slopes = np.gradient(self.losses, np.log(self.rates))[SKIPPED:]
        place = int(slopes.argmin())
        return float(self.rates[SKIPPED + place]) if slopes[place] < 0 else None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate at which the loss is least."""
        if len(self.rates) <= SKIPPED:
            return None
        return float(self.rates[SKIPPED + int(self.losses[SKIPPED:].argmin())] / 10)


def range_test(
    fit: Fit, low: float, high: float, steps: int = STEPS, tick: Callable[[int], None] = lambda units: None
) -> Curve:
    """Updates `fit.network` at most `steps` times, at rates from `low` to `high`. Its weights are of no use then.

    Args:
        fit: a loop before its first step; its optimiser's own rate scales nothing here.
        low: the first rate.
        high: the last one, if the loss does not explode before.
        steps: updates.
        tick: told of each update; what it raises ends the test.

    Raises `ValueError` where `low` is not below `high`.
    """
    if not 0 < low < high:
        raise ValueError(f"the rates must rise from above 0 (found {low} to {high})")
    fit.network.train()
    rates, losses, average, least = [], [], 0.0, float("inf")
    batches = _endless(fit, steps)
    for step, rate in enumerate(np.geomspace(low, high, steps).tolist()):
        tick(1)
        loss = _update(fit, batches[step], rate)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (step + 1))
        if not np.isfinite(smoothed) or (step >= SKIPPED and least > 0 and smoothed > EXPLOSION * least):
            break
        rates.append(rate)
        losses.append(smoothed)
        least = min(least, smoothed) if step >= SKIPPED else least
    fit.optimiser.close()
    return Curve(np.array(rates), np.array(losses))


def _endless(fit: Fit, steps: int) -> list[np.ndarray]:
    """The units of the first `steps` batches, over as many epochs as that takes."""
    found: list[np.ndarray] = []
    epoch = 0
    while len(found) < steps:
        found += fit.source.plan(epoch)
        epoch += 1
    return found[:steps]


def _update(fit: Fit, units: np.ndarray, rate: float) -> float:
    """One update at a rate; returns the loss before it."""
    loss = 0.0
    for found in fit.objective(fit.source.batch(units)):
        found.backward()  # type: ignore[no-untyped-call]
        loss += float(found.detach())
    fit.optimiser.clip(fit.settings.clip)
    fit.optimiser.step(rate / fit.optimiser.lr)
    fit.optimiser.zero_grad()
    return loss
