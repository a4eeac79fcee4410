"""Stores for tests: each test that asks for `store` (or `place`) runs once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import postgres
import pytest

_numbers = itertools.count(1)
TEMPLATE = "metier_template"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server; skips where there is none."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """The server, with a store in it that others are copied from."""
    from metier.store.store import Store

    _run(server, f"CREATE DATABASE {TEMPLATE}")
    Store.open(server.replace("/postgres", f"/{TEMPLATE}")).close()
    return server


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path) -> str:
    """The address of a store that is not there yet (SQLite), or is empty (PostgreSQL)."""
    if request.param == "sqlite":
        return str(tmp_path / "metier.db")
    return fresh(request.getfixturevalue("template"), TEMPLATE)


@pytest.fixture
def store(place):
    """An open, empty store."""
    from metier.store.store import Store

    with Store.open(place) as opened:
        yield opened


def fresh(server: str, template: str = "template1") -> str:
    """The address of a new database."""
    name = f"store_{next(_numbers)}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.replace("/postgres", f"/{name}")


def _run(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)
