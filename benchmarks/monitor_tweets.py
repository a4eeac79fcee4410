"""Do surges of negative tweets about a share say anything of how far its price moves, that day or the next?

The stream: 25,000 tweets of 2014 and 2015 about 25 shares. The sentiment is that of the run of `monitor_replays`, which
learned it from PhraseBank and has seen no tweet. A tweet counts for every share that it names, once a story, in the
session (close to close, New York) in which it was written. What was to be compared was written down before a price was
looked at:

- Movement: the absolute return of the session over its mean in the 60 sessions before; of the session and of the next.
- Surge: the session in which the monitor's own detectors begin to fire on the series of a share (daily ticks, its
  defaults, one false alarm a series in 30 days). Effect: mean movement of these less the mean of all others.
- Beside it, of all sessions: the correlation of the excess of negative stories (square root, less its mean in the 20
  sessions before) with the logarithm of movement; and the same of stories whatever their sentiment.
- Chance: shares change places (10,000 times): surges of one against the movement of another on the same days, so that
  what all shares do together is no finding. Intervals draw weeks with replacement.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.monitor_replays import DAY, fitted
from benchmarks.quality import data, kept
from metier.apps.monitor.alarm import told
from metier.apps.monitor.counting import Closed, Counter
from metier.apps.monitor.detection.baseline import Calendar
from metier.apps.monitor.detection.detectors import Detectors, Settings
from metier.apps.monitor.item import Item, SeriesKey, Understood
from metier.apps.monitor.stories.assign import Stories
from metier.apps.monitor.understand import Heads, Reader
from metier.model import Model
from metier.types import Prediction

NEW_YORK = ZoneInfo("America/New_York")
CLOSE = timedelta(hours=16)
USUAL_MOVE, USUAL_STORIES = 60, 20
"""Sessions before, over which the usual is taken."""
LEAST = 5e-4
"""Added to returns before their logarithm is taken: some are nothing."""
WEEK = 5
TONES = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Tweets:
    """What was written: when (seconds since 1970), about which shares, and what."""

    times: list[float]
    shares: list[list[str]]
    texts: list[str]


@dataclass(frozen=True)
class Prices:
    """The sessions `(n,)`, the shares `(m,)` and the returns `(n, m)`, close to close; NaN where there is none."""

    sessions: list[str]
    shares: list[str]
    returns: np.ndarray


def tweets(most: int) -> Tweets:
    """The first `most` of the stream; 0: all."""
    import polars as pl

    rows = pl.read_csv(data("finance_tweets/tweets.csv.gz"))
    rows = rows.head(most) if most else rows
    rows = rows.with_columns(pl.col("also").fill_null(""))
    return Tweets(
        [datetime.fromisoformat(time).timestamp() for time in rows["time"]],
        [
            list(dict.fromkeys([one, *filter(None, also.split("|"))]))
            for one, also in rows.select("ticker", "also").iter_rows()
        ],
        rows["text"].to_list(),
    )


def prices() -> Prices:
    """Returns of adjusted closes."""
    import polars as pl

    wide = pl.read_csv(data("finance_tweets/prices.csv.gz")).pivot("ticker", index="date", values="adj_close")
    wide = wide.sort("date")
    shares = sorted(name for name in wide.columns if name != "date")
    closes = wide.select(shares).to_numpy().astype(float)
    returns = np.full_like(closes, np.nan)
    returns[1:] = closes[1:] / closes[:-1] - 1
    return Prices(wide["date"].to_list(), shares, returns)


# -- sentiment -----------------------------------------------------------------------------------------------------
def sentiments(texts: Sequence[str], run: Path, cache: Path, part: int = 500) -> np.ndarray:
    """Probabilities `(n, 3)` of `TONES`; those that are read are kept in a file, so that it goes on after a stop."""
    known = np.load(cache) if cache.is_file() else np.zeros((0, 3), dtype=np.float32)
    if len(known) >= len(texts):
        return known[: len(texts)]
    reader = Reader(Model(run, threads=1), Heads(topic=""))
    while len(known) < len(texts):
        batch = texts[len(known) : len(known) + part]
        read = reader([Item(str(at), text, 0.0, 0.0) for at, text in enumerate(batch)])
        rows = [[one.understood.sentiment.probabilities[tone] for tone in TONES] for one in read]
        known = np.concatenate([known, np.array(rows, dtype=np.float32)])
        np.save(cache, known)
        print(f"read {len(known):,} of {len(texts):,}", file=sys.stderr, flush=True)
    return known


# -- counts --------------------------------------------------------------------------------------------------------
def closes(sessions: Sequence[str]) -> np.ndarray:
    """When each session closes, seconds since 1970."""
    days = [datetime.fromisoformat(day).replace(tzinfo=NEW_YORK) + CLOSE for day in sessions]
    return np.array([day.timestamp() for day in days])


def understood(found: Tweets, shares: np.ndarray, sessions: Sequence[str]) -> Iterator[tuple[Understood, list[str]]]:
    """Tweets of which the time is that of their session: the day of its date, UTC. Those after the last are left out.

    Within a session they keep their order.
    """
    ends = closes(sessions)
    begins = [datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() for day in sessions]
    for at, (time, named, text) in enumerate(zip(found.times, found.shares, found.texts, strict=True)):
        session = int(np.searchsorted(ends, time, side="right"))
        if session < len(ends):
            moment = begins[session] + DAY * min(0.999, max(0.0, 1 - (ends[session] - time) / (4 * DAY)))
            probable = dict(zip(TONES, map(float, shares[at]), strict=True))
            label = max(probable, key=probable.__getitem__)
            said = Prediction(label, probable[label], probabilities=probable)
            yield Understood(Item(str(at), text, moment, moment), (), said), named


@dataclass(frozen=True)
class Counts:
    """Of every session and share: stories, negative ones, whether detectors fire and begin to, and are warm."""

    stories: np.ndarray
    negatives: np.ndarray
    firing: np.ndarray
    begins: np.ndarray
    warm: np.ndarray


def counted(found: Tweets, shares: np.ndarray, known: Prices) -> tuple[Counts, dict[str, int]]:
    """Stories, counts and detectors, as the monitor has them."""
    counter, stream = Counter(DAY, 0.0), list(understood(found, shares, known.sessions))
    stories = Stories().assign([one.item for one, _ in stream])
    settings = Settings(tick=DAY, calendar=Calendar("UTC", frozenset(range(5))))
    detectors, ticks = Detectors(settings), _Ticks(known)
    tally = {"tweets": 0, "stories": 0, "negative": 0}
    for (one, named), assigned in zip(stream, stories, strict=True):
        for closed in counter.pass_(one.item.time):
            ticks.take(closed, detectors)
        counter.count(one, assigned.new, {share: [share] for share in named})
        tally["tweets"] += 1
        tally["stories"] += assigned.new
        tally["negative"] += assigned.new and one.sentiment.label == "negative" and one.sentiment.score >= 0.5
    for closed in counter.pass_(counter.last + 2 * DAY):
        ticks.take(closed, detectors)
    return ticks.counts(), tally


class _Ticks:
    """Closed ticks as columns."""

    def __init__(self, known: Prices) -> None:
        self.shares = known.shares
        self.place = {day: at for at, day in enumerate(known.sessions)}
        shape = known.returns.shape
        self.stories, self.negatives = np.zeros(shape), np.zeros(shape)
        self.firing, self.warm = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.on, self.begins = np.zeros(shape[1], dtype=bool), np.zeros(shape, dtype=bool)

    def take(self, closed: Closed, detectors: Detectors) -> None:
        signals = told(detectors, closed)
        at = self.place.get(f"{datetime.fromtimestamp(closed.start, UTC):%Y-%m-%d}")
        if at is None:
            return  # no session: nothing counts in it
        for column, share in enumerate(self.shares):
            series = SeriesKey(company=share)
            tick, place = closed.ticks.get(series), detectors.places.get(series)
            if tick is not None:
                self.stories[at, column], self.negatives[at, column] = tick.stories, tick.negatives
            if place is not None:
                self.firing[at, column] = signals.firing[place]
                self.warm[at, column] = signals.live[place] and np.isfinite(signals.threshold[0][place])
        self.begins[at] = self.firing[at] & ~self.on
        self.on = self.firing[at].copy()

    def counts(self) -> Counts:
        return Counts(self.stories, self.negatives, self.firing, self.begins, self.warm)


# -- figures -------------------------------------------------------------------------------------------------------
def before(values: np.ndarray, sessions: int) -> np.ndarray:
    """The mean of the `sessions` rows before each; NaN where there are not so many, or one of them is none."""
    sums = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), np.nan_to_num(values)]), axis=0)
    missing = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), np.isnan(values)]), axis=0)
    found = np.full_like(values, np.nan, dtype=float)
    found[sessions:] = (sums[sessions:-1] - sums[: -sessions - 1]) / sessions
    found[sessions:][(missing[sessions:-1] - missing[: -sessions - 1]) > 0] = np.nan
    return found


def difference(chosen: np.ndarray, moves: np.ndarray) -> float:
    """Mean movement where chosen, less the mean elsewhere; of what is there."""
    there = np.isfinite(moves)
    yes, no = there & (chosen > 0), there & (chosen == 0)  # a place that is not watched is NaN, and neither
    return float(moves[yes].mean() - moves[no].mean()) if yes.any() and no.any() else float("nan")


def correlation(excess: np.ndarray, moves: np.ndarray) -> float:
    """Pearson's, of the places where both are there."""
    there = np.isfinite(excess) & np.isfinite(moves)
    return float(np.corrcoef(excess[there], moves[there])[0, 1])


Statistic = Callable[[np.ndarray, np.ndarray], float]


def against_chance(
    statistic: Statistic, said: np.ndarray, moves: np.ndarray, shuffles: int, seed: int
) -> dict[str, Any]:
    """The statistic, its interval (weeks drawn again), and how often shuffled shares reach it, in either direction."""
    draw, value = np.random.default_rng(seed), statistic(said, moves)
    shares = moves.shape[1]
    null = np.array([statistic(said[:, draw.permutation(shares)], moves) for _ in range(shuffles)])
    weeks = [np.arange(at, min(at + WEEK, len(moves))) for at in range(0, len(moves), WEEK)]
    again = []
    for _ in range(min(2_000, shuffles)):
        rows = np.concatenate([weeks[at] for at in draw.integers(0, len(weeks), len(weeks))])
        again.append(statistic(said[rows], moves[rows]))
    low, high = np.nanquantile(again, [0.025, 0.975])
    beyond = int(np.sum(np.abs(null - np.nanmean(null)) >= abs(value - np.nanmean(null)) - 1e-12))
    return {
        "value": round(value, 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "shuffled": {"mean": round(float(np.nanmean(null)), 4), "sd": round(float(np.nanstd(null)), 4)},
        "p": round((1 + beyond) / (1 + shuffles), 5),
    }


def figures(counts: Counts, known: Prices, shuffles: int, seed: int) -> dict[str, Any]:
    """All comparisons, of the session and of the next."""
    size = np.abs(known.returns)
    same = size / before(size, USUAL_MOVE)
    logs = np.log(size + LEAST)
    calm = logs - before(logs, USUAL_MOVE)
    excess = {
        name: np.sqrt(values) - before(np.sqrt(values), USUAL_STORIES)
        for name, values in (("negative stories", counts.negatives), ("stories", counts.stories))
    }
    begins = np.where(counts.warm, counts.begins, np.nan)
    firing = np.where(counts.warm, counts.firing, np.nan)
    found: dict[str, Any] = {}
    for when, shift in (("same session", 0), ("next session", 1)):
        moves, plain = _later(same, shift), _later(calm, shift)
        chance = partial(against_chance, shuffles=shuffles, seed=seed)
        there = np.isfinite(moves)
        found[when] = {
            "surge begins": {
                "surges": int((there & (begins > 0)).sum()),
                "others": int((there & (begins == 0)).sum()),
                "mean movement": round(float(moves[there & (begins > 0)].mean()), 4) if (begins > 0).any() else None,
                **chance(difference, begins, moves),
            },
            "surge is on": {"sessions": int((there & (firing > 0)).sum()), **chance(difference, firing, moves)},
            **{f"correlation, {name}": chance(correlation, values, plain) for name, values in excess.items()},
        }
    return found


def _later(values: np.ndarray, sessions: int) -> np.ndarray:
    """Each row's value so many rows on."""
    if not sessions:
        return values
    return np.vstack([values[sessions:], np.full((sessions, values.shape[1]), np.nan)])


def run(work: str = "", model: str = "", most: int = 0, shuffles: int = 10_000, seed: int = 13) -> dict[str, Any]:
    """The figures.

    Args:
        work: a folder in which run and sentiments are kept.
        model: a run with a head `sentiment` that was fitted on no tweet; empty: that of `monitor_replays`.
        most: so many tweets; 0: all.
        shuffles: of the shares.
        seed: of shuffles and intervals.
    """
    with ExitStack() as stack:
        folder = Path(work or stack.enter_context(tempfile.TemporaryDirectory())).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(model) if model else fitted(folder)
        found, known = tweets(most), prices()
        version = str(json.loads((path / "manifest.json").read_text(encoding="utf-8")).get("version", ""))
        shares = sentiments(found.texts, path, folder / "tweets.npy")
        counts, tally = counted(found, shares, known)
        name = folder / f"tweets-{len(found.texts)}-{shuffles}-{seed}.json"
        return {
            "run": version,
            **tally,
            "shares": len(known.shares),
            "sessions": len(known.sessions),
            "shuffles": shuffles,
            **kept(name, partial(figures, counts, known, shuffles, seed)),
        }
