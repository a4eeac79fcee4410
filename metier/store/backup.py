"""Backups. A backup of either database is one SQLite file, which is itself a store, and is restored into either."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, text

from metier.errors import StoreError
from metier.store import audit, bulk, contents
from metier.store.store import Store

PAGES = 2_000
"""Pages that are copied between two looks at who else wants the file."""


def backup(store: Store, path: str | Path) -> dict[str, int]:
    """Writes all that the store holds at one moment to a new file, whole or not at all; how many rows a table.

    Others go on reading and writing. The file is for its owner's eyes alone: it holds whatever the store holds.

    Args:
        store: an open store.
        path: of the file; it must not exist.

    Raises:
        StoreError: where the file is there, or cannot be written.
    """
    path = Path(path).expanduser().absolute()
    if path.exists():
        raise StoreError(f"{path} is there already.", expected="a new file", hint="another name")
    with _beside(path) as partial:
        if store.path is not None:
            _copy_file(store.path, partial)
        else:
            with Store.open(partial) as copy, store.read() as source, copy.write() as target:
                _copy(source, target)
        with Store.open(partial) as copy, copy.read() as connection:
            counts = contents.counts(connection)
        _fold(partial)
    return counts


def restore(path: str | Path, url: str | Path, *, tampered: bool = False) -> dict[str, int]:
    """Fills an empty store from a backup, in one transaction, and compares the two; how many rows a table.

    A backup of an earlier version is brought to this one's schema on the way; the file itself stays as it is.

    Args:
        path: of the backup.
        url: of the store (see `Store.open`), which is made where it is not there.
        tampered: restore it even where its audit log is not as it was written.

    Raises:
        StoreError: where the file is no backup or damaged, its audit log was changed, or the store is not empty.
    """
    path = Path(path).expanduser().absolute()
    if not path.is_file():
        raise StoreError(f"There is no backup {path}.", expected="a file that metier store backup wrote")
    with tempfile.TemporaryDirectory(prefix="metier-restore-") as folder:
        copy = Path(folder) / "backup.db"
        try:
            shutil.copyfile(path, copy)
        except OSError as error:
            raise StoreError(f"The backup {path} cannot be read: {error.strerror}.") from None
        _require_backup(copy, path)
        with Store.open(copy, create=False) as source, Store.open(url) as target:
            return _restore(source, target, path, tampered)


def _restore(source: Store, target: Store, path: Path, tampered: bool) -> dict[str, int]:
    with source.read() as there, target.write() as here:
        filled = [name for name, count in contents.counts(here).items() if count]
        if filled:
            raise StoreError(
                f"The store {target.shown} is not empty: there are {filled[0]} in it.",
                expected="an empty store",
                hint="another file or database",
            )
        if not tampered:
            _require_whole(there, path)
        _copy(there, here)
        if contents.digests(there) != contents.digests(here):
            raise StoreError(f"What was restored to {target.shown} is not what {path} holds.", hint="report this")
        return contents.counts(here)


def _copy(source: Connection, target: Connection) -> None:
    for table in contents.tables():
        for part in bulk.parts(contents.rows(source, table)):
            target.execute(insert(table), list(part))
    if target.dialect.name == "postgresql":
        _count_on(target)


def _count_on(target: Connection) -> None:
    """Lets PostgreSQL number new rows after those that came with their numbers."""
    for table in contents.tables():
        column = table.autoincrement_column
        if column is None:
            continue
        highest = target.execute(select(func.max(column))).scalar()
        if highest is not None:
            name = {"table": table.name, "column": column.name, "value": highest}
            target.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :value)"), name)


# -- files -------------------------------------------------------------------------------------------------------
@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file that becomes `path`, on the disk, when the block ends; nothing is left of it where the block raises."""
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        yield folder / "partial.db"
        _sync(folder / "partial.db")
        os.link(folder / "partial.db", path)  # unlike a rename it never writes over what came meanwhile
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"The backup {path} cannot be written: {why}.", hint="room and permission there") from None
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _copy_file(path: Path, copy: Path) -> None:
    os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.execute("BEGIN")  # one moment: without it every write begins the copy anew
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target, pages=PAGES)


def _fold(path: Path) -> None:
    """Makes one file of it, without a log beside it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def _require_backup(copy: Path, path: Path) -> None:
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise StoreError(f"The backup {path} is damaged: {found}.", hint="an earlier backup")


def _require_whole(connection: Connection, path: Path) -> None:
    broken = audit.verify(connection)
    if broken is not None:
        raise StoreError(
            f"The audit log in {path} is not as it was written, from row {broken} on.",
            expected="a log that nobody changed",
            hint="an earlier backup; metier store verify looks at a store",
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
