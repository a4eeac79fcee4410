"""Errors as RFC 9457 problem documents: every answer that is not a success has the same shape."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from metier.errors import MetierError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI, Request

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
TAGS = ("ManyTexts", "OneText", "Text", "Pair", "Name", "Place")
CLOSE = {"Connection": "close"}


class Problem(Exception):
    """An answer that is not a success.

    Args:
        status: the HTTP status.
        detail: what was found and what to do, for the person who sent the request.
        errors: where in the body, and what, when there are several.
        headers: headers of the answer (`Retry-After`, `Allow`, `WWW-Authenticate`).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The document. Its `type` is `about:blank`: `title` is the status's own phrase (RFC 9457, section 4.2.1)."""
        document = {"type": "about:blank", "title": phrase(self.status), "status": self.status, "detail": self.detail}
        return document | ({"errors": list(self.errors)} if self.errors else {})

    def response(self) -> JSONResponse:
        return JSONResponse(self.document(), status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


def phrase(status: int) -> str:
    """The words of a status, or its class where it has none of its own."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def overloaded(detail: str, seconds: float = 1.0) -> Problem:
    """A 503 that says when to come back."""
    return Problem(503, detail, headers={"Retry-After": str(max(1, min(60, round(seconds + 0.5))))})


def place(location: Sequence[int | str]) -> str:
    """`texts[3].pair` for `("body", "ManyTexts", "texts", 3, "Pair", "pair")`: no tags of `schema`'s unions."""
    names = [part for part in location[1:] if part not in TAGS]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in names)
    return text.removeprefix(".") or "body"


def of_validation(error: RequestValidationError) -> Problem:
    """422 with every mistake of the body, without repeating the body itself."""
    found = {(place(item["loc"]), str(item["msg"])): None for item in error.errors()}
    errors = [{"at": at, "message": message} for at, message in list(found)[:MOST_ERRORS]]
    return Problem(422, "The body is JSON, but not a request that this service knows; see /docs.", errors=errors)


def of_http(error: HTTPException) -> Problem:
    """What Starlette's router says (404, 405), and no more than that."""
    details = {404: "There is nothing at this address; see /docs.", 405: "This address does not take this method."}
    return Problem(error.status_code, details.get(error.status_code, str(error.detail)), headers=error.headers)


def install(app: FastAPI) -> None:
    """Answers every exception that an endpoint can raise with a problem document; what is no mistake of the client
    goes on to `gate.Gate`, which says 500 and nothing else."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, RequestValidationError):
            return of_validation(error).response()
        if isinstance(error, HTTPException):
            return of_http(error).response()
        if isinstance(error, MetierError):
            return Problem(422, str(error)).response()
        if isinstance(error, Problem):
            return error.response()
        raise error

    for kind in (RequestValidationError, HTTPException, MetierError, Problem):
        app.add_exception_handler(kind, answer)
