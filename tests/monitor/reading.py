"""A process that reads a source and keeps its documents and its position in one transaction, until it is killed."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from metier.apps.monitor.sources import Source

LIMIT = 5


def opened(kind: str, place: str, **more: Any) -> Source:
    """A source by the name of its kind."""
    if kind in ("jsonl", "gzip", "csv"):
        from metier.apps.monitor.sources.files import FileSource

        return FileSource(place, "it", **more)
    if kind == "folder":
        from metier.apps.monitor.sources.files import FolderSource

        return FolderSource(place, "it", **more)
    if kind == "pushed":
        from metier.apps.monitor.sources.pushed import PushedSource

        return PushedSource(place, "it")
    if kind == "archive":
        from metier.apps.monitor.sources.archive import ArchiveSource, Span

        return ArchiveSource(place, "it", span=Span(buffer=8))
    if kind == "feed":
        from metier.apps.monitor.sources.feed import FeedSource
        from metier.apps.monitor.sources.fetch import Fetcher, Manners

        return FeedSource(place, "it", fetcher=Fetcher(Manners(allow_private=True, gap=0.0)), every=0.05)
    if kind == "redis":
        from metier.apps.monitor.sources.redis_stream import Consumer, RedisSource

        return RedisSource(
            place, Consumer("news", consumer=more.get("consumer", "one"), idle=more.get("idle", 60.0)), "it"
        )
    raise AssertionError(kind)


def store(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=OFF")  # what is killed here is the process, not the machine
    base.execute("CREATE TABLE IF NOT EXISTS documents (id TEXT)")
    base.execute("CREATE TABLE IF NOT EXISTS position (it TEXT)")
    return base


def run(kind: str, place: str, path: Path, pause: float) -> None:
    base = store(path)
    row = base.execute("SELECT it FROM position").fetchone()
    position = row[0] if row else ""
    source = opened(kind, place)
    while True:
        batch = source.read(position, LIMIT, 0.2)
        base.execute("BEGIN IMMEDIATE")
        base.executemany("INSERT INTO documents VALUES (?)", [(json.dumps(it.content),) for it in batch.received])
        base.execute("DELETE FROM position")
        base.execute("INSERT INTO position VALUES (?)", (batch.position,))
        base.execute("COMMIT")
        time.sleep(pause)
        position = batch.position
        source.acknowledge(position)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
