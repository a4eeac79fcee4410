"""What customers do over HTTP. A conversation belongs to who holds its token; of any other it is not told whether it
is there."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from metier.serve.doors.routes import VisitorRoute
from metier.serve.doors.schema import Number
from metier.serve.problems import Problem
from metier.serve.support import verdicts, views
from metier.serve.support.office import At, Office, Own
from metier.serve.support.schema import CustomerAct, Opened, Rated, Said, Verdict
from metier.store.knowledge import VISITOR

LONGEST_WAIT = 25.0
router = APIRouter(prefix="/v1/chat", route_class=VisitorRoute, tags=["chat"])


@router.post("/conversations", status_code=201, summary="Open a conversation; the token is shown once")
def open_one(at: At, request: Request, said: Opened) -> dict[str, Any]:
    made, token = at.open(at.door.address(request), said.language)
    return {"id": made.id, "token": token, "state": made.state, "name": at.asked.name}


@router.get("/conversations/{id}", summary="The state of one's conversation")
def state(at: At, own: Own) -> dict[str, Any]:
    return at.state(own)


@router.post("/conversations/{id}/messages", summary="Say something; what is answered was kept before")
async def say(at: At, own: Own, said: Said) -> dict[str, Any]:
    found = await at.receive(own.id, said.text, said.id)

    def shown() -> dict[str, Any]:
        replies = [views.message_row(one) for one in at.replies(found)]
        return {
            "message": views.message_row(found.message), "replies": replies,
            "conversation": at.state(found.conversation),
        }  # fmt: skip

    return await run_in_threadpool(shown)


@router.get("/conversations/{id}/messages", summary="What was said behind a number; `wait` for something new")
async def messages(
    at: At, own: Own, after: Number = 0,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds.")] = 0,
) -> dict[str, Any]:  # fmt: skip
    found = await run_in_threadpool(at.said, own.id, after)
    if wait and not found and not at.draining:
        found = await _next(at, own.id, after, wait)

    def shown() -> dict[str, Any]:
        last = found[-1]["number"] if found else after
        return {"messages": found, "conversation": at.state(at.support.get(own.id)), "next": last}

    return await run_in_threadpool(shown)


async def _next(at: Office, id: str, after: int, wait: float) -> list[dict[str, Any]]:
    """What is said within some seconds."""
    end = time.monotonic() + wait
    with at.hub.subscribe(id) as notes:
        while not (found := await run_in_threadpool(at.said, id, after)):
            note = await notes.next(max(0.0, end - time.monotonic()))
            if note is None or note.kind == "stop":
                break
    return found


@router.post("/conversations/{id}/acts", summary="Call a person, leave the queue, begin again")
def act(at: At, own: Own, said: CustomerAct) -> dict[str, Any]:
    at.messages.take(own.id)
    return at.state(at.act(own.id, said.act, "visitor"))


@router.post("/conversations/{id}/rating", status_code=204, summary="How it was, 1 to 5")
def rate(at: At, own: Own, said: Rated) -> None:
    at.messages.take(own.id)
    at.support.rate(own.id, said.rating, said.remark)


@router.post("/conversations/{id}/messages/{number}/verdict", status_code=201, summary="Whether an answer is right")
def judge(at: At, own: Own, number: Number, said: Verdict) -> dict[str, str]:
    at.messages.take(own.id)
    with at.store.read() as connection:
        message = verdicts.answer(connection, own.id, number)
    if message is None:
        raise Problem(404, "There is no such answer in this conversation.")
    return {"id": verdicts.judge(at.support, at.review, message, VISITOR, said)}


@router.options("/{path:path}", status_code=204, include_in_schema=False)
def preflight(path: str) -> None:
    """What browsers ask before they send from another site; `app` adds the answer's headers."""
