"""uvicorn, told when to hang up and how to stop."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import uvicorn

from metier.errors import MetierError
from metier.serve.app import create_app
from metier.serve.protocol import bounded
from metier.serve.source import source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from metier.serve.service import Service
    from metier.serve.settings import Settings
    from metier.serve.source import Predictor, Source


def serve(
    models: Predictor | Source | str | Path | Sequence[Predictor | Source | str | Path],
    settings: Settings,
    announce: Callable[[str], None] | None = None,
    *,
    device: str = "auto",
    threads: int = 0,
) -> None:
    """Serves a model, or the run in a folder, or several of them, until SIGTERM or SIGINT; one process. Blocks.

    Args:
        models: loaded models or paths of runs; the first is the one that is meant where none is named.
        settings: where, for whom, and how much.
        announce: told the address once requests are answered there.
        device: where the runs of folders compute.
        threads: of the processor that they share; 0: all.

    Raises:
        RunError: for a run that cannot be loaded.
        RecipeError: for a key file that cannot be used, two runs of the same name, or one too large for the memory.
        MetierError: for an address that cannot be bound.
    """
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    sources = [source(one, device, threads) for one in several]
    app = create_app(sources, settings)
    with bind(settings.host, settings.port) as listener:
        DrainingServer(config(app, settings), app.state.service, announce).run([listener])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `MetierError` where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except OSError as error:
        # create_server says in the reason once more which address it was
        reason = (error.strerror or str(error)).partition(" (while attempting")[0]
        raise MetierError(
            f"The address {host}:{port} cannot be used ({reason}).",
            expected="a free port of this machine",
            hint="another --port, or --port 0 for any free one",
        ) from error


def config(app: Any, settings: Settings) -> uvicorn.Config:
    """uvicorn's settings. No log configuration: the caller's applies. No trust in forwarded headers."""
    limits = settings.limits
    return uvicorn.Config(
        app,
        http=bounded(limits),
        ws="websockets-sansio",
        ws_max_size=limits.body_bytes,
        ws_max_queue=16,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=limits.header_bytes,
    )


class DrainingServer(uvicorn.Server):
    """A server that, told to stop, first finishes what it accepted.

    After SIGTERM or SIGINT `/readyz` answers 503 and new predictions are refused, so that a balancer goes elsewhere;
    once the accepted ones are answered, or the drain time is over, the sockets close. A second signal ends it at once.
    """

    def __init__(self, config: uvicorn.Config, service: Service, announce: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._service, self._announce = service, announce
        self._give_up_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM and SIGINT. The signal is not raised again: a drained stop is a success."""
        if self._give_up_at is not None:
            self.should_exit = self.force_exit = True
            return
        self._give_up_at = time.monotonic() + self._service.settings.limits.drain_seconds
        self._service.drain()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._announce is not None and sockets:
            host, port = sockets[0].getsockname()[:2]
            self._announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        if self._give_up_at is not None and (self._service.drained or time.monotonic() > self._give_up_at):
            self.should_exit = True
        return await super().on_tick(counter)
