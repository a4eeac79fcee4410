"""`metier store`: the database of the applications: bring it up to date, save it, check it, let go of what is old."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from metier.cli.options import app, seconds_of
from metier.errors import StoreError

store = typer.Typer(help="The database of the applications: upgrade, backup, restore, verify, forget, erase.")
app.add_typer(store, name="store")

Url = Annotated[str, typer.Argument(help="A file, or postgresql://USER@HOST/DATABASE.")]


@store.command()
def upgrade(url: Url) -> None:
    """Make the tables, or bring them to this version's."""
    from metier.store.store import Store

    with Store.open(url) as opened:
        typer.echo(f"{opened.shown}: revision {opened.current()}")


@store.command()
def backup(url: Url, path: Annotated[Path, typer.Argument(help="The file to write: a SQLite store.")]) -> None:
    """Save everything into one file while others go on working; it can be restored into either database."""
    from metier.store.backup import backup as save
    from metier.store.store import Store

    with Store.open(url, create=False) as opened:
        counts = save(opened, path)
    typer.echo(f"{path}: {sum(counts.values()):,} rows of {len(counts)} tables")


@store.command()
def restore(
    path: Annotated[Path, typer.Argument(help="What backup wrote.")], url: Url,
    tampered: Annotated[bool, typer.Option("--tampered", help="Also where its audit log was changed.")] = False,
) -> None:  # fmt: skip
    """Put a backup into an empty store."""
    from metier.store.backup import restore as put_back

    counts = put_back(path, url, tampered=tampered)
    typer.echo(f"{sum(counts.values()):,} rows of {len(counts)} tables from {path}")


@store.command()
def verify(url: Url) -> None:
    """Check that nobody changed the audit log."""
    from metier.store import audit
    from metier.store.store import Store

    with Store.open(url, create=False) as opened, opened.read() as connection:
        broken, (count, _) = audit.verify(connection), audit.head(connection)
    if broken is not None:
        raise StoreError(f"The audit log was changed at entry {broken}.", hint="restore a backup from before")
    typer.echo(f"{count:,} entries, whole")


@store.command()
def forget(url: Url, older: Annotated[str, typer.Option(help="Age of what goes, such as 400d or 12h.")]) -> None:
    """Delete old texts; counts stay, and so does what an alert rests on."""
    from metier.store.retention import forget as drop
    from metier.store.store import Store

    days = older.strip().lower().removesuffix("d")
    age = float(days) * 86_400 if older.strip().lower().endswith("d") and days.isdigit() else seconds_of(older)
    with Store.open(url, create=False) as opened:
        gone = drop(opened, time.time() - age, now=time.time())
    typer.echo(f"{gone}")


@store.command()
def erase(
    url: Url,
    subject: Annotated[str, typer.Argument(help="The person or customer, by the id under which texts were kept.")],
    who: Annotated[str, typer.Option(help="Who orders it; it stands in the audit log.")],
) -> None:
    """Erase what one person or customer said; counts and the fact of the erasure stay."""
    from metier.store.retention import erase as wipe
    from metier.store.store import Store

    with Store.open(url, create=False) as opened:
        gone = wipe(opened, subject, who=who, now=time.time())
    typer.echo(f"{gone}")
