"""Series, silences, watchlists and missed events over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from metier.serve.doors.routes import Analyst, BoundedRoute, Viewer
from metier.serve.doors.schema import Moment
from metier.serve.monitor import lists, views
from metier.serve.monitor.console import At
from metier.serve.monitor.schema import MissedEvent, Silenced, Watched
from metier.store import alerts, ticks
from metier.store.alerts import Missed

DAY = 86_400.0
TICKS = 5_000
router = APIRouter(route_class=BoundedRoute)


# -- series ------------------------------------------------------------------------------------------------------------
@router.get("/v1/series", tags=["series"], summary="The series that were counted")
def series(at: At, caller: Viewer) -> dict[str, Any]:
    with at.store.read() as connection:
        keys, span, tick = ticks.keys(connection), ticks.span(connection), views.tick_length(connection)
    rows = [{"topic": topic, "company": company, "company_name": at.names.of(company)} for topic, company in keys]
    return {"series": rows, "tick": tick, "first": span and span[0], "last": span and span[1]}


@router.get(
    "/v1/series/{topic}/{company}", tags=["series"], summary="One series: ticks and signals; `*` stands for all"
)
def one_series(
    at: At, caller: Viewer, topic: str, company: str, start: Moment | None = None, end: Moment | None = None
) -> dict[str, Any]:
    with at.store.read() as connection:
        span = ticks.span(connection) or (0.0, 0.0)
        last = span[1] + 1 if end is None else end
        first = last - 7 * DAY if start is None else start
        rows = views.series_rows(connection, topic, company, first, last)
        found = views.series_alerts(connection, topic, company, first, last)
    shown = [views.alert_row(one, at.names) for one in found]
    return {"topic": topic, "company": company, "ticks": rows[-TICKS:], "alerts": shown}


@router.get("/v1/companies", tags=["series"], summary="Companies whose name, alias, ticker or id holds a text")
def companies(at: At, caller: Viewer, q: Annotated[str, Query(max_length=200)] = "") -> dict[str, Any]:
    with at.store.read() as connection:
        seen = {company for _, company in ticks.keys(connection)}
    return {"companies": at.names.like(q, seen)}


# -- silences ----------------------------------------------------------------------------------------------------------
@router.get("/v1/silences", tags=["lists"], summary="Silences, the one that ends last first")
def silences(at: At, caller: Viewer) -> dict[str, Any]:
    with at.store.read() as connection:
        return {"silences": [asdict(one) for one in alerts.silenced(connection)]}


@router.post("/v1/silences", status_code=201, tags=["lists"], summary="No notices of alerts that match")
def silence(at: At, caller: Analyst, said: Silenced) -> dict[str, Any]:
    return asdict(lists.silence(at.hand(caller), said.matchers, said.starts, said.ends, said.comment))


@router.delete("/v1/silences/{id}", status_code=204, tags=["lists"], summary="End a silence now")
def unsilence(at: At, caller: Analyst, id: str) -> None:
    lists.unsilence(at.hand(caller), id)


# -- watchlists --------------------------------------------------------------------------------------------------------
@router.get("/v1/watchlists", tags=["lists"], summary="One's own watchlists")
def watchlists(at: At, caller: Viewer) -> dict[str, Any]:
    with at.store.read() as connection:
        return {"watchlists": [asdict(one) for one in alerts.watched(connection, caller.name)]}


@router.post("/v1/watchlists", status_code=201, tags=["lists"], summary="Follow topics and companies")
def watch(at: At, caller: Viewer, said: Watched) -> dict[str, Any]:
    return asdict(lists.watch(at.hand(caller), said.name, said.topics, said.companies, said.id))


@router.delete("/v1/watchlists/{id}", status_code=204, tags=["lists"], summary="Remove a watchlist of one's own")
def unwatch(at: At, caller: Viewer, id: str) -> None:
    lists.unwatch(at.hand(caller), id, anyones=caller.may("admin"))


# -- missed events -----------------------------------------------------------------------------------------------------
@router.get("/v1/missed", tags=["lists"], summary="Events that no alert told of")
def missed(at: At, caller: Viewer) -> dict[str, Any]:
    with at.store.read() as connection:
        return {"missed": [asdict(one) for one in alerts.missed_events(connection)]}


@router.post("/v1/missed", status_code=201, tags=["lists"], summary="Report an event that no alert told of")
def miss(at: At, caller: Analyst, said: MissedEvent) -> dict[str, Any]:
    hand = at.hand(caller)
    event = Missed(
        said.topic, said.company, said.starts, said.ends, hand.who, hand.now, said.comment, tuple(said.documents)
    )
    lists.miss(hand, event)
    return asdict(event)


@router.delete("/v1/missed/{id}", status_code=204, tags=["lists"], summary="Take back that an event was missed")
def withdraw(at: At, caller: Analyst, id: str) -> None:
    lists.withdraw(at.hand(caller), id)
