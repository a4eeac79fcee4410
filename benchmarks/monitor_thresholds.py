"""Makes the table of thresholds that the package ships: false episodes of simulated series, under many thresholds.

`python -m benchmarks monitor_thresholds` writes `metier/apps/monitor/detection/thresholds.json`. Its seeds are used for
nothing else.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from typing import Any

import numpy as np

from metier.apps.monitor.detection.baseline import DAY
from metier.apps.monitor.detection.budget import TABLE, Thresholds, log_line
from metier.apps.monitor.detection.detectors import Detectors, Settings
from metier.apps.monitor.detection.simulate import Simulation, World
from metier.run import write_text

RATES = (0.003, 0.03, 0.3, 2.0, 10.0, 60.0)
DISPERSIONS = (1.1, 2.0, 4.0, 8.0)
DAYS = {1.0: (56, 720), 24.0: (28, 90), 96.0: (28, 45)}
"""Ticks a day: days of history before anything is counted, and days that are."""
NATS = {1.0: (1.5, 6.5), 24.0: (3.5, 8.5), 96.0: (4.5, 8.5)}
"""The least and the largest threshold that is tried: about what budgets from one a week to one a quarter need."""
QUIET, QUIET_NATS = 0.5, (2.0, 7.0)
"""In series with fewer stories a tick evidence comes in steps, and less of it is enough."""


def cells(a_day: float, replicas: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`(a, b)`, each `(rates, dispersions)`, for one length of tick: all cells in one bank of series."""
    grid = np.array(list(product(RATES, DISPERSIONS))).repeat(replicas, axis=0)
    quiet = (grid[:, 0] < QUIET) & (a_day > 1)
    spread = np.tile(np.linspace(0, 1, replicas), len(RATES) * len(DISPERSIONS))
    (low, high), (least, most) = NATS[a_day], QUIET_NATS
    nats = np.where(quiet, least + (most - least) * spread, low + (high - low) * spread)
    warm, days = DAYS[a_day]
    tick = DAY / a_day
    world = World(grid[:, 0], tick=tick, dispersion=grid[:, 1], daily=0.5 if a_day > 1 else 0.0)
    bank = Detectors(Settings(tick=tick, warm_up=warm), range(len(grid)), len(grid), lambda *_: nats)
    episodes, before = np.zeros(len(grid)), np.zeros(len(grid), dtype=bool)
    for start, counts, total in Simulation(world, len(grid), int((warm + days) * a_day), seed):
        firing = bank.update(start, counts, total).firing
        episodes += firing & ~before
        before = firing
    lines = [
        log_line(each, seen, days * a_day)
        for each, seen in zip(nats.reshape(-1, replicas), episodes.reshape(-1, replicas), strict=True)
    ]
    shape = (len(RATES), len(DISPERSIONS))
    return tuple(np.array(line).reshape(shape) for line in zip(*lines, strict=True))  # type: ignore[return-value]


def run(replicas: int = 100, seed: int = 1_000_003) -> dict[str, Any]:
    """The table, written into the package, and itself."""
    found = {}
    for a_day in DAYS:
        found[a_day] = cells(a_day, replicas, seed + int(a_day))
        print(f"{a_day:g} ticks a day: {found[a_day]}", file=sys.stderr, flush=True)
    level, slope = (np.stack([lines[at] for lines in found.values()]) for at in (0, 1))
    least = np.array([min(NATS[a_day][0], QUIET_NATS[0]) for a_day in DAYS])
    table = Thresholds(np.array(list(DAYS)), np.array(RATES), np.array(DISPERSIONS), least, level, slope)
    write_text(TABLE, json.dumps(table.content()) + "\n")
    return {"table": table.content(), "replicas": replicas, "seed": seed, "days": {str(k): v for k, v in DAYS.items()}}
