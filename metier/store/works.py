"""Works on the store that come from many threads: those that come at the same time share one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from metier.store.group import Group
from metier.store.store import Store

T = TypeVar("T")
Work = Callable[[Connection], Any]


class Works:
    """Does what is sent, in order; a group of works gathers while another goes to the disk.

    Args:
        store: an open store.
    """

    def __init__(self, store: Store) -> None:
        self._group: Group[Work] = Group(store, _together, wait=0.0)

    def send(self, work: Callable[[Connection], T]) -> Callable[[], T]:
        """A function that waits until a work is on the disk, and returns what it returned or raises what it raised.

        A work changes the store alone: it is done again where another of its group failed.
        """
        result: list[T] = []

        def keep(connection: Connection) -> None:
            result[:] = [work(connection)]

        future = self._group.commit(keep)

        def wait() -> T:
            future.result()
            return result[0]

        return wait

    def close(self) -> None:
        """Does what waits, then ends."""
        self._group.close()


def _together(connection: Connection, works: Sequence[Work]) -> None:
    for work in works:
        work(connection)
