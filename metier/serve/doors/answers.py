"""Answers to what every console raises; the nearest kind of an exception decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse

from metier.errors import StoreGone
from metier.serve.doors.hand import Missing
from metier.serve.problems import Problem, overloaded
from metier.store.people import TooManyAttempts

if TYPE_CHECKING:
    from fastapi import FastAPI, Request


def install(app: FastAPI) -> None:
    """404 for what is not there, 429 for too many log-ins, 503 for a store that is away."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, Missing):
            return Problem(404, str(error)).response()
        if isinstance(error, TooManyAttempts):
            return Problem(429, str(error), headers={"Retry-After": str(int(error.seconds) + 1)}).response()
        return overloaded(str(error), 5.0).response()

    for kind in (Missing, TooManyAttempts, StoreGone):
        app.add_exception_handler(kind, answer)
