"""The waiting requests of one run, joined into batches for the thread that predicts.

Nothing lingers: a text that finds the thread idle is predicted at once, and while the thread is busy whatever
arrives waits and becomes the next batch. So batches are as large as the load makes them, and no larger.

Nothing that was accepted is given up while the thread gets on, however slow a model is: only where a call takes far
longer than its run's pace foretold are those who wait told that nobody answers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metier.serve.problems import overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metier.serve.settings import Limits
    from metier.serve.turns import Turns
    from metier.types import Document, Prediction

    Answer = dict[str, Prediction]
    Predict = Callable[[list[Document]], list[Answer]]

SECONDS_A_TEXT = 0.01
"""What is taken for the pace of a model that has answered nobody yet."""


@dataclass(eq=False, slots=True)
class Waiting:
    """One request in the queue: its texts, the answers so far, and how many of its texts went into batches."""

    documents: Sequence[Document]
    done: asyncio.Future[list[Answer]]
    taken: int = 0
    answers: list[Answer] = field(default_factory=list)


class Batcher:
    """The queue in front of a model.

    Args:
        predict: `documents -> one {head: prediction} a document`; called in one thread, never twice at a time.
        limits: of the queue, of a batch, and of a request's time.
        turns: the thread, and whose turn it is; several batchers share it.
        observe: told the number of texts of every batch.
    """

    def __init__(
        self, predict: Predict, limits: Limits, turns: Turns, observe: Callable[[int], None] = lambda texts: None
    ) -> None:
        self._predict, self._limits, self._turns, self._observe = predict, limits, turns, observe
        self._waiting: deque[Waiting] = deque()
        self._share = turns.join(lambda: self.length)
        self._arrived = asyncio.Event()
        self._busy = 0
        self._pace: float | None = None  # seconds a text
        self._task: asyncio.Task[None] | None = None

    @property
    def length(self) -> int:
        """Texts that wait, those of the running batch not counted."""
        return sum(len(request.documents) - request.taken for request in self._waiting)

    @property
    def idle(self) -> bool:
        return not self._busy and not self._waiting

    def start(self) -> None:
        """To be called in a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Requests that still wait are refused."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for request in list(self._waiting):
            self._fail(request, overloaded("The service stops."))
        self._waiting.clear()

    async def submit(self, documents: Sequence[Document]) -> list[Answer]:
        """The predictions of one request, in its order.

        Raises:
            Problem: 503 where the queue is full or the time of a request is over.
            MetierError: what the model raised of these documents.
        """
        if not documents:
            return []
        if len(documents) > self._turns.room(self._share):
            raise overloaded("Too many texts wait for the model.", self._foretold(self._turns.waiting))
        request = Waiting(documents, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._arrived.set()
        try:
            return await self._outcome(request)
        finally:
            request.done.cancel()
            with suppress(ValueError):  # taken already, which is how most requests end
                self._waiting.remove(request)

    async def _outcome(self, request: Waiting) -> list[Answer]:
        clock = asyncio.get_running_loop().time
        soonest = clock() + self._limits.request_seconds
        while (seconds := max(soonest, self._turns.stands_still_at()) - clock()) > 0:
            done, _ = await asyncio.wait((request.done,), timeout=seconds)
            if done:
                return request.done.result()
        limit = self._limits.request_seconds
        raise overloaded(f"The model answered nobody within {limit:g} seconds.", self._foretold(self._turns.waiting))

    def _foretold(self, texts: int) -> float:
        return texts * (SECONDS_A_TEXT if self._pace is None else self._pace)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            async with self._turns.turn(self._share):
                batch = self._take()
                if not batch:
                    self._arrived.clear()
                    continue
                self._busy = len(batch)
                try:
                    await self._answer(batch)
                finally:
                    self._busy = 0

    def _take(self) -> list[tuple[Waiting, Document]]:
        """The next texts in order, up to a batch; at least one if any waits."""
        batch: list[tuple[Waiting, Document]] = []
        room, most = self._limits.batch_characters, self._most_texts()
        while self._waiting and len(batch) < most:
            request = self._waiting[0]
            if request.done.done() or request.taken == len(request.documents):
                self._waiting.popleft()
                continue
            document = request.documents[request.taken]
            room -= len(document.text) + len(document.pair or "")
            if batch and room < 0:
                break
            batch.append((request, document))
            request.taken += 1
        while self._waiting and self._waiting[0].taken == len(self._waiting[0].documents):
            self._waiting.popleft()
        return batch

    def _most_texts(self) -> int:
        """Texts of a batch: as many as take no longer than a batch should; one, where nothing is known of that."""
        if self._pace is None:
            return 1
        return max(1, min(self._limits.batch_texts, int(self._limits.batch_seconds / max(self._pace, 1e-9))))

    async def _answer(self, batch: list[tuple[Waiting, Document]]) -> None:
        """Predicts a batch. Where that fails, each request is tried alone, so that one cannot spoil the others."""
        try:
            answers = await self._call([document for _, document in batch])
        except Exception as error:  # noqa: BLE001 (it goes to the request that caused it)
            requests = list(dict.fromkeys(request for request, _ in batch))
            if len(requests) == 1:
                self._fail(requests[0], error)
                return
            for one in (request for request in requests if not request.done.done()):
                await self._answer([item for item in batch if item[0] is one])
            return
        for (request, _), answer in zip(batch, answers, strict=True):
            request.answers.append(answer)
            if len(request.answers) == len(request.documents) and not request.done.done():
                request.done.set_result(request.answers)

    async def _call(self, documents: list[Document]) -> list[Answer]:
        started = time.perf_counter()
        foretold = self._foretold(len(documents))
        answers: list[Answer] = await self._turns.call(lambda: self._predict(documents), foretold)
        if len(answers) != len(documents):
            raise RuntimeError(f"the model answered {len(answers)} of {len(documents)} texts")
        pace = (time.perf_counter() - started) / len(documents)
        self._pace = pace if self._pace is None else self._pace + 0.2 * (pace - self._pace)
        self._observe(len(documents))
        return answers

    def _fail(self, request: Waiting, error: Exception) -> None:
        if not request.done.done():
            request.done.set_exception(error)
