"""The schema of a store and its revisions: which one is there, and the way to the one that this version reads."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from metier.errors import MissingExtra, StoreError

HEAD = "0003"
"""The revision of `tables.py` and `support_tables.py`."""
VERSIONS = "metier_schema"
FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x4D65746965720001
"""Of two processes that start at once on PostgreSQL one migrates and one waits."""


def current(connection: Connection) -> str | None:
    """The revision of the database; `None` where Metier has written nothing yet.

    Raises:
        StoreError: where its tables are another program's.
    """
    found = inspect(connection).get_table_names()
    if VERSIONS in found:
        revision: str | None = connection.execute(text(f"SELECT version_num FROM {VERSIONS}")).scalar()
        return revision
    taken = sorted({"documents", "people", "sessions", "keys", "series"} & set(found))
    if taken or (found and connection.dialect.name == "sqlite"):
        raise StoreError(
            f"This database is another program's: it has a table {(taken or sorted(found))[0]!r} and no {VERSIONS!r}.",
            expected="an empty database, or a store that Metier made",
            hint="a file or a database of its own",
        )
    return None


def require(revision: str | None, shown: str) -> bool:
    """Whether the revision is the one that this version reads; `False` where `upgrade` leads there.

    Raises:
        StoreError: where it is from a later version.
    """
    if revision == HEAD:
        return True
    if revision is not None and revision not in revisions():
        raise StoreError(
            f"The store {shown} was written by a later version of Metier (schema {revision}).",
            expected=f"a schema up to {HEAD}",
            hint="install that version or a later one",
        )
    return False


def revisions() -> list[str]:
    """All revisions that this version knows, the first one first."""
    from alembic.script import ScriptDirectory

    return [item.revision for item in reversed(list(ScriptDirectory(str(FOLDER)).walk_revisions()))]


def upgrade(connection: Connection) -> None:
    """Brings the tables to `HEAD`, in the transaction of the connection: all of it or nothing."""
    try:
        from alembic import command
        from alembic.config import Config
    except ModuleNotFoundError:
        raise MissingExtra("alembic", "apps") from None
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    if current(connection) == HEAD:  # the other process was first
        return
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
