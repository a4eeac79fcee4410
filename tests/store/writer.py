"""A process of its own that writes to a store until it is ended, and says what was acknowledged.

python writer.py batches|counts|group URL COUNT
"""

from __future__ import annotations

import sys

from metier.store import audit, documents, positions, ticks
from metier.store.audit import Entry
from metier.store.documents import StoredDocument
from metier.store.group import Group
from metier.store.store import Store
from metier.store.ticks import StoredTick

SIZE = 16


def batches(store: Store, count: int) -> None:
    """As an engine does: documents, counts and the position of the source in one transaction."""
    with store.read() as connection:
        start = int(positions.get(connection).get("feed", "0"))
    for at in range(start, count):
        found = [StoredDocument(f"{at}-{one}", "a text " * 20, float(at), 0.0) for one in range(SIZE)]
        with store.write() as connection:
            new = documents.add(connection, found)
            ticks.add(connection, [StoredTick("x", "*", 0.0, len(new))])
            positions.put(connection, {"feed": str(at + 1)}, 0.0)
        say(at)


def counts(store: Store, count: int) -> None:
    for at in range(count):

        def work(connection, at=at):
            ticks.add(connection, [StoredTick("x", "*", 0.0, 1)])
            audit.append(connection, Entry("writer", "count", float(at)))

        store.run(work)
        say(at)


def group(store: Store, count: int) -> None:
    with Group[StoredDocument](store, documents.add) as group:
        waiting = [group.commit(StoredDocument(f"g{at}", "", 0.0, 0.0)) for at in range(count)]
        for at, future in enumerate(waiting):
            future.result()
            say(at)


def say(at: int) -> None:
    sys.stdout.write(f"{at}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    kind, url, many = sys.argv[1:]
    with Store.open(url) as opened:
        {"batches": batches, "counts": counts, "group": group}[kind](opened, int(many))
