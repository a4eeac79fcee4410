"""Engine and service in one process: the engine in a thread, the service in front."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from metier.apps.monitor import assemble
from metier.apps.monitor.sources.inbox import Inbox
from metier.apps.monitor.sources.pushed import PushedSource
from metier.serve.doors.server import server, setup_link
from metier.serve.monitor.app import create_app
from metier.serve.server import bind

if TYPE_CHECKING:
    from metier.apps.monitor.engine import Done, Monitor
    from metier.apps.monitor.settings import MonitorSettings
    from metier.serve.monitor.settings import ServiceSettings


def serve_beside(
    monitor: Monitor,
    asked: MonitorSettings,
    service: ServiceSettings,
    hear: Callable[[Done], None],
    say: Callable[[str], None],
) -> None:
    """Serves the console while the engine works; ends when told to (SIGTERM, SIGINT), or when the engine fails.

    When all sources have ended the service goes on. Pushed documents are taken where one of the sources reads them.

    Args:
        monitor: the engine, not running yet.
        asked: the settings that it was made of.
        service: where to serve.
        hear: is told of every step of the engine.
        say: is told the address, and where the first person is made.

    Raises what the engine raised.
    """
    pushed = any(isinstance(intake.source, PushedSource) for intake in monitor.intakes)
    inbox = Inbox(asked.spool, prepare=assemble.spooled(asked)) if pushed else None
    failed: list[BaseException] = []
    app = create_app(
        monitor.store, settings=service, inbox=inbox, companies=monitor.plan.companies,
        engine_status=lambda: _status(monitor, failed), summaries=assemble.summaries(asked, monitor.store),
    )  # fmt: skip

    def announce(address: str) -> None:
        say(f"The console is at {address}")
        if link := setup_link(app, address):
            say(f"Nobody may come in yet; the first person is made at {link}")

    web = server(app, announce)

    def work() -> None:
        try:
            monitor.run(hear=hear)
        except BaseException as error:  # noqa: BLE001 - raised again in front
            failed.append(error)
            web.should_exit = True

    engine = threading.Thread(target=work, name="metier-engine", daemon=True)
    try:
        with bind(service.host, service.port) as listener:
            engine.start()
            web.run([listener])
    finally:
        monitor.stop()
        if engine.is_alive():
            engine.join(30.0)
        if inbox is not None:
            inbox.close()
    if failed:
        raise failed[0]


def _status(monitor: Monitor, failed: list[BaseException]) -> Mapping[str, Any]:
    """What the service shows of the engine."""
    faults = {intake.source.name: intake.fault for intake in monitor.intakes if intake.fault}
    return {
        "steps": monitor.number,
        "series": len(monitor.alarm.detectors.places),
        "stories": len(monitor.stories),
        "alerts": len(monitor.alarm.book.alerts),
        "running": not failed and not monitor.stopped.is_set(),
        "version": monitor.plan.version,
        "topics": list(monitor.plan.topics),
        "sentiments": list(monitor.plan.sentiments),
        **({"faults": faults} if faults else {}),
    }
