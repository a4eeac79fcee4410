"""With what a person does something: each act and its entry in the audit log are written together, or neither.

Here are the acts on people and keys; those on what an application shows stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from metier.errors import DataError
from metier.serve.doors.door import add_person
from metier.store import audit, people
from metier.store.audit import Entry
from metier.store.store import Store
from metier.types import NOTHING

NAME = 200
"""Characters of a name."""
T = TypeVar("T")


class Missing(DataError):
    """What is asked for is not there."""


@dataclass(frozen=True, slots=True)
class Hand:
    """Who does something now."""

    store: Store
    who: str
    now: float

    def do(
        self, what: str, kind: str, subject: str, work: Callable[[Connection], T], details: Mapping[str, Any] = NOTHING
    ) -> T:
        """Does `work` and writes down that it was done, in one transaction."""

        def both(connection: Connection) -> T:
            done = work(connection)
            audit.append(connection, Entry(self.who, what, self.now, kind, subject, details))
            return done

        return self.store.run(both)


def enrol(hand: Hand, name: str, role: str, password: str | None) -> None:
    """A new person. Raises `DataError`."""
    hand.store.run(lambda connection: add_person(connection, name.strip(), role, password, hand.who, hand.now))


def change(
    hand: Hand, name: str, *, role: str | None = None, active: bool | None = None, password: str | None = None
) -> None:
    """Changes a person. Raises `DataError`."""

    def work(connection: Connection) -> None:
        people.change(connection, name, role=role, active=active, password=password)

    said = {"role": role, "active": active, "password": None if password is None else "changed"}
    hand.do("change", "person", name, work, {key: value for key, value in said.items() if value is not None})


def add_key(hand: Hand, name: str, role: str, days: float | None = None) -> str:
    """A key for a program; it is shown once. Raises `DataError`."""
    expires = None if days is None else hand.now + days * 86_400
    if not 0 < len(name.strip()) <= NAME:
        raise DataError("A key needs a name.", expected=f"1 to {NAME} characters")

    def work(connection: Connection) -> str:
        return people.add_key(connection, name.strip(), role, hand.now, expires)

    return hand.do("add", "key", name.strip(), work, {"role": role, "expires": expires})


def revoke_key(hand: Hand, name: str) -> None:
    """Ends a key. Raises `DataError`."""
    details: dict[str, str] = {}  # filled before the entry is written

    def work(connection: Connection) -> None:
        details["sha256"] = people.revoke(connection, name)

    hand.do("revoke", "key", name, work, details)
