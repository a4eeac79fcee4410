"""The service in a process: uvicorn, told when to hang up and how to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metier.serve.server import DrainingServer, bind, config

if TYPE_CHECKING:
    from fastapi import FastAPI

    from metier.serve.doors.house import House


def serve(app: FastAPI, announce: Callable[[str], None] | None = None) -> None:
    """Serves the application of `create_app` until SIGTERM or SIGINT; blocks.

    Args:
        app: the application; it says where it listens.
        announce: told the address once requests are answered there.

    Raises `MetierError` for an address that cannot be bound.
    """
    console: House = app.state.console
    settings: Any = console.settings
    with bind(settings.host, settings.port) as listener:
        server(app, announce).run([listener])


def server(app: FastAPI, announce: Callable[[str], None] | None = None) -> DrainingServer:
    """uvicorn, ready to run beside an engine: `run([listener])` blocks; `should_exit = True` ends it."""
    console: Any = app.state.console
    return DrainingServer(config(app, console.settings), console, announce)


def setup_link(app: FastAPI, address: str) -> str:
    """The link by which the first person is made; empty where there are people. Shown to who started the service."""
    door = app.state.console.door
    return f"{address}/setup?code={door.setup_code}" if door.is_new() else ""
