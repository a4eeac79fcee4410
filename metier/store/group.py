"""Group commit: what many threads want kept is kept in one transaction, and acknowledged when that is on the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from sqlalchemy import Connection

from metier.errors import StoreGone
from metier.store.store import Store

WAIT = 0.003
"""Seconds that the first of a group waits for others."""
LARGEST = 256
WAITING = 10_000
"""Rows that wait at most; then whoever comes is refused, so that nothing grows without end."""
Row = TypeVar("Row")


class Group(Generic[Row]):
    """Writes rows that come from many threads; `commit(row).result()` returns when the row is on the disk.

    The plain loop that it replaces, one transaction (and one wait for the disk) a row:

        for row in rows:
            with store.write() as connection:
                write(connection, [row])

    Args:
        store: an open store.
        write: keeps rows; called again, with fewer of them, where a group fails, and so may change only the store.
        wait: seconds that the first of a group waits for others.
        largest: rows of a group.
    """

    def __init__(
        self, store: Store, write: Callable[[Connection, Sequence[Row]], object], *, wait: float = WAIT,
        largest: int = LARGEST,
    ) -> None:  # fmt: skip
        self._store, self._write, self._wait, self._largest = store, write, wait, largest
        self._queue: queue.Queue[tuple[Row, Future[None]] | None] = queue.Queue(WAITING)
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="metier-commit", daemon=True)
        self._thread.start()

    def commit(self, row: Row) -> Future[None]:
        """A future that is done when the row is on the disk, or holds what kept it from there.

        A future that is given up before its row was taken up keeps the row out of the store.

        Raises:
            StoreGone: where too many wait.
            RuntimeError: after `close`.
        """
        future: Future[None] = Future()
        with self._closing:
            if self._closed:
                raise RuntimeError("the group is closed")
            try:
                self._queue.put_nowait((row, future))
            except queue.Full:
                raise StoreGone(f"{WAITING} rows wait for {self._store.shown}.", hint="again in a moment") from None
        return future

    def close(self) -> None:
        """Writes what waits, then ends."""
        with self._closing:
            if not self._closed:
                self._closed = True
                threading.Thread(target=self._queue.put, args=(None,), daemon=True).start()
        self._thread.join()

    def __enter__(self) -> Group[Row]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        more = True
        while more:
            group, more = self._gather()
            # whoever gave up is left out; from here on nobody can
            taken = [(row, future) for row, future in group if future.set_running_or_notify_cancel()]
            if taken:
                self._keep(taken)

    def _gather(self) -> tuple[list[tuple[Row, Future[None]]], bool]:
        """The next group, and whether more may come."""
        first = self._queue.get()
        if first is None:
            return [], False
        group, end = [first], time.monotonic() + self._wait
        while len(group) < self._largest:
            try:
                left = end - time.monotonic()
                item = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, False
            group.append(item)
        return group, True

    def _keep(self, group: Sequence[tuple[Row, Future[None]]]) -> None:
        rows = [row for row, _ in group]
        try:
            self._store.run(lambda connection: self._write(connection, rows))
        except StoreGone as error:
            for _, future in group:
                future.set_exception(error)
        except Exception as error:  # noqa: BLE001 (whoever waits for the row is told)
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for one in group:  # one is at fault, and the others shall not suffer for it
                self._keep([one])
        else:
            for _, future in group:
                future.set_result(None)
