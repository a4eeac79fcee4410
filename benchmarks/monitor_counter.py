"""The process that counts, alone: documents that workers understood, in; stories, counts, alarms and the store, out.

And the store alone: the same steps written once more into an empty one. On SQLite, and on PostgreSQL where it is
installed (with `store=ADDRESS`, on an empty database of another server). The documents are invented (`invented`): one
that was understood comes as the bytes that a worker leaves in Redis. What counts is processor time of this process and
the time on the wall, beside each other: a server of a database works in processes of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import invented
from metier.apps.monitor import keeping, wire
from metier.apps.monitor.engine import BATCH, Monitor
from metier.apps.monitor.item import Item, Received
from metier.apps.monitor.keeping import Step
from metier.apps.monitor.normalise import Normaliser
from metier.store.store import Store

TESTS = Path(__file__).parents[1] / "tests"


@dataclass(frozen=True)
class Took:
    """Documents, and the seconds of processor and wall that they took."""

    documents: int
    cpu: float
    wall: float

    def told(self) -> dict[str, float]:
        """As figures."""
        return {
            "documents/s": round(self.documents / self.wall, 1),
            "documents a second of processor": round(self.documents / self.cpu, 1),
        }


def answers(stream: invented.Stream, documents: int) -> Iterator[list[Received]]:
    """What workers would leave, a batch at a time."""
    check, read = Normaliser(), invented.Reader(stream)
    for batch in invented.batches(stream, documents, BATCH):
        items = [item for item in map(check, batch) if isinstance(item, Item)]
        rows = [wire.written(one, "invented") for one in read(items)]
        yield [Received("news", {"answer": row.decode()}, one.received) for row, one in zip(rows, items, strict=True)]


def counted(place: str, stream: invented.Stream, documents: int, warm: int) -> tuple[Took, list[Step]]:
    """The process that counts, after `warm` documents; and the steps that it wrote."""
    steps: list[Step] = []
    with Store.open(place) as store:
        monitor = Monitor(invented.plan(stream), store, [])
        write = monitor._write

        def noted(step: Step) -> None:
            steps.append(step)
            write(step)

        monitor._write = noted  # type: ignore[method-assign]
        cpu = wall = 0.0
        seen = 0
        for batch in answers(stream, warm + documents):
            before = time.process_time(), time.perf_counter()
            monitor.take(batch, wire.read)
            if seen >= warm:
                cpu, wall = cpu + time.process_time() - before[0], wall + time.perf_counter() - before[1]
            seen += len(batch)
        took = Took(seen - -(-warm // BATCH) * BATCH, cpu, wall)
    return took, steps


def written(place: str, steps: Sequence[Step], warm: int, dossier: keeping.Evidence) -> Took:
    """The steps into an empty store, each in a transaction of its own."""
    cpu = wall = 0.0
    seen = documents = 0
    with Store.open(place) as store:
        for step in steps:
            before = time.process_time(), time.perf_counter()
            store.run(lambda connection, step=step: keeping.write(connection, step, dossier))
            if seen >= warm:
                cpu, wall = cpu + time.process_time() - before[0], wall + time.perf_counter() - before[1]
                documents += len(step.placed)
            seen += len(step.placed)
    return Took(documents, cpu, wall)


@contextmanager
def databases(store: str) -> Iterator[dict[str, Callable[[], str]]]:
    """By kind of store, what makes the address of an empty one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        numbers = iter(range(1_000))
        found: dict[str, Callable[[], str]] = {"sqlite": lambda: str(folder / f"{next(numbers)}.db")}
        server = store or _server(stack)
        if server:
            found["postgresql"] = lambda: _database(server, f"counter_{next(numbers)}")
        yield found


def _server(stack: ExitStack) -> str:
    """A PostgreSQL that ends with the measurement; empty where none is installed."""
    sys.path.insert(0, str(TESTS))
    import postgres

    if reason := postgres.missing():
        print(f"without PostgreSQL: {reason}", file=sys.stderr, flush=True)
        return ""
    return str(stack.enter_context(postgres.server()))


def _database(server: str, name: str) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.rpartition("/")[0] + f"/{name}"


def run(documents: int = 30_000, warm: int = 10_000, rounds: int = 3, store: str = "") -> dict[str, Any]:
    """Both figures of both stores; the best of so many rounds.

    Args:
        documents: that are measured in a round.
        warm: that come before them: series begin, the window of stories fills a little.
        rounds: of each.
        store: the address of a PostgreSQL server on which databases may be made; empty: one of its own.
    """
    stream, found = invented.Stream(), {}
    with databases(store) as kinds:
        for kind, place in kinds.items():
            alone: list[Took] = []
            whole: list[Took] = []
            for at in range(rounds):
                took, steps = counted(place(), stream, documents, warm)
                whole.append(took)
                alone.append(written(place(), steps, warm, lambda connection, alert: {}))
                print(f"{kind}, round {at}: {took.told()}, {alone[-1].told()}", file=sys.stderr, flush=True)
            found[kind] = {"counting process": _best(whole), "store alone": _best(alone)}
    return {"documents": documents, "warm": warm, "rounds": rounds, "batch": BATCH, **found}


def _best(tries: Sequence[Took]) -> dict[str, Any]:
    """The fastest by processor time, and all of them."""
    best = min(tries, key=lambda one: one.cpu / one.documents)
    return {**best.told(), "rounds": [one.told() for one in tries]}
