"""Which engine of a run is the fastest on this machine: measured once, then remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metier.errors import RunError
from metier.models.token_cache import folder as cache
from metier.predict.engines import ENGINES
from metier.predict.measure import TOKENS, Entry, Shape, apart, rates
from metier.run import write_text

logger = logging.getLogger(__name__)

SECONDS = 2.0
"""What measuring may take, beside loading what is measured."""


@dataclass(frozen=True)
class Choice:
    """What to answer few texts with, and many; `tokens` of a batch of many, and texts a second as measured."""

    few: Entry
    many: Entry
    tokens: int
    rates: Mapping[str, float]


def choose(entries: Sequence[Entry], folder: Path, shape: Shape, identity: str, threads: int) -> Choice:
    """The remembered choice for this machine, or a measured one.

    Args:
        entries: what the run holds; engines whose library is missing are left out by the caller.
        folder: of the run.
        shape: of its batches.
        identity: of the run; another version is measured anew.
        threads: of the processor.
    """
    file = cache() / "engines" / f"{_key(entries, identity, threads)}.json"
    if (kept := _read(file)) is not None and kept.few in entries and kept.many in entries:
        return kept
    found = measured(entries, folder, shape, threads)
    with suppress(OSError):  # no room, or no right to write: then the next load measures again
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asdict(found)))
    return found


def measured(entries: Sequence[Entry], folder: Path, shape: Shape, threads: int) -> Choice:
    """Texts a second of every entry, one by one and in batches. Raises `RunError` where none of them works here.

    Where there are several each has a process of its own: what loses leaves nothing in memory, and what crashes takes
    nobody with it.
    """
    each = SECONDS / (len(entries) * (1 + len(TOKENS)))
    measure = rates if len(entries) == 1 else apart
    alone: dict[Entry, float] = {}
    together: dict[tuple[Entry, int], float] = {}
    failed: RunError | None = None
    for entry in entries:
        try:
            alone[entry], of_batches = measure(entry, folder, shape, threads, each)
        except RunError as error:  # its library is there, but does not work: another engine may
            logger.warning("%s Left out.", error)
            failed = error
            continue
        together |= {(entry, tokens): value for tokens, value in of_batches.items()}
    if failed and not alone:
        raise failed
    best = max(together, key=lambda key: together[key])
    said = {f"{entry.engine} {entry.file} one by one": value for entry, value in alone.items()}
    said |= {f"{entry.engine} {entry.file} {tokens} tokens": value for (entry, tokens), value in together.items()}
    return Choice(max(alone, key=lambda entry: alone[entry]), best[0], best[1], said)


def _key(entries: Sequence[Entry], identity: str, threads: int) -> str:
    facts: dict[str, Any] = {
        "run": identity,
        "entries": [asdict(entry) for entry in entries],
        "tokens": TOKENS,
        "libraries": {entry.engine: ENGINES[entry.engine].version() for entry in entries},
        "machine": [platform.machine(), platform.processor(), os.cpu_count(), _flags(), threads],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _flags() -> str:
    """What the processor can do, where the system says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line for line in lines if line.startswith("flags")), "")


def _read(file: Path) -> Choice | None:
    """What was remembered; `None` where nothing was, or nothing that can be read."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Choice(Entry(**kept["few"]), Entry(**kept["many"]), int(kept["tokens"]), kept["rates"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
