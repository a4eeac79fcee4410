"""Simulated surges: how many false episodes a month, how many surges are caught, how late. Seeds serve nothing else.

One bank of series runs every world side by side: 192 negative stories a day in ticks of 15 minutes unless the world
says otherwise; 28 days of history, 14 where it is short, before any figure counts; surges of 12 hours that begin at any
tick, the first within ten days, then one every ten days. A delay is from the begin of a surge to the end of the tick in
which an alarm fires. Surges that begin while an alarm is on are left out. Beside the worlds stands what a CUSUM would
do that knows its world: the true mean, the dispersion, the size of the surge that comes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from metier.apps.monitor.detection.cusum import evidence
from metier.apps.monitor.detection.detectors import Detectors, Settings
from metier.apps.monitor.detection.simulate import MONDAY, Simulation, Surges, World, season
from metier.apps.monitor.detection.simulate import counts as drawn

A_DAY = 96
USUAL = {"rate": 2.0, "dispersion": 2.0, "growth": 0.0, "daily": 0.5, "weekend": 0.6, "drift": 0.0}
USUAL |= {"copies": 0, "missed": 0.0, "volume": 0.0, "others": 1.0, "stream": 3.0}
WORLDS: dict[str, dict[str, float]] = {
    "variance/mean 1.2": {"dispersion": 1.2},
    "variance/mean 2": {},
    "variance/mean 4": {"dispersion": 4.0},
    "size 2 (variance rises with the rate)": {"dispersion": 1.0, "growth": 0.5},
    "no cycle": {"daily": 0.0, "weekend": 1.0},
    "steep cycle: 9 to 1 in a day, weekend 0.4": {"daily": 0.8, "weekend": 0.4},
    "drift + 1 % a day": {"drift": 0.01},
    "drift - 1 % a day": {"drift": -0.01},
    "volume of the stream flickers by 30 % for hours": {"volume": 0.3},
    "every story three times, a tenth of the copies not recognised": {"copies": 2, "missed": 0.1},
    "every story three times, no copy recognised": {"copies": 2, "missed": 1.0},
    "10 negative stories a day": {"rate": 10 / A_DAY},
    "1 negative story a day": {"rate": 1 / A_DAY},
}
KNOWN = ("variance/mean 1.2", "variance/mean 2", "variance/mean 4", "steep cycle: 9 to 1 in a day, weekend 0.4")
BARS = {
    "false": 1.1,
    "false, copied": 1.3,
    "x6": {"caught": 1.0, "median minutes": 60},
    "x3": {"within 6 h": 0.98, "median minutes": 120},
}


def world(columns: list[Mapping[str, float]]) -> World:
    """Worlds side by side, one a column."""
    whole = {name: np.array([{**USUAL, **each}[name] for each in columns]) for name in USUAL}
    return World(**{**whole, "copies": whole["copies"].astype(int)})  # type: ignore[arg-type]


def false_episodes(worlds: Mapping[str, Mapping[str, float]], series: int, history: int, seed: int) -> dict[str, Any]:
    """Episodes in 30 days after `history` days, `series` of each world; and which detectors began them."""
    columns = [each for each in worlds.values() for _ in range(series)]
    bank = Detectors(Settings(warm_up=history - 2), range(len(columns)), len(columns))
    shape = (len(worlds), series)
    before = np.zeros((4, len(columns)), dtype=bool)
    found = np.zeros((4, len(columns)))
    simulation = Simulation(world(columns), len(columns), (history + 30) * A_DAY, seed)
    for tick, (start, counts, total) in enumerate(simulation):
        signals = bank.update(start, counts, total)
        on = np.concatenate([signals.on, signals.firing[None]])
        found += on & ~before & (tick >= history * A_DAY)
        before = on
    means = [each.reshape(shape).mean(axis=1) for each in found]
    nats = bank.update(start + 900, counts, total).threshold[0].reshape(shape).mean(axis=1)
    return {
        name: {
            "a month": round(float(means[3][at]), 3),
            "standard error": round(float(found[3].reshape(shape)[at].std() / series**0.5), 3),
            "by detector": {kind: round(float(means[k][at]), 3) for k, kind in enumerate(("cusum", "burst", "shift"))},
            "threshold": round(float(nats[at]), 2),
        }
        for at, name in enumerate(worlds)
    }


def surges(worlds: Mapping[str, Mapping[str, float]], series: int, history: int, seed: int) -> dict[str, Any]:
    """Three surges in each of `series` series of each world, three and six times the usual rate."""
    columns = [each for each in worlds.values() for _ in range(2 * series)]
    ratio = np.tile(np.repeat([3.0, 6.0], series), len(worlds))
    draw = np.random.default_rng(seed)
    begin, every, last = history * A_DAY + draw.integers(0, 10 * A_DAY, len(columns)), 10 * A_DAY, A_DAY // 2
    bank = Detectors(Settings(warm_up=history - 2), range(len(columns)), len(columns))
    delays: list[list[float]] = [[] for _ in columns]
    waits, before = np.full(len(columns), False), np.zeros(len(columns), dtype=bool)
    put = Surges(begin, every, last, ratio)
    for tick, (start, counts, total) in enumerate(
        Simulation(world(columns), len(columns), (history + 31) * A_DAY, seed + 1, put)
    ):
        firing, since = bank.update(start, counts, total).firing, (tick - begin) % every
        waits |= (tick >= begin) & (tick < begin + 3 * every) & (since == 0) & ~before
        for place in np.flatnonzero(waits & (firing | (since == last - 1))).tolist():
            delays[place].append(15.0 * (since[place] + 1) if firing[place] else np.inf)
        waits &= ~firing & (since < last - 1)
        before = firing
    grouped = np.array(delays, dtype=object).reshape(len(worlds), 2, series)
    return {
        name: {f"x{size}": _told(sum(grouped[at, k], [])) for k, size in enumerate((3, 6))}
        for at, name in enumerate(worlds)
    }


def _told(delays: list[float]) -> dict[str, float | None]:
    """Shares and quantiles of delays; none where so many were not caught."""
    each = np.array(delays)
    middle, late = float(np.median(each)), float(np.quantile(each, 0.9, method="higher"))
    return {
        "surges": len(each),
        "caught": round(float(np.isfinite(each).mean()), 4),
        "within 6 h": round(float((each <= 360).mean()), 4),
        "median minutes": middle if np.isfinite(middle) else None,
        "nine in ten, minutes": late if np.isfinite(late) else None,
    }


def knowing(one: World, ratio: float, seed: int, series: int = 400, days: int = 30) -> dict[str, Any]:
    """What a CUSUM reaches that knows mean, dispersion and ratio, with one false episode in 30 days."""
    draw, grid = np.random.default_rng(seed), np.linspace(4.0, 8.0, 9)
    limit, excess = np.resize(grid, series), np.full(series, float(one.dispersion) - 1)
    total, on, episodes = np.zeros(series), np.zeros(series, dtype=bool), np.zeros(series)
    for tick in range(days * A_DAY):
        mean = np.full(series, 2.0 * season(one, MONDAY + tick * 900))
        said = evidence(drawn(draw, mean, one), mean, excess, 0 * mean, [ratio])[0]
        total = np.clip(total + said, 0.0, limit)
        now = (total >= limit) | (on & (total > limit / 2))
        episodes += now & ~on
        on = now
    rates = [episodes[limit == at].mean() * 30 / days + 1e-3 for at in grid]
    slope, level = np.polyfit(grid, np.log(rates), 1)
    return {"threshold": round(float(-level / slope), 2), **_knowing_surges(one, ratio, -level / slope, draw)}


def _knowing_surges(one: World, ratio: float, limit: float, draw: np.random.Generator) -> dict[str, Any]:
    begin = draw.integers(0, 7 * A_DAY, 1000)
    total, delay = np.zeros(len(begin)), np.full(len(begin), np.inf)
    for tick in range(-A_DAY // 4, A_DAY // 2):
        mean = np.array([2.0 * season(one, MONDAY + ((at + tick) % (7 * A_DAY)) * 900) for at in begin])
        counts = drawn(draw, mean * (ratio if tick >= 0 else 1.0), one)
        said = evidence(counts, mean, np.full(len(mean), one.dispersion - 1), 0 * mean, [ratio])[0]
        total = np.clip(total + said, 0.0, limit)
        if tick >= 0:
            delay = np.where((total >= limit) & np.isinf(delay), (tick + 1) * 15.0, delay)
    return _told(delay.tolist())


def speed(series: int = 3000, ticks: int = 100) -> dict[str, float]:
    """Microseconds a series and tick, and numbers remembered of a series."""
    bank = Detectors(Settings(), range(series))
    feed = list(Simulation(World(0.1), series, ticks, 1))
    start = time.process_time()
    for at, counts, total in feed:
        bank.update(at, counts, total[:1])
    return {
        "series": series,
        "microseconds of processor": round((time.process_time() - start) / ticks / series * 1e6, 2),
        "bytes a series": 8 * bank.width,
    }


def run(series: int = 200, surging: int = 100, seed: int = 4_000_037) -> dict[str, Any]:
    """All of it. `series` of each world are watched for 30 days; `surging` have three surges of each size."""
    short = {"variance/mean 2, 14 days of history": {}, "10 a day, 14 days of history": {"rate": 10 / A_DAY}}
    parts = {
        "false episodes": lambda: {
            **false_episodes(WORLDS, series, 28, seed),
            **false_episodes(short, series, 14, seed + 1),
        },
        "surges": lambda: {**surges(WORLDS, surging, 28, seed + 2), **surges(short, surging, 14, seed + 4)},
        "a CUSUM that knows the world": lambda: {
            name: {
                f"x{size}": knowing(World(2.0, **{"dispersion": 2.0, **WORLDS[name]}), size, seed + 6)
                for size in (3, 6)
            }
            for name in KNOWN
        },
        "speed": speed,
    }
    found = {}
    for name, make in parts.items():
        found[name] = make()
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return {**found, "bars": BARS, "usual": USUAL, "worlds": WORLDS, "history days": 28, "surge hours": 12}
