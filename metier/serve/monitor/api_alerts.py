"""Alerts over HTTP: what there are, why, and what is done about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from metier.apps.monitor.alerts import export
from metier.apps.monitor.explain.brief import brief
from metier.apps.zones import zone_of
from metier.serve.doors.routes import Analyst, BoundedRoute, Viewer
from metier.serve.doors.schema import Moment
from metier.serve.monitor import acts, views
from metier.serve.monitor.console import At, Console
from metier.serve.monitor.schema import Judged, Owned, Remarked, Said, Snoozed
from metier.serve.problems import Problem
from metier.store import alerts
from metier.store.alerts import StoredAlert, Wanted

EXPORTED = 10_000
router = APIRouter(route_class=BoundedRoute, tags=["alerts"])


def wanted(
    state: Annotated[list[str] | None, Query(max_length=3)] = None,
    severity: Annotated[list[str] | None, Query(max_length=3)] = None,
    topic: str | None = None,
    company: str | None = None,
    owner: str | None = None,
    verdict: Annotated[str | None, Query(description="Empty: those without one.")] = None,
    start: Moment | None = None,
) -> Wanted:
    """The filters of a list of alerts."""
    return Wanted(state, topic, company, start, None, None, severity, owner, verdict)


Filters = Annotated[Wanted, Depends(wanted)]


@router.get("/v1/alerts", summary="Alerts, the latest first")
def listing(
    at: At, caller: Viewer, filters: Filters, after: str = "", limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> dict[str, Any]:
    with at.store.read() as connection:
        found = alerts.listing(connection, _paged(filters, after), limit + 1)
    rows = [views.alert_row(one, at.names) for one in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return {"alerts": rows, "next": None if last is None else f"{last.since!r}~{last.id}"}


@router.get("/v1/alerts.csv", summary="Alerts as a table; no cell is a formula")
def as_csv(at: At, caller: Viewer, filters: Filters) -> StreamingResponse:
    pieces = _exported(at, filters, export.csv_rows)
    return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=_saved("alerts.csv"))


@router.get("/v1/alerts.json", summary="Whole alerts")
def as_json(at: At, caller: Viewer, filters: Filters) -> StreamingResponse:
    pieces = _exported(at, filters, export.json_rows)
    return StreamingResponse(pieces, media_type="application/json", headers=_saved("alerts.json"))


@router.get("/v1/alerts/{id}", summary="One alert, its evidence and its history")
def one(at: At, caller: Viewer, id: str) -> dict[str, Any]:
    with at.store.read() as connection:
        return views.alert_page(connection, acts.found(connection, id), at.names)


@router.get("/v1/alerts/{id}/brief", response_class=HTMLResponse, summary="One page for the screen and for paper")
async def as_brief(at: At, caller: Viewer, request: Request, id: str, lang: str = "en", zone: str = "UTC") -> Response:
    if lang not in ("en", "zh"):
        raise Problem(422, f"The brief speaks en and zh, not {lang!r:.20}.")
    zone_of(zone)
    stored = await run_in_threadpool(_found, at, id)
    summary, note = ((), "") if at.desk is None else await at.desk.read(stored.evidence)
    address = f"{request.url.scheme}://{request.url.netloc}/alerts/{stored.id}"
    page = partial(brief, lang=lang, zone=zone, address=address, note=note)
    return HTMLResponse(await run_in_threadpool(page, acts.current(stored), stored.evidence, summary))


@router.post("/v1/alerts/{id}/acknowledge", summary="Take care of an alert that is firing")
def acknowledge(at: At, caller: Analyst, id: str, said: Said) -> dict[str, Any]:
    acts.acknowledge(at.hand(caller), id, said.comment)
    return _row(at, id)


@router.post("/v1/alerts/{id}/snooze", summary="No notices of an alert until a time")
def snooze(at: At, caller: Analyst, id: str, said: Snoozed) -> dict[str, Any]:
    acts.snooze(at.hand(caller), id, said.until, said.comment)
    return _row(at, id)


@router.post("/v1/alerts/{id}/verdict", summary="Say whether an alert was right")
def verdict(at: At, caller: Analyst, id: str, said: Judged) -> dict[str, Any]:
    acts.judge(at.hand(caller), id, said.verdict, said.comment)
    return _row(at, id)


@router.post("/v1/alerts/{id}/comment", summary="Comment on an alert")
def comment(at: At, caller: Analyst, id: str, said: Remarked) -> dict[str, Any]:
    acts.remark(at.hand(caller), id, said.comment)
    return _row(at, id)


@router.post("/v1/alerts/{id}/own", summary="Say whose an alert is")
def own(at: At, caller: Analyst, id: str, said: Owned) -> dict[str, Any]:
    acts.own(at.hand(caller), id, said.owner)
    return _row(at, id)


def _found(at: Console, id: str) -> StoredAlert:
    with at.store.read() as connection:
        return acts.found(connection, id)


def _row(at: Console, id: str) -> dict[str, Any]:
    with at.store.read() as connection:
        return views.alert_row(acts.found(connection, id), at.names)


def _exported(at: Console, filters: Wanted, write: Any) -> Iterable[str]:
    """The pieces of a file; the alerts are read at once, for a slow client shall hold no transaction."""
    with at.store.read() as connection:
        found: list[StoredAlert] = alerts.listing(connection, filters, EXPORTED)
        pieces: list[str] = list(write(views.exported(connection, found)))
    return pieces


def _paged(filters: Wanted, after: str) -> Wanted:
    """Behind the last alert of a page. Raises `Problem` 422 for what no page gave."""
    if not after:
        return filters
    since, _, id = after.partition("~")
    try:
        place = (float(since), id)
    except ValueError:
        raise Problem(422, "`after` is the `next` of the page before.") from None
    return replace(filters, before=place)


def _saved(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
