"""The service of the monitor: an API for programs and pages for people, over one store.

`metier.serve.doors` says who comes in, `acts` is what they may do (each with its entry in the audit log), `views` what
they see; routes and pages only carry that over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metier.serve.monitor.settings import ServiceSettings

if TYPE_CHECKING:
    from metier.serve.doors.server import serve
    from metier.serve.monitor.app import create_app

__all__ = ["ServiceSettings", "create_app", "serve"]

_LATER = {"create_app": "metier.serve.monitor.app", "serve": "metier.serve.doors.server"}


def __getattr__(name: str) -> Any:
    """`create_app` and `serve` bring FastAPI with them, so they are imported when they are asked for."""
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module 'metier.serve.monitor' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
