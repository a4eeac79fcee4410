"""What the routes and the pages share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from metier.apps.monitor.companies.link import Companies
from metier.serve.doors.house import House
from metier.serve.monitor.figures import Figures
from metier.serve.monitor.settings import ServiceSettings
from metier.serve.monitor.summaries import Desk
from metier.serve.monitor.views import Names
from metier.store import audit, ticks
from metier.store.store import Store
from metier.types import NOTHING

if TYPE_CHECKING:
    from metier.apps.monitor.explain.written import Summaries
    from metier.apps.monitor.sources.inbox import Inbox

Status = Callable[[], Mapping[str, Any]]


class Console(House):
    """The parts of one service.

    Args:
        store: an open store.
        settings: of the service.
        inbox: where pushed documents go; `None`: none are taken.
        companies: the table of companies, whose names are shown.
        status: what the engine says of itself; `topics` and `sentiments`, where there, are offered for corrections.
        clock: seconds since 1970.
        summaries: of alerts, for their briefs; `None`: nobody writes any.
    """

    def __init__(
        self, store: Store, settings: ServiceSettings, inbox: Inbox | None = None, companies: Companies | None = None,
        status: Status = lambda: NOTHING, clock: Callable[[], float] = time.time, summaries: Summaries | None = None,
    ) -> None:  # fmt: skip
        super().__init__(store, settings, clock)
        self.settings: ServiceSettings = settings
        self.inbox, self.status = inbox, status
        self.names = Names(companies)
        self.figures = Figures(store, status)
        self.desk = None if summaries is None else Desk(summaries, clock)

    def mark(self) -> tuple[Any, ...]:
        """What changes whenever the engine or a person changed something: by it an open page knows that it is old."""
        with self.store.read() as connection:
            clock = ticks.stage(connection, "monitor.clock")
            return (clock.at, clock.state.get("step")) if clock else (), audit.head(connection)[0]


def console_of(request: Request) -> Console:
    """The service that a request came to."""
    found: Console = request.app.state.console
    return found


At = Annotated[Console, Depends(console_of)]
