"""What reviewers do over HTTP: look at candidates, try them, make them knowledge or put them away, take that back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from metier.apps.support.learn.reasons import because
from metier.serve.doors.routes import Analyst, BoundedRoute
from metier.serve.support.office import At
from metier.serve.support.schema import Refusal, Trial
from metier.store import knowledge
from metier.store.knowledge import Candidate, Promotion

router = APIRouter(prefix="/v1/desk", route_class=BoundedRoute, tags=["review"])
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/review", summary="Candidates that wait, with the entries that are nearly the same")
def listing(at: At, caller: Analyst, limit: Limit = 50) -> dict[str, Any]:
    with at.store.read() as connection:
        found = knowledge.waiting(connection, limit=limit)
        intents = knowledge.intents(connection)
    return {"candidates": [asdict(one) for one in found], "intents": intents}


@router.post("/review/{id}/trial", summary="What would change if it were known")
def trial(at: At, caller: Analyst, id: str, said: Trial) -> dict[str, Any]:
    candidate = _candidate(at, id)
    return _told(at.review.tried(at.review.proposed(candidate, **said.model_dump()), candidate.question).shown())


@router.post("/review/{id}/promote", summary="Try it and make it knowledge; where it breaks something it is refused")
def promote(at: At, caller: Analyst, id: str, said: Trial) -> dict[str, Any]:
    return _row(at.review.promote(id, caller.name, **said.model_dump()))


@router.post("/review/{id}/refuse", summary="Put it away")
def refuse(at: At, caller: Analyst, id: str, said: Refusal) -> dict[str, Any]:
    return asdict(at.review.refuse(id, caller.name, said.reason.strip()))


@router.get("/promotions", summary="What was promoted or refused, the latest first")
def promotions(at: At, caller: Analyst, limit: Limit = 50) -> dict[str, Any]:
    with at.store.read() as connection:
        return {"promotions": [_row(one) for one in knowledge.promoted(connection, limit)]}


@router.post("/promotions/{id}/roll_back", summary="Entries are what they were before a promotion")
def roll_back(at: At, caller: Analyst, id: str) -> dict[str, int]:
    return {"entries": at.review.roll_back(id, caller.name)}


def _candidate(at: At, id: str) -> Candidate:
    with at.store.read() as connection:
        return knowledge.candidate_of(connection, id)


def _row(one: Promotion) -> dict[str, Any]:
    return {**asdict(one), "report": _told(dict(one.report or {}))}


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """A report whose reasons can be read in both languages."""
    reasons = [
        {**(one if isinstance(one, dict) else {}), "en": because(one, "en"), "zh": because(one, "zh")}
        for one in report.get("reasons", ())
    ]
    return {**report, "reasons": reasons}
