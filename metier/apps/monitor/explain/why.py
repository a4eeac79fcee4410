"""Why an alert was raised: what was counted, what the detectors said of it, who told what in which words.

A pure function of things that are in the store. The same things give the same evidence, which is plain JSON, so that an
alert can be checked years later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metier.apps.monitor.alerts.life import Alert, finite
from metier.apps.monitor.explain.odds import PRIOR, Odd, compare, counted, cutter, terms
from metier.apps.monitor.item import Signal, Tick
from metier.types import NOTHING

FORM = 1
"""Of the evidence; it grows when the form changes."""
CLEAR = 1.96
"""The z-score from which a word counts as over-represented."""
TITLE = 280
"""Characters of a story that are kept in the evidence; the store has the rest."""


@dataclass(frozen=True, slots=True)
class Told:
    """A story of the surge, as the store has it.

    Args:
        id: of the story.
        text: of its first document.
        time: when it began, seconds since 1970, UTC.
        url: of its first document.
        sources: the names of those who told it.
        heat: documents, copies too.
        negative: the probability that it is negative.
        entities: the names of the companies, or of other things, that it mentions.
    """

    id: str
    text: str
    time: float
    url: str = ""
    sources: tuple[str, ...] = ()
    heat: int = 1
    negative: float = 0.0
    entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """How often each word, and each entity, was said before the surge; `stories` is how many stories that rests on."""

    words: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    entities: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    stories: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What the evidence of an alert is made of.

    Args:
        alert: the alert.
        ticks: the counts of its series, some time before the surge too, in the order of time.
        signals: what the detectors said, for the ticks for which they said anything.
        stories: the negative stories of the surge.
        baseline: what was said before.
        run: the version of the run that read the documents.
        settings: what else decided: budget, detectors, tick length.
    """

    alert: Alert
    ticks: Sequence[Tick]
    signals: Sequence[Signal]
    stories: Sequence[Told] = ()
    baseline: Baseline = Baseline()
    run: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


def baseline(stories: Iterable[Told]) -> Baseline:
    """What was said before the surge, out of the stories of that time."""
    words: Counter[str] = Counter()
    entities: Counter[str] = Counter()
    total = 0
    for story in stories:
        total += 1
        words.update(terms(story.text))
        entities.update(set(story.entities))
    return Baseline(dict(sorted(words.items())), dict(sorted(entities.items())), total)


def evidence(case: Case, most: int = 10) -> dict[str, Any]:
    """The evidence of an alert, plain JSON.

    Args:
        case: what it is made of.
        most: how many stories, words and entities at most in each list.
    """
    alert = case.alert
    hottest = sorted(case.stories, key=lambda story: (-story.heat, -story.negative, story.time, story.id))[:most]
    worst = sorted(case.stories, key=lambda story: (-story.negative, -story.heat, story.time, story.id))[:most]
    kept = {story.id: _story(story) for story in sorted((*hottest, *worst), key=lambda story: story.id)}
    return {
        "form": FORM,
        "alert": alert.id,
        "topic": alert.series.topic,
        "company": alert.series.company,
        "observed": alert.observed,
        "expected": round(alert.expected, 4),
        "since": alert.since,
        "severity": {
            "level": alert.severity.level,
            "points": alert.severity.points,
            "parts": dict(alert.severity.parts),
        },
        "counts": _counts(case.ticks, case.signals),
        "detectors": _detectors(alert, case.signals),
        "stories": kept,
        "stories_by_heat": [story.id for story in hottest],
        "stories_by_negativity": [story.id for story in worst],
        "stories_in_all": len(case.stories),
        "words": [_odd(odd) for odd in over_represented(case.stories, case.baseline, most)],
        "entities": [_odd(odd) for odd in _entities(case.stories, case.baseline, most)],
        "sources": _sources(case.stories, most),
        "baseline": {"stories": case.baseline.stories, "words": sum(case.baseline.words.values())},
        "method": {"words": "log-odds, informative Dirichlet prior", "prior": PRIOR, "z": CLEAR, "chinese": cutter()},
        "run": case.run,
        "settings": dict(case.settings),
    }


def over_represented(stories: Sequence[Told], before: Baseline, most: int) -> list[Odd]:
    """The words of the stories that were said clearly more often than before, in two stories at least."""
    told: Counter[str] = Counter()
    for story in stories:
        told.update(set(terms(story.text)))
    odds = compare(counted(story.text for story in stories), before.words)
    clear = [odd for odd in odds if odd.z >= CLEAR and told[odd.word] >= 2]
    pairs = [odd for odd in clear if " " in odd.word]
    inside = {(part, pair.here) for pair in pairs for part in pair.word.split()}
    # Where a word is never said without its neighbour, the two together say it.
    return [odd for odd in clear if (odd.word, odd.here) not in inside][:most]


def _entities(stories: Sequence[Told], before: Baseline, most: int) -> list[Odd]:
    here: Counter[str] = Counter()
    for story in stories:
        here.update(set(story.entities))
    return [odd for odd in compare(here, before.entities) if odd.z >= CLEAR and odd.here >= 2][:most]


def _counts(ticks: Sequence[Tick], signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """The ticks, each with what was expected in it, where the detectors said."""
    said = {signal.start: signal for signal in signals}
    found = []
    for tick in sorted(ticks, key=lambda tick: tick.start):
        row: dict[str, Any] = {
            "start": tick.start, "stories": tick.stories, "negatives": tick.negatives, "uncertain": tick.uncertain,
            "heat": tick.heat, "total": tick.total, "open": tick.open,
        }  # fmt: skip
        signal = said.get(tick.start)
        if signal is not None:
            row |= {name: round(getattr(signal, name), 4) for name in ("expected", "low", "high")}
            row["statistic"] = {name: round(value, 4) for name, value in finite(signal.statistic).items()}
            row["threshold"] = {name: round(value, 4) for name, value in finite(signal.threshold).items()}
            row["firing"] = list(signal.firing)
        found.append(row)
    return found


def _detectors(alert: Alert, signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """Of each detector the highest statistic, its threshold there (0: none), and whether it fired."""
    highest: dict[str, tuple[float, float, float]] = {}
    fired = {name for signal in signals for name in signal.firing}
    for signal in signals:
        bounds = finite(signal.threshold)
        for name, value in finite(signal.statistic).items():
            if name not in highest or value > highest[name][0]:
                highest[name] = (value, bounds.get(name, 0.0), signal.start)
    for name, value in alert.statistic.items():
        highest.setdefault(name, (value, alert.threshold.get(name, 0.0), alert.updated_at))
    return [
        {"name": name, "statistic": round(value, 4), "threshold": round(bound, 4), "at": at, "firing": name in fired}
        for name, (value, bound, at) in sorted(highest.items())
    ]


def _story(story: Told) -> dict[str, Any]:
    text = " ".join(story.text.split())
    return {
        "text": text if len(text) <= TITLE else text[: TITLE - 1] + "…",
        "time": story.time,
        "url": story.url,
        "sources": sorted(set(story.sources)),
        "heat": story.heat,
        "negative": round(story.negative, 4),
        "entities": sorted(set(story.entities)),
    }


def _sources(stories: Sequence[Told], most: int) -> list[dict[str, Any]]:
    found: Counter[str] = Counter()
    for story in stories:
        found.update(set(story.sources))
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [{"source": name, "stories": count} for name, count in ordered[:most]]


def _odd(odd: Odd) -> dict[str, Any]:
    return {"word": odd.word, "z": odd.z, "log_odds": odd.log_odds, "here": odd.here, "there": odd.there}
