"""Two real years of news through the whole monitor: Reuters of 1987 to the crash, the Guardian and CNBC to Covid.

One run with two heads reads both: topics learned from the training stories of ModApte, sentiment from PhraseBank.
Nothing is set by hand but the ticks: the defaults of `monitor.toml`, one false alarm a series in 30 days. What the
detectors said is computed a second time from the stored ticks alone, for the months that were watched.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import metier
from benchmarks.quality import data, kept
from metier.apps.monitor import assemble
from metier.apps.monitor.alarm import told
from metier.apps.monitor.detection.budget import Budget
from metier.apps.monitor.detection.detectors import Detectors
from metier.apps.monitor.engine import Monitor, Read, closed_ticks
from metier.apps.monitor.item import Item, SeriesKey, Signal
from metier.apps.monitor.settings import MonitorSettings
from metier.apps.monitor.understand import Reading
from metier.pipeline.optimise.optimise import optimise
from metier.progress import Progress
from metier.store import alerts, documents
from metier.store.store import Store

DAY = 86_400.0
BARS = {
    "reuters": "a negative alert on the series of all stories by the end of 19 October 1987",
    "headlines": "an alert in the week of 24 to 28 February 2020",
}


@dataclass(frozen=True)
class Replay:
    """A stream and what is asked of it.

    Args:
        archive: file of the data.
        tick: as settings write it.
        source: names of fields.
        begin, end: between which an alert must have fired.
        everything: whether it must be one on the series of all stories.
    """

    archive: str
    tick: str
    source: dict[str, Any]
    begin: str
    end: str
    everything: bool

    def within(self, alert: dict[str, Any]) -> bool:
        """Whether an alert is the one that is asked for."""
        return self.begin <= alert["fired"] <= self.end and (alert["series"] == "*" or not self.everything)


REUTERS = {"text": ["title", "text"], "time": "date"}
HEADLINES = {"text": ["title"], "time": "time"}
CRASH = ("1987-10-19T00:00", "1987-10-20T00:00", True)
COVID = ("2020-02-24T00:01", "2020-02-29T00:00", False)
REPLAYS = {
    "reuters": Replay("finance_reuters/reuters.jsonl.gz", "15m", REUTERS, *CRASH),
    "reuters, hourly": Replay("finance_reuters/reuters.jsonl.gz", "1h", REUTERS, *CRASH),
    "headlines": Replay("finance_headlines/headlines.csv.gz", "1d", HEADLINES, *COVID),
}


# -- the run -------------------------------------------------------------------------------------------------------
def stories(file: Path) -> Path:
    """Every second training story of ModApte, every eighth test story; title and body as one text, as the monitor."""
    with gzip.open(data("finance_reuters/reuters.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    kept = [
        row for split, step in (("train", 2), ("test", 8)) for row in [r for r in rows if r["split"] == split][::step]
    ]
    with file.open("w", encoding="utf-8") as out:
        for row in kept:
            text = ". ".join(part for part in (row["title"], row["text"]) if part)
            out.write(json.dumps({"text": text, "topics": row["topics"], "split": row["split"]}) + "\n")
    return file


def fitted(folder: Path) -> Path:
    """The run with both heads, of 32 tokens, in eight bits; kept in the folder."""
    run, small = folder / "run", folder / "run-int8"
    with Progress(sys.stderr) as watch:
        if not run.is_dir():
            metier.train(recipe(folder), out=run, watch=watch)
        if not small.is_dir():
            optimise(run, small, {"tolerance": 5.0}, watch, threads=1)
    return small


def recipe(folder: Path) -> metier.Recipe:
    """Two heads, each with a file of its own."""
    topic = {"column": "topics", "task": "multilabel", "path": str(stories(folder / "topics.jsonl")), "text": ["text"]}
    return metier.Recipe.parse({
        "data": {"path": str(data("finance_phrasebank/phrasebank_50agree.csv.gz")), "text": ["text"], "split": "split"},
        "heads": {"sentiment": {"column": "label"}, "topic": topic},
        "model": {"max_length": 32, "long": "truncate"},
        "train": {"method": "probe", "threads": 1},
        "evaluate": {"baselines": False, "suspects": False},
    })  # fmt: skip


@dataclass
class Remembered:
    """Reads every document once, however often it is replayed."""

    read: Read
    known: dict[str, Reading] = field(default_factory=dict)

    def __call__(self, items: Sequence[Item]) -> list[Reading]:
        fresh = [item for item in items if item.id not in self.known]
        self.known.update((reading.understood.item.id, reading) for reading in self.read(fresh))
        return [self.known[item.id] for item in items]


# -- a replay ------------------------------------------------------------------------------------------------------
def moment(seconds: float | None) -> str | None:
    """A time as ISO 8601 has it, to the minute."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M}"


def told_of(stored: alerts.StoredAlert, signal: Signal) -> dict[str, Any]:
    """An alert in figures, with the signal that it fired by: of its stories the ids and times alone, no text."""
    evidence = stored.evidence
    told_ = evidence["stories"]
    first = sorted(told_, key=lambda id: (told_[id]["time"], id))[:10]
    return {
        "fired": moment(stored.fired),
        "since": moment(stored.since),
        "resolved": moment(stored.resolved),
        "series": stored.topic,
        "severity": stored.severity,
        "detectors": {
            name: [round(signal.statistic[name], 1), round(signal.threshold[name], 1)] for name in signal.firing
        },
        "tick": {"observed": signal.observed, "expected": round(signal.expected, 2)},
        "in all": {"observed": evidence["observed"], "expected": round(evidence["expected"], 1)},
        "stories in all": evidence["stories_in_all"],
        "stories": [[id, moment(told_[id]["time"])] for id in first],
    }


@dataclass
class Watched:
    """What the detectors say of the stored ticks, a second time.

    Args:
        series: that there are.
        warm, before: ticks that all series together were watched, and those before what is looked for.
        fired: the signal of each alert where it fired.
        near: the signals of all stories, six days about what is looked for.
    """

    series: int = 0
    warm: int = 0
    before: int = 0
    fired: dict[str, Signal] = field(default_factory=dict)
    near: list[tuple[int, Signal]] = field(default_factory=list)


def watched(store: Store, settings: MonitorSettings, begin: float, known: Sequence[alerts.StoredAlert]) -> Watched:
    """All stored ticks, once more."""
    detectors, found = Detectors(settings.detecting()), Watched()
    by_tick: dict[float, list[alerts.StoredAlert]] = {}
    for alert in known:
        by_tick.setdefault((alert.fired or 0.0) - settings.tick, []).append(alert)
    with store.read() as connection:
        for closed in closed_ticks(connection, -math.inf, math.inf):
            signals = told(detectors, closed)
            warm = int((signals.live & np.isfinite(signals.threshold[0])).sum())
            found.warm += warm
            found.before += warm * (closed.start < begin - DAY / 2)
            for alert in by_tick.get(closed.start, ()):
                found.fired[alert.id] = signals.of(detectors.places[SeriesKey(alert.topic, alert.company)])
            if abs(closed.start - begin) <= 6 * DAY:
                found.near.append((closed.total, signals.of(detectors.places[SeriesKey()])))
    found.series = len(detectors.places)
    return found


def replayed(name: str, read: Remembered, run: Path, folder: Path) -> dict[str, Any]:
    """One replay, from the first document to the last; the store is kept, so that one that was cut off goes on."""
    replay = REPLAYS[name]
    source = {"kind": "archive", "path": str(data(replay.archive)), **replay.source}
    settings = MonitorSettings.parse({"run": str(run), "tick": replay.tick, "threads": 1, "sources": [source]})
    plan = replace(assemble.plan(settings), read=read)
    with Store.open(folder / f"{name}.db") as store:
        monitor = Monitor(plan, store, assemble.intakes(settings))
        monitor.run()
        monitor.end()
        with store.read() as connection:
            stored = sorted(alerts.listing(connection, limit=None), key=lambda one: (one.fired or 0.0, one.topic))
            count = documents.count(connection)
        begin = datetime.fromisoformat(replay.begin + "+00:00").timestamp()
        found = watched(store, settings, begin, stored)
    whispered(name, stored, folder)
    shown = [told_of(alert, found.fired[alert.id]) for alert in stored]
    return {"documents": count, **judged(replay, settings, found, shown)}


def judged(replay: Replay, settings: MonitorSettings, found: Watched, shown: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether the bars are met."""
    months, earlier = (ticks * settings.tick / DAY / 30 for ticks in (found.warm, found.before))
    early = [alert for alert in shown if alert["fired"] < replay.begin]
    hits = [alert for alert in shown if replay.within(alert)]
    return {
        "tick": replay.tick,
        "series": found.series,
        "series-months": round(months, 1),
        "met": bool(hits),
        "first": hits[0] if hits else None,
        "on at that time": [
            [alert["fired"], alert["series"]]
            for alert in shown
            if alert["fired"] <= replay.end and (alert["resolved"] or "9") >= replay.begin
        ],
        "budget a series-month": Budget.read(settings.false_alarms).a_month,
        "alerts": len(shown),
        "alerts a series-month": round(len(shown) / max(months, 1e-9), 3),
        "alerts before": len(early),
        "alerts a series-month before": round(len(early) / max(earlier, 1e-9), 3),
        "by series": dict(Counter(alert["series"] for alert in shown).most_common()),
        "all stories, near": [
            [
                *(moment(signal.start), total, signal.observed, round(signal.expected, 2)),
                *(round(value, 1) for value in signal.statistic.values()),
            ]
            for total, signal in found.near
        ],
        "listed": shown,
    }


def whispered(name: str, stored: Sequence[alerts.StoredAlert], folder: Path) -> None:
    """The evidence with its texts, into the work folder, for who judges the alerts."""
    with (folder / f"{name}.txt").open("w", encoding="utf-8") as out:
        for alert in stored:
            words = ", ".join(one["word"] for one in alert.evidence["words"][:8])
            told_ = sorted(alert.evidence["stories"].values(), key=lambda story: float(story["time"]))
            out.write(f"\n{moment(alert.fired)} {alert.topic} [{words}]\n")
            out.writelines(f"    {moment(story['time'])} {story['text'][:90]!r}\n" for story in told_[:10])


def run(work: str = "", only: str = "") -> dict[str, Any]:
    """All replays. `work` is a folder in which run and figures are kept; `only` names one stream."""
    with ExitStack() as stack:
        folder = Path(work or stack.enter_context(tempfile.TemporaryDirectory())).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        path = fitted(folder)
        found = {}
        for stream in [only] if only else BARS:
            read = Remembered(assemble.plan(MonitorSettings.parse({"run": str(path), "threads": 1})).read)
            for name in (one for one in REPLAYS if one.split(",")[0] == stream):
                found[name] = kept(folder / f"{name}.json", partial(replayed, name, read, path, folder))
        heads = metier.load(path, threads=1).describe()["heads"]
        return {
            "bars": BARS,
            "heads": {name: {"labels": len(head["labels"]), "test": head["headline"]} for name, head in heads.items()},
            **found,
        }
