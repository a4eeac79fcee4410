"""From the settings to a monitor that is ready: the run, the companies, the sources, the store."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import isinf
from pathlib import Path
from typing import Any

from metier.apps.monitor import wire
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.engine import Intake, Plan
from metier.apps.monitor.explain.written import Summaries
from metier.apps.monitor.housekeeping import Retention
from metier.apps.monitor.normalise import Normaliser
from metier.apps.monitor.settings import MonitorSettings, SourcePart
from metier.apps.monitor.sources import Source
from metier.apps.monitor.sources.archive import ArchiveSource, Span
from metier.apps.monitor.sources.feed import FeedSource
from metier.apps.monitor.sources.fetch import Fetcher, Manners
from metier.apps.monitor.sources.files import FileSource, FolderSource
from metier.apps.monitor.sources.pushed import PushedSource
from metier.apps.monitor.sources.redis_stream import Consumer, RedisSource
from metier.apps.monitor.sources.standard_input import StandardInput
from metier.apps.monitor.sources.understood import UnderstoodSource
from metier.apps.monitor.understand import Reader
from metier.apps.monitor.worker import Worker
from metier.errors import RecipeError, nearest
from metier.model import Model
from metier.store.store import Store


def plan(settings: MonitorSettings) -> Plan:
    """How the stream is watched. Loads the run and the table of companies.

    Raises:
        MetierError: for a run without the heads, a table that contradicts itself.
    """
    companies = _companies(settings)
    reader = _reader(settings, companies)
    _require_labels(settings, _labels(reader, settings.heads.sentiment))
    return Plan(
        reader,
        reader.version,
        settings.detecting(),
        settings.alerts.routing(),
        settings.lateness,
        settings.grace,
        settings.heads.voices(),
        settings.stories.settings(),
        companies,
        settings.crossed,
        settings.alerts.rules(),
        shown=settings.shown(),
        topics=_labels(reader, settings.heads.topic),
        sentiments=_labels(reader, settings.heads.sentiment),
    )


def _require_labels(settings: MonitorSettings, known: tuple[str, ...]) -> None:
    """Raises `RecipeError` for a sentiment that the run never gives: nothing would count, and no alarm be raised."""
    heads = settings.heads
    for key in {"negative", *heads.model_fields_set} & {"negative", "positive"}:
        for label in getattr(heads, key):
            if label not in known:
                raise RecipeError(
                    f"heads.{key} has {label!r}, which the head {heads.sentiment!r} never says.{nearest(label, known)}",
                    expected=f"labels among {', '.join(known)}",
                )


def _labels(reader: Reader, head: str) -> tuple[str, ...]:
    return tuple(reader.model.heads[head].labels) if head else ()


def intakes(settings: MonitorSettings) -> list[Intake]:
    """The sources, and how their documents are checked."""
    return [
        Intake(source(part, settings), wire.read if part.workers else Normaliser(part.rules()))
        for part in settings.sources
    ]


def spooled(settings: MonitorSettings) -> Callable[[Mapping[str, Any]], Mapping[str, Any]] | None:
    """What is done to a pushed document before it is written; `None`: nothing."""
    parts = [part for part in settings.sources if part.kind == "push" and part.private]
    return Normaliser(parts[0].rules()).masked if parts else None


def workers(settings: MonitorSettings, name: str = "") -> list[Worker]:
    """One worker for each source that has workers; they share one run.

    Args:
        settings: the same as those of the process that counts.
        name: by which Redis knows this process; empty: the name of this machine and the number of the process.

    Raises:
        RecipeError: where no source has any.
        MetierError: as `plan`.
    """
    parts = [part for part in settings.sources if part.workers]
    if not parts:
        raise RecipeError(
            "No source of the settings has workers.",
            expected='a table [[sources]] with kind = "redis" and workers = true',
        )
    reader = _reader(settings, _companies(settings))
    return [
        Worker(part.url, _consumer(part, name), Normaliser(part.rules()), reader, reader.version, part.name)
        for part in parts
    ]


def retention(settings: MonitorSettings, store: Store) -> AbstractContextManager[object]:
    """Inside, what is old enough is let go once a day, where the settings say how old that is."""
    age = settings.retention.documents
    return nullcontext() if age is None else Retention(store, age)


def summaries(settings: MonitorSettings, store: Store) -> Summaries | None:
    """The summaries of alerts, where the settings name a generator."""
    part = settings.generator
    if part is None:
        return None
    ask = partial(part.generator().say, seconds=part.timeout)
    return Summaries(store, ask, f"{part.endpoint} {part.model}", part.timeout)


def _consumer(part: SourcePart, name: str = "") -> Consumer:
    own = name or part.consumer or f"{socket.gethostname()}-{os.getpid()}"
    return Consumer(part.stream, part.group, own, part.idle)


def _companies(settings: MonitorSettings) -> Companies | None:
    return Companies.read(settings.companies) if settings.companies else None


def _reader(settings: MonitorSettings, companies: Companies | None) -> Reader:
    return Reader(Model(settings.run, threads=settings.threads, spin=False), settings.heads.heads(), companies)


def source(part: SourcePart, settings: MonitorSettings) -> Source:
    """A source of the settings."""
    match part.kind:
        case "files":
            return FileSource(part.path, part.name, follow=part.follow, encoding=part.encoding)
        case "folder":
            return FolderSource(part.path, part.name, follow=part.follow, encoding=part.encoding)
        case "archive":
            return ArchiveSource(part.path, part.name, rules=part.rules(), encoding=part.encoding)
        case "stdin":
            return StandardInput(part.name or "stdin")
        case "push":
            return PushedSource(settings.spool, part.name or "pushed")
        case "feed":
            fetcher = Fetcher(Manners(allow_private=part.allow_private))
            return FeedSource(part.url, part.name, fetcher=fetcher, every=part.every)
        case "redis":
            kind = UnderstoodSource if part.workers else RedisSource
            return kind(part.url, _consumer(part), part.name)


def archive(path: str | Path, settings: MonitorSettings, start: float, end: float) -> Intake:
    """A file that is replayed, from `start` to before `end`; fields and zone as the first source has them.

    The same part of it goes on where it was stopped; another part is a source of its own.
    """
    rules = settings.sources[0].rules() if settings.sources else SourcePart(kind="stdin").rules()
    name = Path(path).name if isinf(start) and isinf(end) else f"{Path(path).name} {start:.0f} {end:.0f}"
    return Intake(ArchiveSource(path, name, span=Span(start, end), rules=rules), Normaliser(rules))
