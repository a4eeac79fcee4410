"""Stages of a pipeline, each in a thread of its own, with a bounded number of items between two of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
LOOK = 0.1
"""Seconds after which who waits looks whether he should stop."""
END = object()


class Ahead(Generic[T]):
    """Iterates in a thread, a few items ahead of whoever takes them; in order.

    What the items raise is raised where they are taken. Leaving the context ends the thread.

    Args:
        items: what is iterated.
        room: items that may wait to be taken.
    """

    def __init__(self, items: Iterable[T], room: int = 1) -> None:
        self._items, self._queue, self._stop = items, Queue[Any](room), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="metier-ahead", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._taken()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _taken(self) -> Iterator[T]:
        while (item := self._queue.get()) is not END:
            yield item
            del item
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            for item in self._items:
                if not _put(self._queue, item, self._stop):
                    break
                del item
        except BaseException as error:  # noqa: BLE001 (it is raised where the items are taken)
            self._error = error
        _put(self._queue, END, self._stop)


class Behind(Generic[T]):
    """Does the last of the work in a thread, while whoever hands it over goes on; in order.

    Leaving the context waits until all that was handed over is done, also where an exception ends it: what was
    computed is not lost. What the work raises is raised at the next `put`, or at the end.

    Args:
        work: what is done with each item.
        room: items that may wait.
    """

    def __init__(self, work: Callable[[T], None], room: int = 1) -> None:
        self._do, self._queue, self._stop = work, Queue[Any](room), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="metier-behind", daemon=True)

    def put(self, item: T) -> None:
        """Hands one item over; waits while there is no room."""
        if not _put(self._queue, item, self._stop):
            self._raise()

    def __enter__(self) -> Behind[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        _put(self._queue, END, self._stop)
        self._thread.join()
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not END:
                self._do(item)
                del item
        except BaseException as error:  # noqa: BLE001 (it is raised where items are handed over)
            self._error = error
            self._stop.set()
            _emptied(self._queue)


def _put(queue: Queue[Any], item: Any, stop: threading.Event) -> bool:
    """Puts an item in, or says that nobody wants it any more."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=LOOK)
        except Full:
            continue
        return True
    return False


def _emptied(queue: Queue[Any]) -> None:
    """Empties a queue that nobody takes from any more: what is in it is let go."""
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
