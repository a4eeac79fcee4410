"""From the settings to a monitor that is ready: the run, the companies, the sources, the store."""

from __future__ import annotations

import os
import socket
from math import isinf
from pathlib import Path

from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.engine import Intake, Plan
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
from metier.apps.monitor.understand import Reader
from metier.model import Model


def plan(settings: MonitorSettings) -> Plan:
    """How the stream is watched. Loads the run and the table of companies.

    Raises:
        MetierError: for a run without the heads, a table that contradicts itself.
    """
    companies = Companies.read(settings.companies) if settings.companies else None
    reader = Reader(Model(settings.run, threads=settings.threads), settings.heads.heads(), companies)
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


def _labels(reader: Reader, head: str) -> tuple[str, ...]:
    return tuple(reader.model.heads[head].labels) if head else ()


def intakes(settings: MonitorSettings) -> list[Intake]:
    """The sources, and how their documents are checked."""
    return [Intake(source(part, settings), Normaliser(part.rules())) for part in settings.sources]


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
            consumer = part.consumer or f"{socket.gethostname()}-{os.getpid()}"
            return RedisSource(part.url, Consumer(part.stream, part.group, consumer), part.name)


def archive(path: str | Path, settings: MonitorSettings, start: float, end: float) -> Intake:
    """A file that is replayed, from `start` to before `end`; fields and zone as the first source has them.

    The same part of it goes on where it was stopped; another part is a source of its own.
    """
    rules = settings.sources[0].rules() if settings.sources else SourcePart(kind="stdin").rules()
    name = Path(path).name if isinf(start) and isinf(end) else f"{Path(path).name} {start:.0f} {end:.0f}"
    return Intake(ArchiveSource(path, name, span=Span(start, end), rules=rules), Normaliser(rules))
