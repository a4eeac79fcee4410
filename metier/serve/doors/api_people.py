"""People, keys and the audit log over HTTP: the same for every console."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from metier.serve.doors import hand
from metier.serve.doors.routes import Admin, At, BoundedRoute, Viewer
from metier.serve.doors.schema import ChangedPerson, NewKey, NewPerson, Number
from metier.store import audit, people

router = APIRouter(route_class=BoundedRoute)


@router.get("/v1/whoami", tags=["people"], summary="Who asks")
def whoami(caller: Viewer) -> dict[str, str]:
    return {"name": caller.name, "role": caller.role, "kind": caller.kind}


@router.get("/v1/people", tags=["people"], summary="Who may come in")
def everybody(at: At, caller: Admin) -> dict[str, Any]:
    with at.store.read() as connection:
        return {
            "people": [asdict(one) for one in people.listing(connection)],
            "keys": [asdict(one) for one in people.all_keys(connection)],
        }


@router.post("/v1/people", status_code=201, tags=["people"], summary="Let somebody in")
def enrol(at: At, caller: Admin, said: NewPerson) -> dict[str, str]:
    hand.enrol(at.hand(caller), said.name, said.role, said.password)
    return {"name": said.name.strip(), "role": said.role}


@router.patch("/v1/people/{name}", status_code=204, tags=["people"], summary="Change somebody's role or password")
def change(at: At, caller: Admin, name: str, said: ChangedPerson) -> None:
    hand.change(at.hand(caller), name, role=said.role, active=said.active, password=said.password)


@router.post("/v1/keys", status_code=201, tags=["people"], summary="A key for a program; it is shown once")
def add_key(at: At, caller: Admin, said: NewKey) -> dict[str, str]:
    return {"name": said.name.strip(), "key": hand.add_key(at.hand(caller), said.name, said.role, said.days)}


@router.delete("/v1/keys/{name}", status_code=204, tags=["people"], summary="End a key")
def revoke(at: At, caller: Admin, name: str) -> None:
    hand.revoke_key(at.hand(caller), name)


@router.get("/v1/audit", tags=["people"], summary="Who did what, the latest first")
def log(
    at: At, caller: Admin, before: Number | None = None, kind: str | None = None, subject: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:  # fmt: skip
    with at.store.read() as connection:
        found = audit.listing(connection, before=before, kind=kind, subject=subject, limit=limit)
        return {"entries": [asdict(one) for one in found]}
