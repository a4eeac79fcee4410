"""Logging in and out with plain forms: a page over a websocket can set no cookie that scripts cannot read."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from metier.errors import DataError
from metier.serve.doors.door import require_same_origin
from metier.serve.doors.drawing import draw_door
from metier.serve.doors.house import House
from metier.serve.doors.phrases import language_of
from metier.serve.doors.routes import At, house_of
from metier.store.people import TooManyAttempts

router = APIRouter(include_in_schema=False)
Typed = Annotated[str, Form(max_length=1_000)]


@router.get("/login")
def door(at: At, request: Request, next: str = "/") -> Response:
    if at.door.caller(request) is not None:
        return RedirectResponse(_inside(next), 303)
    return _form(request, "log_in", next=_inside(next), new=at.door.is_new())


@router.post("/login")
def log_in(at: At, request: Request, name: Typed = "", password: Typed = "", next: Typed = "/") -> Response:
    require_same_origin(request)
    try:
        token = at.door.log_in(name, password, at.door.address(request))
    except TooManyAttempts as error:
        found = _form(request, "log_in", 429, next=_inside(next), name=name, fault="too_many")
        found.headers["Retry-After"] = str(int(error.seconds) + 1)
        return found
    if token is None:
        return _form(request, "log_in", 401, next=_inside(next), name=name, fault="wrong_password")
    return _opened(at, token, _inside(next))


@router.post("/logout")
def log_out(at: At, request: Request) -> Response:
    require_same_origin(request)
    caller = at.door.caller(request)
    if caller is not None and caller.kind == "session":
        at.door.log_out(caller, at.door.address(request))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(at.door.cookie, path="/", httponly=True, samesite="strict", secure=at.settings.https)
    return answer


@router.get("/setup")
def first(at: At, request: Request, code: str = "") -> Response:
    if not at.door.is_new():
        return RedirectResponse("/login", 303)
    return _form(request, "set_up", code=code)


@router.post("/setup")
def set_up(
    at: At, request: Request, name: Typed = "", password: Typed = "", again: Typed = "", code: Typed = ""
) -> Response:
    require_same_origin(request)
    address = at.door.address(request)
    if password != again:
        return _form(request, "set_up", 422, code=code, name=name, fault="not_the_same")
    try:
        at.door.set_up(name.strip(), password, code, address)
    except DataError as error:
        return _form(request, "set_up", 422, code=code, name=name, said=str(error))
    token = at.door.log_in(name.strip(), password, address)
    return _opened(at, token or "", "/")


def _opened(at: House, token: str, place: str) -> Response:
    answer = RedirectResponse(place, 303)
    answer.set_cookie(
        at.door.cookie, token, max_age=int(at.settings.session_hours * 3600), path="/", httponly=True,
        samesite="strict", secure=at.settings.https,
    )  # fmt: skip
    return answer


def _form(request: Request, form: str, status: int = 200, **values: Any) -> Response:
    language = language_of(request)
    theme = request.cookies.get("metier-theme", "auto")
    return HTMLResponse(draw_door(language, house_of(request).lead, form=form, theme=theme, **values), status)


def _inside(place: str) -> str:
    """A path of this service, whatever a link asked for."""
    parts = urlsplit(place)
    plain = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place if plain and not parts.netloc else "/"
