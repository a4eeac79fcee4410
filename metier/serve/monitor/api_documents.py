"""Documents over HTTP: in, and what became of them; what could not be read or linked."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from metier.serve.body import parse
from metier.serve.doors.routes import Analyst, BoundedRoute, Viewer
from metier.serve.doors.schema import Number
from metier.serve.monitor import lists, views
from metier.serve.monitor.console import At, Console
from metier.serve.monitor.schema import Feedback, Replayed, Settled
from metier.serve.problems import CLOSE, Problem
from metier.store import documents, quarantine

LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines"})
router = APIRouter(route_class=BoundedRoute, tags=["documents"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}],
                    "example": {"id": "wire-1", "text": "Acme is sued", "time": "2025-03-17T09:30:00Z"},
                }
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/v1/documents", status_code=202, summary="Push documents: one, a list, or JSON lines", openapi_extra=_BODY
)
async def push(at: At, caller: Analyst, request: Request) -> dict[str, int]:
    """Answered once they are on the disk. A document that has the id of an earlier one is taken for the same."""
    if at.inbox is None:
        raise Problem(409, "This monitor takes no pushed documents: its settings have no source of the kind push.")
    if at.draining:
        raise Problem(503, "The service stops.", headers=CLOSE | {"Retry-After": "1"})
    rows = await run_in_threadpool(_rows, request, await _body(request, at), at)
    await run_in_threadpool(at.inbox.put, rows)
    at.figures.documents.inc(len(rows))
    return {"accepted": len(rows)}


async def _body(request: Request, at: Console) -> bytes:
    limits = at.settings.limits
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await request.body()
    except TimeoutError:
        raise Problem(408, f"The body took longer than {limits.body_seconds:g} seconds.", headers=CLOSE) from None


def _rows(request: Request, body: bytes, at: Console) -> list[dict[str, Any]]:
    """The documents of a body. Raises `Problem` 400, 413, 415, 422."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    depth, most = at.settings.limits.depth, at.settings.documents
    if kind in LINES:
        lines = [line for line in body.splitlines() if line.strip()]
        _require_few(len(lines), most)  # millions of short ones take half a minute to parse
        rows = [parse(line, depth) for line in lines]
    elif kind == "application/json":
        found = parse(body, depth)
        rows = found if isinstance(found, list) else [found]
    else:
        expected = "application/json or application/x-ndjson"
        raise Problem(415, f"Documents are JSON or JSON lines: Content-Type: {expected}.", headers={"Accept": expected})
    wrong = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
    if wrong:
        errors = [{"at": f"[{number}]", "message": "a document is a JSON object"} for number in wrong[:20]]
        raise Problem(422, "Not all of it are documents; none was taken.", errors=errors)
    if not rows:
        raise Problem(422, "There is no document in it.")
    _require_few(len(rows), most)
    return rows


def _require_few(documents: int, most: int) -> None:
    if documents > most:
        raise Problem(413, f"A request may hold {most} documents, not {documents}.")


@router.get("/v1/documents/{id:path}", summary="One document and what was understood of it")
def document(at: At, caller: Viewer, id: str) -> dict[str, Any]:
    with at.store.read() as connection:
        stored = documents.get(connection, id)
        if stored is None:
            raise Problem(404, "There is no such document.")
        return views.document_row(connection, [stored], at.names)[0]


@router.get("/v1/stories/{id:path}", summary="A story with its documents")
def story(at: At, caller: Viewer, id: str, limit: Annotated[int, Query(ge=1, le=1_000)] = 200) -> dict[str, Any]:
    with at.store.read() as connection:
        found = views.story_page(connection, id, at.names, limit)
    if found is None:
        raise Problem(404, "There is no such story.")
    return found


@router.post("/v1/feedback", status_code=201, summary="A document was read wrongly")
def feedback(at: At, caller: Analyst, said: Feedback) -> dict[str, Any]:
    made = lists.correct(at.hand(caller), said.document, said.head, said.correction, said.comment)
    return {"id": made.id, "verdict": made.verdict, "head": made.head, "document": made.subject}


@router.get("/v1/quarantine", summary="What could not be read, the oldest first")
def aside(
    at: At, caller: Analyst, after: Number = 0, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> dict[str, Any]:
    with at.store.read() as connection:
        found = list(quarantine.waiting(connection, after, limit))
        counts = quarantine.counts(connection)
    rows = [
        {"number": one.number, "source": one.source, "reason": one.reason, "at": one.at, "raw": one.raw}
        for one in found
    ]
    return {"quarantine": rows, "waiting": counts, "next": found[-1].number if len(found) == limit else None}


@router.post("/v1/quarantine/replay", status_code=202, summary="Send what was set aside through again")
def replay(at: At, caller: Analyst, said: Replayed) -> dict[str, int]:
    try:
        mended = {int(number): text for number, text in said.contents.items()}
    except ValueError:
        raise Problem(422, "`contents` has texts by the numbers that they mend.") from None
    return {"replayed": lists.replay(at.hand(caller), at.inbox, said.numbers, mended)}


@router.get("/v1/unlinked", summary="Names that belong to no company of the table, the most frequent first")
def unlinked(at: At, caller: Viewer, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> dict[str, Any]:
    with at.store.read() as connection:
        found = documents.unlinked_names(connection, limit)
    return {"names": [{"name": name, "count": count, "last": last} for name, count, last in found]}


@router.post("/v1/unlinked/settle", summary="Take names off that list")
def settle(at: At, caller: Analyst, said: Settled) -> dict[str, int]:
    lists.link(at.hand(caller), said.names)
    return {"settled": len(said.names)}
