"""What was counted: the ticks of every series, and what the detectors remember of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from metier.store import bulk
from metier.store.tables import series, stages, ticks

COUNTS = ("stories", "negatives", "uncertain", "sentiment", "heat", "total")


@dataclass(frozen=True, slots=True)
class StoredTick:
    """The counts of one series in one tick; the words are those of the monitor's `Tick`.

    `signal` is what the detectors said of it, as JSON has it.
    """

    topic: str
    company: str
    start: float
    stories: int = 0
    negatives: int = 0
    uncertain: int = 0
    sentiment: float = 0.0
    heat: int = 0
    total: int = 0
    open: bool = True
    signal: Any = None


@dataclass(frozen=True, slots=True)
class State:
    """What a detector, or a stage, remembers: as JSON has it, or as bytes, or both; `at` is the time that it stands
    at."""

    state: Any = None
    packed: bytes | None = None
    at: float = 0.0


def put(connection: Connection, found: Iterable[StoredTick]) -> None:
    """Keeps ticks, over those that are there."""
    bulk.put(connection, ticks, bulk.columns_of(found))


def add(connection: Connection, found: Iterable[StoredTick]) -> None:
    """Adds to the counts that are there: several processes may count the same series.

    Whole numbers come out the same in any order; sums of floats may differ in the last bits. Who needs the same bits
    whatever the batches were adds in one process and uses `put`.
    """
    bulk.put(connection, ticks, bulk.columns_of(found), add=COUNTS)


def of_series(connection: Connection, topic: str, company: str, start: float, end: float) -> list[StoredTick]:
    """The ticks of one series that start at `start` or later and before `end`, in order."""
    statement = select(ticks).where(ticks.c.topic == topic, ticks.c.company == company)
    statement = statement.where(ticks.c.start >= start, ticks.c.start < end).order_by(ticks.c.start)
    return list(bulk.read_each(StoredTick, connection, statement))


def between(connection: Connection, start: float, end: float) -> Iterator[StoredTick]:
    """The ticks of all series that start at `start` or later and before `end`, by series and time."""
    statement = select(ticks).where(ticks.c.start >= start, ticks.c.start < end)
    statement = statement.order_by(ticks.c.topic, ticks.c.company, ticks.c.start)
    yield from bulk.read_each(StoredTick, connection, statement, 5000)


def span(connection: Connection) -> tuple[float, float] | None:
    """The start of the first tick and of the last one; `None` where nothing was counted."""
    first, last = connection.execute(select(func.min(ticks.c.start), func.max(ticks.c.start))).one()
    return None if first is None else (first, last)


def keys(connection: Connection) -> list[tuple[str, str]]:
    """`(topic, company)` of every series that was counted."""
    statement = select(ticks.c.topic, ticks.c.company).distinct().order_by(ticks.c.topic, ticks.c.company)
    return [(topic, company) for topic, company in connection.execute(statement)]


def busiest(connection: Connection, start: float, end: float, axis: str, limit: int = 20) -> list[StoredTick]:
    """The series of all topics, or of all companies, summed over a time, those with the most negative stories first.

    Args:
        connection: of `Store.read`.
        start: ticks that start then or later, seconds since 1970, UTC.
        end: and before then.
        axis: `topic`, for series of one topic and all companies, or `company`, for the others.
        limit: so many at most.

    Returns sums; their `start` is that of the time.
    """
    own, other = (ticks.c.topic, ticks.c.company) if axis == "topic" else (ticks.c.company, ticks.c.topic)
    sums = [func.sum(ticks.c[name]).label(name) for name in COUNTS]
    statement = select(ticks.c.topic, ticks.c.company, *sums).group_by(ticks.c.topic, ticks.c.company)
    statement = statement.where(other == "*", own != "*", ticks.c.start >= start, ticks.c.start < end)
    order = (func.sum(ticks.c.negatives).desc(), func.sum(ticks.c.stories).desc(), own)
    found = connection.execute(statement.order_by(*order).limit(limit))
    # PostgreSQL sums whole numbers to decimals.
    return [
        StoredTick(
            row.topic, row.company, start, int(row.stories), int(row.negatives), int(row.uncertain), row.sentiment,
            int(row.heat), int(row.total),
        )
        for row in found
    ]  # fmt: skip


# -- what is remembered ------------------------------------------------------------------------------------------
def remember(connection: Connection, found: Mapping[tuple[str, str], State]) -> None:
    """Keeps the states of series `(topic, company)`, over those that are there."""
    rows = (
        {"topic": topic, "company": company, "state": state.state, "packed": state.packed, "at": state.at}
        for (topic, company), state in found.items()
    )
    bulk.put(connection, series, rows)


def remembered(connection: Connection) -> Iterator[tuple[tuple[str, str], State]]:
    """The state of every series `(topic, company)`, in their order."""
    statement = select(series).order_by(series.c.topic, series.c.company)
    for row in bulk.streamed(connection, statement):
        yield (row.topic, row.company), bulk.read_as(State, row)


def state(connection: Connection, topic: str, company: str) -> State | None:
    """The state of one series."""
    row = connection.execute(select(series).where(series.c.topic == topic, series.c.company == company)).first()
    return None if row is None else bulk.read_as(State, row)


def set_stage(connection: Connection, name: str, state: State) -> None:
    """Keeps what a stage remembers under a name: the watermark, a window, the groups of notices."""
    row = {"name": name, "state": state.state, "packed": state.packed, "at": state.at}
    bulk.put(connection, stages, [row])


def stage(connection: Connection, name: str) -> State | None:
    """What a stage remembers."""
    row = connection.execute(select(stages).where(stages.c.name == name)).first()
    return None if row is None else bulk.read_as(State, row)
