"""Where the trials of a search are kept: a SQLite file of its own, or a PostgreSQL server that machines share."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.errors import MissingExtra, RecipeError, RunError

BEAT, GRACE = 15, 60
"""On a server a running trial is heard of every so many seconds, and after so many without a sign it is given up."""
WAIT = 60
"""Seconds that a process waits for another one to be done with the file."""
CONNECT = 10
"""Seconds after which a server does not answer."""
STARTUP, COMPARED = 5, 3
"""Finished trials before any is cut short, and values at the same point that a median takes."""
EXPECTED = "postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Place:
    """The storage of a search: the name of the study, and a file or, where there is one, the address of a server."""

    name: str
    file: Path
    url: str = field(default="", repr=False)  # it may hold a password

    @property
    def shown(self) -> str:
        """The place as it may be shown."""
        if not self.url:
            return str(self.file)
        from sqlalchemy import make_url

        return make_url(self.url).render_as_string(hide_password=True)


def server(url: str) -> str:
    """The address as SQLAlchemy wants it. Raises `RecipeError` for one that is no PostgreSQL server's."""
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ModuleNotFoundError:
        raise MissingExtra("sqlalchemy", "search") from None
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise RecipeError("--storage is no address of a server.", expected=EXPECTED) from None
    if found.drivername not in ("postgresql", "postgres", "postgresql+psycopg") or not found.database:
        what = f"names a {found.drivername} storage" if found.database else "names no database"
        raise RecipeError(f"--storage {what}.", expected=EXPECTED)
    return found.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


@contextmanager
def opened(place: Place, cut_off: Callable[[Any, Any], None]) -> Iterator[Any]:
    """The study (`optuna.Study`) at a place, made where there is none; its connections are closed afterwards.

    Args:
        place: where.
        cut_off: called with the study and a trial whose process has died, where a server notices that.

    Raises `RunError` with one line where the storage cannot be reached, is lost, or is none.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtra("optuna", "search") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with reachable(place):
        kept = _on_server(place.url, cut_off) if place.url else _in_file(place.file)
        try:
            yield optuna.create_study(
                storage=kept,
                study_name=place.name,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_min_trials=COMPARED),
                load_if_exists=True,
            )
        finally:
            kept.remove_session()
            kept.engine.dispose()


def _in_file(file: Path) -> Any:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL

    with closing(sqlite3.connect(file, timeout=WAIT)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # readers and a writer do not wait for each other
    url = URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": WAIT}})


def _on_server(url: str, cut_off: Callable[[Any, Any], None]) -> Any:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    options = {"connect_args": {"connect_timeout": CONNECT, "client_encoding": "utf8"}, "pool_pre_ping": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of the heartbeat

        def connect() -> Any:
            return RDBStorage(
                url,
                engine_kwargs=options,
                heartbeat_interval=BEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=cut_off,
            )

        try:
            return connect()
        except (IntegrityError, ProgrammingError):  # another machine has made the same tables meanwhile
            return connect()


@contextmanager
def reachable(place: Place) -> Iterator[None]:
    """Inside, whatever goes wrong with the storage is a `RunError` of one line, without the password."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        raise RunError(
            f"The trials in {place.shown} cannot be reached: {_reason(error, place)}.",
            expected=f"a server that answers, {EXPECTED}" if place.url else "the file of a search",
            hint="the same command again goes on once it is there" if place.url else "another --out",
        ) from None
    except ImportError as error:
        raise MissingExtra(str(error.name or "psycopg"), "search") from None


def _reason(error: BaseException, place: Place) -> str:
    """The first line of what the driver said last, without the password."""
    from sqlalchemy import make_url

    first: BaseException = error
    while (deeper := getattr(first, "orig", None) or first.__cause__) is not None:
        first = deeper
    words = next(filter(None, map(str.strip, str(first).splitlines())), type(first).__name__).rstrip(".?")
    secret = make_url(place.url).password if place.url else None
    return words.replace(str(secret), "***") if secret else words
