"""The stored ticks of a stream as the detectors rehearse on them."""

from __future__ import annotations

from collections.abc import Hashable

from sqlalchemy import Connection

from metier.apps.monitor.detection.rehearsal import History
from metier.apps.monitor.dossier import tick_of
from metier.apps.monitor.item import SeriesKey, Tick
from metier.errors import DataError
from metier.store import ticks

SERIES = 200
"""Series with most stories that a rehearsal looks at."""


def stored(connection: Connection, days: float) -> History:
    """The last days of the series with most stories, the whole stream first. Raises `DataError` without any."""
    span = ticks.span(connection)
    if span is None:
        raise DataError("Nothing was counted yet.", expected="a store that a monitor has written to")
    found: dict[Hashable, list[Tick]] = {}
    for row in ticks.between(connection, span[1] - days * 86_400, float("inf")):
        found.setdefault(SeriesKey(row.topic, row.company), []).append(tick_of(row))
    largest = sorted(found, key=lambda series: -sum(tick.stories for tick in found[series]))[:SERIES]
    return History.of({series: found[series] for series in largest})
