"""The store: one database with one way in for those who write and one for those who read.

Everything that is read in one `with store.read()` is of one moment. Everything that is written in one
`with store.write()` is there afterwards, or nothing of it; when the block has ended it is on the disk.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from metier.errors import MissingExtra, StoreError, StoreGone, nearest
from metier.store import faults, migrate

WAIT = 30.0
"""Seconds that a writer waits for another one before it gives up."""
CONNECT = 10
"""Seconds after which a server does not answer."""
TRIES = 8
"""How often a transaction that met another one is tried."""
EXPECTED = "a file, sqlite:///FILE, or postgresql://USER@HOST/DATABASE"
SERVER = {
    "connect_timeout": CONNECT, "client_encoding": "utf8", "keepalives_idle": 30, "keepalives_interval": 10,
    "keepalives_count": 3, "tcp_user_timeout": 30_000, "application_name": "metier",
}  # fmt: skip
T = TypeVar("T")


class Store:
    """A database that is open; `Store.open` opens one. Any number of threads and processes may use it at once."""

    def __init__(self, url: URL) -> None:
        self.url, self.shown = url, faults.shown(url)
        self.kind = url.get_backend_name()
        """`sqlite` or `postgresql`."""
        self.path = Path(str(url.database)) if self.kind == "sqlite" else None
        self._engine = _engine(url)
        self._reader, self._writer = _ways(self._engine)
        self._turn = threading.Lock()  # SQLite has one writer; threads queue here, which is fairer than its own wait
        self._writing = 0

    @classmethod
    def open(cls, url: str | Path, *, migrate: bool = True, create: bool = True) -> Store:
        """Opens a store, with the tables that this version reads.

        Args:
            url: a file, `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST/DATABASE`.
            migrate: bring older tables to this version's; otherwise they are refused.
            create: make the file and the tables where there is nothing.

        Raises:
            StoreError: for an address that is none, a file that is no store or may not be written, a wrong password,
                tables of a later version.
            StoreGone: where the server does not answer, or the disk is full.
        """
        store = cls(_address(url))
        try:
            if store.path is not None:
                _prepare(store.path, create)
            store._settle(migrate, create)
        except BaseException:
            store.close()
            raise
        return store

    def _settle(self, upgrade: bool, create: bool) -> None:
        with self.read() as connection:
            revision = migrate.current(connection)
        if migrate.require(revision, self.shown):
            return
        if revision is None and not create:
            raise StoreError(f"There is no store in {self.shown}.", hint="metier store upgrade makes one")
        if revision is not None and not upgrade:
            raise StoreError(
                f"The store {self.shown} has an older schema ({revision}).",
                expected=migrate.HEAD,
                hint="metier store upgrade",
            )
        self.upgrade()

    def upgrade(self) -> None:
        """Brings the tables to this version's, all of it or nothing."""
        with self.write() as connection:
            migrate.upgrade(connection)

    def current(self) -> str | None:
        """The revision of the tables."""
        with self.read() as connection:
            return migrate.current(connection)

    def size(self) -> int:
        """Bytes that the store takes on the disk."""
        if self.path is not None:
            beside = [self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm")]
            return sum(file.stat().st_size for file in beside if file.exists())
        with self.read() as connection:
            return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees the store as it is now, whatever is written meanwhile, and cannot write."""
        with faults.told(self.url), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, undone when it raises.

        On SQLite a writer waits up to `WAIT` seconds for others. On PostgreSQL a transaction that meets another one
        may have to be done again, which `run` does.

        Raises:
            StoreGone: where the store is locked for longer, full or away, or went while it committed.
        """
        with faults.told(self.url), self._transaction() as connection:
            yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, called in one transaction; called again where that met another one, or the connection
        broke before the end of it. `work` may therefore change nothing but the store.

        Raises:
            StoreGone: after `TRIES` times or `WAIT` seconds, and where nobody can tell whether it was committed.
        """
        with faults.told(self.url):
            end = time.monotonic() + WAIT
            for attempt in range(TRIES):
                try:
                    with self._transaction() as connection:
                        return work(connection)
                except DBAPIError as error:
                    last = attempt == TRIES - 1 or time.monotonic() > end
                    if last or not (faults.clashed(error) or faults.lost(error)):
                        raise
                    time.sleep(random.uniform(0.5, 1.0) * 0.01 * 2**attempt)
        raise AssertionError("unreachable")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._alone(), self._writer.connect() as connection:
            transaction = connection.begin()
            try:
                yield connection
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                if not faults.lost(error) or faults.clashed(error):
                    raise
                raise StoreGone(
                    f"The connection to {self.shown} broke while a transaction was committed.",
                    expected="an answer: it may be there or not",
                    hint="look what is there, then go on",
                ) from error.orig

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.kind != "sqlite":
            yield
            return
        me = threading.get_ident()
        if self._writing == me:
            raise RuntimeError("a thread that writes to the store began to write to it once more")
        if not self._turn.acquire(timeout=WAIT):
            raise StoreGone(f"The store {self.shown} has been written to by another thread for {WAIT:.0f} s.")
        self._writing = me
        try:
            yield
        finally:
            self._writing = 0
            self._turn.release()

    def vacuum(self) -> None:
        """Gives the room of deleted rows back: to the disk (SQLite), to later rows (PostgreSQL)."""
        with faults.told(self.url), self._engine.connect() as connection:
            if self.kind == "postgresql":
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM (ANALYZE)")
                return
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA query_only = OFF")
            while raw.execute("PRAGMA freelist_count").fetchone()[0]:
                with self._alone():  # a little at a time: nobody waits for long
                    before = raw.execute("PRAGMA freelist_count").fetchone()[0]
                    raw.execute("PRAGMA incremental_vacuum(2000)").fetchall()
                if raw.execute("PRAGMA freelist_count").fetchone()[0] >= before:
                    break  # a file that was made without it
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Closes all connections; the last one to leave a SQLite file folds its log into it."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# -- addresses ---------------------------------------------------------------------------------------------------
def _address(url: str | Path) -> URL:
    text = str(url)
    if isinstance(url, Path) or "://" not in text:
        if not text or text == ":memory:":
            raise StoreError("A store needs a file.", expected=EXPECTED)
        return URL.create("sqlite", database=str(Path(text).expanduser().absolute()))
    scheme = text.partition("://")[0]
    if scheme not in ("sqlite", "postgresql", "postgres", "postgresql+psycopg"):
        known = nearest(scheme, ("sqlite", "postgresql"))
        raise StoreError(f"A store cannot be of the kind {scheme!r}.{known}", expected=EXPECTED)
    try:
        found = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError("The address of the store cannot be read.", expected=EXPECTED) from None
    if not found.database or found.database == ":memory:":
        raise StoreError("The address of the store names no file and no database.", expected=EXPECTED)
    if scheme == "sqlite":
        return URL.create("sqlite", database=str(Path(found.database).expanduser().absolute()))
    return found.set(drivername="postgresql+psycopg")


def _prepare(path: Path, create: bool) -> None:
    """The file of a new store, for its owner alone."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder.", expected="a file", hint=str(path / "metier.db"))
    if path.exists():
        return
    if not create:
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise StoreError(f"There is no store {path}.{nearest(path.name, siblings)}", expected=EXPECTED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"The store {path} cannot be made: {error.strerror}.", hint="a folder that may be written to"
        ) from None


# -- engines -----------------------------------------------------------------------------------------------------
def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": WAIT, "check_same_thread": False}, pool_timeout=WAIT)
        event.listen(engine, "connect", _connected)
        event.listen(engine, "begin", _begun)
        return engine
    try:
        return create_engine(url, connect_args=SERVER | dict(url.query), pool_pre_ping=True, pool_timeout=WAIT)
    except ImportError as error:
        raise MissingExtra(str(error.name or "psycopg"), "apps") from None


def _ways(engine: Engine) -> tuple[Engine, Engine]:
    """The same connections for those who read (a moment's picture) and those who write."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(metier="read"), engine.execution_options(metier="write")
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return reader, engine.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)


def _connected(raw: Any, _: object) -> None:
    """How SQLite works here. WAL: readers and the writer do not wait for each other. FULL: a commit is on the disk
    when it returns, so that power loss takes nothing that was acknowledged (NORMAL would lose the last moments; a
    kill of the process loses nothing with either). secure_delete: what is erased is overwritten."""
    raw.isolation_level = None  # `_begun` says when a transaction begins
    raw.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for a new file alone
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON",
                    "temp_store = MEMORY", "cache_size = -32000", "journal_size_limit = 67108864"):  # fmt: skip
        raw.execute(f"PRAGMA {setting}").fetchall()


def _begun(connection: Connection) -> None:
    writes = connection.get_execution_options().get("metier") == "write"
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    # IMMEDIATE takes the writer's lock now: one that was had late could not be waited for
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
