"""The database that all applications share: SQLite by default, PostgreSQL beyond one machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metier.errors import MissingExtra

if TYPE_CHECKING:
    from metier.store.store import Store


def open_store(url: str | Path, *, migrate: bool = True, create: bool = True) -> Store:
    """`Store.open`; where its libraries are not installed, `MissingExtra` says what to install."""
    try:
        from metier.store.store import Store
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "apps") from None
    return Store.open(url, migrate=migrate, create=create)
