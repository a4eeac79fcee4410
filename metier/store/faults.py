"""What a database says when something is wrong, put into one clear line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from metier.errors import StoreError, StoreGone

CLASHES = {"40001", "40P01", "55P03"}
"""SQLSTATE of a serialisation failure, a deadlock, a lock that was not had: the same again may work."""
AWAY = ("08", "57P", "53")
"""SQLSTATE classes of a lost connection, a server that stops or starts, and one out of disk, memory or connections."""
MENDED = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "wait for it, or end it"),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", "wait for it, or end it"),
    sqlite3.SQLITE_FULL: ("has no room left: the disk is full", "free some disk space"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk reports an error", "free disk space, check the disk"),
}
FINAL = {
    sqlite3.SQLITE_NOTADB: ("is not a database", "another file; a backup is restored with metier store restore"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "restore a backup: metier store restore"),
    sqlite3.SQLITE_READONLY: ("may not be written", "permission to write the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "permission to write the file and its folder"),
    sqlite3.SQLITE_PERM: ("may not be opened", "permission to write the file and its folder"),
    sqlite3.SQLITE_AUTH: ("may not be opened", "permission to write the file and its folder"),
}


@contextmanager
def told(url: URL) -> Iterator[None]:
    """Inside, what the database says is a `StoreError` of one line, without the password.

    Broken constraints and wrong SQL pass as they are: they are faults of the program.
    """
    try:
        yield
    except PoolTimeout:
        raise StoreGone(f"The store {shown(url)} has no connection free.", hint="fewer at once") from None
    except (IntegrityError, ProgrammingError) as error:
        if sqlstate(error) == "42501":
            raise StoreError(
                f"The store {shown(url)} does not let us: {_words(error, url)}.",
                hint=f"GRANT ALL ON SCHEMA public TO {url.username}, or a database of its own",
            ) from None
        raise
    except DBAPIError as error:
        raise _told(error, url) from error.orig
    except SQLAlchemyError as error:
        raise StoreError(f"The store {shown(url)} failed: {_words(error, url)}.") from error
    except sqlite3.Error as error:
        raise _file(error, url) from error


def _told(error: DBAPIError, url: URL) -> StoreError:
    return _file(error.orig, url) if isinstance(error.orig, sqlite3.Error) else _server(error, url)


def _file(error: sqlite3.Error, url: URL) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    for table, kind in ((MENDED, StoreGone), (FINAL, StoreError)):
        if code in table:
            found, hint = table[code]
            return kind(f"The store {shown(url)} {found}.", hint=hint)
    return StoreError(f"The store {shown(url)} failed: {_words(error, url)}.")


def _server(error: DBAPIError, url: URL) -> StoreError:
    state, words = sqlstate(error), _words(error, url)
    if state.startswith("28") or "password" in words or "authentication" in words:
        return StoreError(
            f"The store {shown(url)} does not let us in: {words}.", hint="the name and the password in its address"
        )
    if state == "3D000" or 'database "' in words and "does not exist" in words:
        return StoreError(f"The store {shown(url)} is not there: {words}.", hint=f"createdb {url.database}")
    if state.startswith(AWAY) or (not state and error.connection_invalidated) or _away(error):
        return StoreGone(f"The store {shown(url)} cannot be reached: {words}.", hint="see that the server runs")
    if state in CLASHES:
        return StoreGone(f"The store {shown(url)} is busy: {words}.", hint="the same again")
    return StoreError(f"The store {shown(url)} failed: {words}.")


def _away(error: DBAPIError) -> bool:
    """Whether the driver could not talk to the server at all: then it has no SQLSTATE to tell."""
    return not sqlstate(error) and type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code for what went wrong; empty where it gave none."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def clashed(error: DBAPIError) -> bool:
    """Whether two transactions were in each other's way, so that the same again may work."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return sqlstate(error) in CLASHES


def lost(error: DBAPIError) -> bool:
    """Whether the connection broke."""
    return bool(error.connection_invalidated) or sqlstate(error).startswith("57P") or _away(error)


def shown(url: URL) -> str:
    """An address as it may be shown: a file's path, a server's without the password."""
    if url.drivername.startswith("sqlite"):
        return str(url.database)
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def _words(error: BaseException, url: URL) -> str:
    """The first line of what the driver said, without the password."""
    said = str(getattr(error, "orig", None) or error)
    words = next(filter(None, map(str.strip, said.splitlines())), type(error).__name__).rstrip(".?")
    return words.replace(str(url.password), "***") if url.password else words
