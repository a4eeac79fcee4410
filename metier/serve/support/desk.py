"""What people do over HTTP: the queue, conversations, answers. A viewer looks, an analyst answers, an admin sees
private data (which the audit log tells) and erases."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from metier.serve.doors.door import Caller
from metier.serve.doors.routes import Admin, Analyst, BoundedRoute, Viewer
from metier.serve.doors.schema import Moment, Number
from metier.serve.problems import Problem
from metier.serve.support import canned, suggestions, verdicts, views
from metier.serve.support.office import PAGE, At, Office
from metier.serve.support.schema import AgentAct, Canned, Said, Verdict
from metier.store import conversations, service_figures
from metier.store.conversations import STATES, Conversation

DAY = 86_400.0
router = APIRouter(prefix="/v1/desk", route_class=BoundedRoute, tags=["desk"])


# -- looking ---------------------------------------------------------------------------------------------------------
@router.get("/queue", summary="Who waits, the longest first")
def queue(at: At, caller: Viewer) -> dict[str, Any]:
    return waiting(at)


def waiting(at: Office) -> dict[str, Any]:
    """The queue as people see it, with the service level and the office hours."""
    with at.store.read() as connection:
        found = conversations.queue(connection)
    now, rules = at.clock(), at.asked.handover
    rows = [views.desk_row(one, now, rules.warn) | {"position": place} for place, one in enumerate(found, 1)]
    hours = at.support.house.hours
    return {"queue": rows, "warn": rules.warn, "open": hours.is_open(now), "opens": hours.opens(now), "now": now}


@router.get("/conversations", summary="One's own, or all in a state, the one where something was said last first")
def listing(
    at: At, caller: Viewer, mine: bool = False, state: Annotated[list[str] | None, Query()] = None,
    before: float | None = None, before_id: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:  # fmt: skip
    if wrong := [one for one in state or () if one not in STATES]:
        raise Problem(422, f"There is no state {wrong[0]!r:.40}; expected {', '.join(STATES)}.")
    with at.store.read() as connection:
        if mine:
            found = conversations.of_agent(connection, caller.name)
        else:
            behind = None if before is None else (before, before_id)
            found = conversations.listing(connection, states=state, before=behind, limit=limit)
    return {"conversations": [_row(at, one) for one in found]}


@router.get("/conversations/{id}", summary="One conversation with what was said; `plain`: with private data (admins)")
def one(at: At, request: Request, caller: Viewer, id: str, plain: bool = False, after: Number = 0) -> dict[str, Any]:
    found = at.support.get(id)
    if plain:
        if not caller.may("admin"):
            raise Problem(403, f"The role {caller.role} sees private data masked; it takes the role admin.")
        at.hand(caller).do("unmask", "conversation", id, lambda connection: None)
    said = at.support.transcript(id, after, PAGE, plain=plain)
    return {"conversation": _row(at, found), "messages": [views.desk_message_row(one) for one in said]}


@router.get("/conversations/{id}/suggestions", summary="What is known of the customer's last question")
async def suggested(at: At, caller: Viewer, id: str) -> dict[str, Any]:
    await run_in_threadpool(at.support.get, id)
    return await at.pool.run(lambda: suggestions.of(at.support, id))


@router.get("/figures", summary="Volume, tiers, hand-overs, ratings, intents; by default of the last 30 days")
def figures(at: At, caller: Viewer, start: Moment | None = None, end: Moment | None = None) -> dict[str, Any]:
    until = at.clock() if end is None else end
    since = until - 30 * DAY if start is None else start
    with at.store.read() as connection:
        found = service_figures.figures(connection, since, until)
    return {"start": since, "end": until, **asdict(found), "resolution": found.resolution,
            "satisfaction": found.satisfaction}  # fmt: skip


# -- answering -------------------------------------------------------------------------------------------------------
@router.post("/conversations/{id}/acts", summary="Take, return to the queue, resolve, hand back to the bot")
def act(at: At, caller: Analyst, id: str, said: AgentAct) -> dict[str, Any]:
    return _row(at, at.act(id, said.act, "agent", caller.name))


@router.post("/conversations/{id}/messages", status_code=201, summary="Answer in a conversation that is yours")
def say(at: At, caller: Analyst, id: str, said: Said) -> dict[str, Any]:
    return views.desk_message_row(at.support.agent_says(id, caller.name, said.text, said.id or ""))


@router.post("/conversations/{id}/typing", status_code=204, summary="Tell the customer that you are typing")
def typing(at: At, caller: Analyst, id: str) -> None:
    is_typing(at, caller, id)


def is_typing(at: Office, caller: Caller, id: str) -> None:
    """Tells the customer that somebody is typing, where the conversation is theirs."""
    if at.support.get(id).agent == caller.name:
        at.hub.typing(id, caller.name)


@router.post("/conversations/{id}/messages/{number}/verdict", status_code=201, summary="Whether an answer is right")
def judge(at: At, caller: Analyst, id: str, number: Number, said: Verdict) -> dict[str, str]:
    with at.store.read() as connection:
        message = verdicts.answer(connection, id, number)
    if message is None:
        raise Problem(404, "There is no such answer in this conversation.")
    return {"id": verdicts.judge(at.support, at.review, message, caller.name, said)}


@router.post("/present", status_code=204, summary="A sign of life: without one, one's conversations go back")
def present(at: At, caller: Analyst) -> None:
    at.support.present(caller.name)


# -- canned replies --------------------------------------------------------------------------------------------------
@router.get("/replies", summary="Canned replies")
def replies(at: At, caller: Viewer) -> dict[str, Any]:
    with at.store.read() as connection:
        return {"replies": canned.listing(connection)}


@router.post("/replies", status_code=201, summary="Add a canned reply")
def add_reply(at: At, caller: Analyst, said: Canned) -> dict[str, Any]:
    return canned.add(at.hand(caller), said.title, said.text, said.language)


@router.delete("/replies/{id}", status_code=204, summary="Remove a canned reply")
def remove_reply(at: At, caller: Analyst, id: str) -> None:
    canned.remove(at.hand(caller), id)


# -- erasing ---------------------------------------------------------------------------------------------------------
@router.post("/conversations/{id}/erase", summary="Erase all that this conversation's customer said, for good")
def erase(at: At, caller: Admin, id: str) -> dict[str, Any]:
    done = at.erase(id, caller.name)
    return {"erasure": done.id, "conversations": done.conversations, "messages": done.messages}


def _row(at: Office, found: Conversation) -> dict[str, Any]:
    with at.store.read() as connection:
        place = conversations.position(connection, found)
    return views.desk_row(found, at.clock(), at.asked.handover.warn) | {"position": place}
