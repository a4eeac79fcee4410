"""What all tables are made with: one `MetaData`, names of constraints, and the usual columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, MetaData, false, text, true

from metier.store.columns import Key, Real, Whole, Words

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMES)


def worded(name: str) -> Column[Any]:
    """Any text; empty where nothing is said."""
    return Column(name, Words, nullable=False, server_default="")


def keyed(name: str, **more: Any) -> Column[Any]:
    """A text that rows are found by."""
    return Column(name, Key, nullable=False, **more)


def whole(name: str) -> Column[Any]:
    """A count, from 0."""
    return Column(name, Whole, nullable=False, server_default=text("0"))


def real(name: str) -> Column[Any]:
    """A number, from 0."""
    return Column(name, Real, nullable=False, server_default=text("0"))


def timed(name: str) -> Column[Any]:
    """A time, seconds since 1970, UTC."""
    return Column(name, Real, nullable=False)


def counted(name: str = "number") -> Column[Any]:
    """A number that counts up by itself."""
    return Column(name, Whole, primary_key=True, autoincrement=True)


def flag(name: str, default: bool) -> Column[Any]:
    """Yes or no."""
    return Column(name, Boolean, nullable=False, server_default=true() if default else false())
