"""The service of customer service: customers write under `/v1/chat`, people answer under `/v1/desk`, outside channels
send to `/v1/channels`.

`office` holds the parts, `hub` tells who listens that something was said, `chat` and `desk` are the routes, `live` and
`desk_live` the sockets, `chores` what goes on beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metier.serve.support.settings import ServiceSettings

if TYPE_CHECKING:
    from metier.serve.support.app import create_app

__all__ = ["ServiceSettings", "create_app"]


def __getattr__(name: str) -> Any:
    """`create_app` brings FastAPI with it, so it is imported when it is asked for."""
    if name != "create_app":
        raise AttributeError(f"module 'metier.serve.support' has no attribute {name!r}")
    from metier.serve.support.app import create_app

    return create_app
