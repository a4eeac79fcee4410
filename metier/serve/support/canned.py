"""Canned replies: words that people of the desk use again and again. They are few, and kept as one list."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from metier.errors import DataError
from metier.serve.doors.hand import Hand, Missing
from metier.store import ticks
from metier.store.ticks import State
from metier.types import new_id

STAGE = "support.replies"
MOST = 500


def listing(connection: Connection) -> list[dict[str, Any]]:
    """All of them, by title."""
    kept = ticks.stage(connection, STAGE)
    return sorted(kept.state if kept is not None else [], key=lambda one: (one["title"].casefold(), one["id"]))


def add(hand: Hand, title: str, text: str, language: str) -> dict[str, Any]:
    """A new one. Raises `DataError` where there are too many, or the title is empty."""
    if not title.strip() or not text.strip():
        raise DataError("A canned reply has a title and words.")
    made = {"id": new_id(), "title": title.strip(), "text": text.strip(), "language": language, "by": hand.who}

    def work(connection: Connection) -> None:
        there = listing(connection)
        if len(there) >= MOST:
            raise DataError(f"There are {MOST} canned replies already.", hint="remove one first")
        ticks.set_stage(connection, STAGE, State([*there, made], at=hand.now))

    hand.do("add", "canned reply", made["id"], work)
    return made


def remove(hand: Hand, id: str) -> None:
    """Takes one away. Raises `Missing`."""

    def work(connection: Connection) -> None:
        there = listing(connection)
        left = [one for one in there if one["id"] != id]
        if len(left) == len(there):
            raise Missing(f"There is no canned reply {id!r:.100}.")
        ticks.set_stage(connection, STAGE, State(left, at=hand.now))

    hand.do("remove", "canned reply", id, work)
