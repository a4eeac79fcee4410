"""The web service: requests in, calibrated predictions out. The only part of the house that is asynchronous.

A request goes through `gate` (hosts, keys, sizes, time), `body` (JSON), `batching` (one queue, one thread that
predicts) and back. `page` is the same service for a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metier.serve.settings import Limits, Settings

if TYPE_CHECKING:
    from metier.serve.app import create_app
    from metier.serve.server import serve

__all__ = ["Limits", "Settings", "create_app", "serve"]

_LATER = {"create_app": "metier.serve.app", "serve": "metier.serve.server"}


def __getattr__(name: str) -> Any:
    """`create_app` and `serve` bring FastAPI with them, so they are imported when they are asked for."""
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module 'metier.serve' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
