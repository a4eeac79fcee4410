"""Customer service and its web service in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from metier.apps.support import assemble
from metier.apps.support.answer.answerer import Parts, Write
from metier.apps.support.answer.known import NOBODY
from metier.serve.doors.server import serve, setup_link
from metier.serve.support.app import create_app
from metier.serve.support.hub import Hub

if TYPE_CHECKING:
    from metier.apps.support.settings import SupportSettings
    from metier.serve.support.settings import ServiceSettings
    from metier.store.store import Store


def serve_support(
    asked: SupportSettings,
    store: Store,
    service: ServiceSettings,
    say: Callable[[str], None],
    write: Write | None = None,
) -> None:
    """Serves customer service until SIGTERM or SIGINT: what was accepted is answered first. Blocks.

    Args:
        asked: the settings; `metier support build` has been run on them.
        store: an open store.
        service: where to serve.
        say: is told the address, and where the first person is made.
        write: the generator, where there is one.

    Raises `MetierError` where nothing was built, a channel has no secret, or the address cannot be bound.
    """
    hub = Hub()
    support = assemble.support(asked, store, hear=hub.hear, write=write)
    try:
        _warm(support.answerer.parts)
        app = create_app(support, store, asked, service, hub=hub)

        def announce(address: str) -> None:
            say(f"{asked.name} is at {address}")
            if link := setup_link(app, address):
                say(f"Nobody may come in yet; the first person is made at {link}")

        serve(app, announce)
    finally:
        support.close()


def _warm(parts: Parts) -> None:
    """Looks for something once, in both languages, so that no customer waits for a dictionary to be read."""
    for text in ("Is anybody there who can help me?", "请问有人可以帮我吗"):
        vector = parts.encode([text])[0]
        intent = parts.understand(text) if parts.understand is not None else NOBODY
        parts.known.find(text, intent, vector=vector)
        if parts.papers is not None:
            parts.papers.find(text, vector=vector)
