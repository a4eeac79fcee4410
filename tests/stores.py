"""Stores for tests: each test that asks for `store` (or `place`) runs once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import postgres
import pytest

from metier.store.store import Store
from metier.store.tables import metadata

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server; skips where there is none."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def shared(server: str) -> str:
    """The address of a store that is emptied before each test: to make one takes longer."""
    url = fresh(server)
    Store.open(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path) -> str:
    """The address of a store that is not there yet (SQLite), or is empty (PostgreSQL)."""
    if request.param == "sqlite":
        return str(tmp_path / "metier.db")
    url = request.getfixturevalue("shared")
    _run(url, "ALTER TABLE audit DISABLE TRIGGER ALL")
    _run(url, f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")
    _run(url, "ALTER TABLE audit ENABLE TRIGGER ALL")
    return url


@pytest.fixture
def store(place):
    """An open, empty store."""
    with Store.open(place) as opened:
        yield opened


def fresh(server: str) -> str:
    """The address of a new database."""
    name = f"store_{next(_numbers)}"
    _run(server, f"CREATE DATABASE {name}")
    return server.replace("/postgres", f"/{name}")


def _run(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)
