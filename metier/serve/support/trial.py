"""A plain page with the widget on it, on which somebody of the house tries what customers see."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from metier.serve.doors.phrases import language_of
from metier.serve.support.drawing import draw
from metier.serve.support.office import At

PATH = "/try"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
router = APIRouter(include_in_schema=False)


@router.get(PATH)
def trial(at: At, request: Request) -> Response:
    if at.door.caller(request) is None:
        return RedirectResponse("/login?next=" + quote(PATH, safe=""), 303)
    return HTMLResponse(draw("try.html.j2", language_of(request), name=at.asked.name))
