"""What the detectors say of many series after one tick, and the picture of one series over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metier.apps.monitor.detection.baseline import quantiles
from metier.apps.monitor.detection.columns import Array
from metier.apps.monitor.item import Signal

NAMES = ("cusum", "burst", "shift")


@dataclass(frozen=True)
class Signals:
    """What the detectors say of all series after one tick; arrays `(series,)`, or `(3, series)`: cusum, burst, shift.

    Args:
        start: of the tick.
        live: whether the tick counted; not in a gap of the collection.
        observed: negative stories.
        expected: of them, with the volume of the stream, and `variance`.
        statistic: nats.
        threshold: nats; infinite while a series warms up.
        on: whether a surge is on.
        since: where the detector thinks that it began.
    """

    start: float
    live: Array
    observed: Array
    expected: Array
    variance: Array
    statistic: Array
    threshold: Array
    on: Array
    since: Array

    @property
    def firing(self) -> Array:
        """Whether any detector says that a surge is on, `(series,)`."""
        found: Array = np.asarray(self.on.any(axis=0))
        return found

    def band(self, places: Sequence[int]) -> tuple[Array, Array]:
        """The least and the most of 95 % of counts, `(places,)` each."""
        mean, variance = self.expected[places], self.variance[places]
        return quantiles(mean, variance, 0.025), quantiles(mean, variance, 0.975)

    def of(self, place: int) -> Signal:
        """The signal of one series; see `each`."""
        return self.each([place])[0]

    def each(self, places: Sequence[int]) -> list[Signal]:
        """The signals of some series. One that warms up has no thresholds and does not fire."""
        low, high = (side.tolist() for side in self.band(places))
        expected, observed = self.expected[places].tolist(), self.observed[places].tolist()
        found = []
        for at, place in enumerate(places):
            on, limits = self.on[:, place].tolist(), self.threshold[:, place].tolist()
            firing = tuple(name for name, speaks in zip(NAMES, on, strict=True) if speaks)
            signal = Signal(
                start=self.start,
                expected=expected[at],
                low=low[at],
                high=high[at],
                observed=int(observed[at]),
                statistic=dict(zip(NAMES, self.statistic[:, place].tolist(), strict=True)),
                threshold=dict(zip(NAMES, limits, strict=True)) if np.isfinite(limits[0]) else {},
                firing=firing,
                since=float(self.since[self.on[:, place], place].min()) if firing else None,
            )
            found.append(signal)
        return found


def picture(signals: Sequence[Signal]) -> dict[str, list[Any]]:
    """Counts, expected band, statistics and alarms of one series on one time axis: columns of the same length.

    Of each detector `NAME` there are `NAME` and `NAME_threshold` (`None` while the series warms up); `firing` says
    which surges were on, and `since` when they are thought to have begun.
    """
    columns: dict[str, list[Any]] = {
        name: [getattr(signal, name) for signal in signals]
        for name in ("start", "observed", "expected", "low", "high", "since")
    }
    for name in NAMES:
        columns[name] = [signal.statistic.get(name) for signal in signals]
        columns[f"{name}_threshold"] = [signal.threshold.get(name) for signal in signals]
    columns["firing"] = [list(signal.firing) for signal in signals]
    return columns
