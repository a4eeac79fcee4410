"""A few threads that answer, and a bounded line before them: what does not fit is refused before it is kept."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from metier.serve.problems import overloaded

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Place:
    """A place in the line, which is given back when its work is done."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Does the work when its turn comes; a place is used once."""
        future = self._pool.threads.submit(work)
        future.add_done_callback(lambda _: self._pool.leave())
        return future

    def give_back(self) -> None:
        """Leaves the line without work."""
        self._pool.leave()


class Pool:
    """Answers a few messages at a time.

    Args:
        workers: threads.
        waiting: how many may wait for one.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self.threads = ThreadPoolExecutor(workers, thread_name_prefix="metier-answer")
        self._most, self._turn = workers + waiting, threading.Lock()
        self.taken = 0

    def place(self) -> Place:
        """A place in the line. Raises `Problem` 503 where there is none."""
        with self._turn:
            if self.taken >= self._most:
                raise overloaded("Too many messages wait for an answer; send it again in a moment.")
            self.taken += 1
        return Place(self)

    async def run(self, work: Callable[[], T]) -> T:
        """What a work returns. A client that goes away does not stop it: what was begun is kept and answered."""
        return await asyncio.shield(asyncio.wrap_future(self.place().start(work)))

    def leave(self) -> None:
        """A place is free again."""
        with self._turn:
            self.taken -= 1

    def close(self) -> None:
        """Ends when all that was begun is done."""
        self.threads.shutdown(wait=True)


def told(future: Future[Any]) -> None:
    """Writes down what a work failed of, where nobody waits for it."""
    error = future.exception()
    if error is not None:
        logger.error("a message is answered later: %s", error)
