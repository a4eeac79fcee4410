"""Waiting requests, joined into batches for one thread that predicts.

Nothing lingers: a text that finds the thread idle is predicted at once, and while the thread is busy whatever
arrives waits and becomes the next batch. So batches are as large as the load makes them, and no larger.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from metier.serve.problems import overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metier.serve.settings import Limits
    from metier.types import Document, Prediction

    Answer = dict[str, Prediction]
    Predict = Callable[[list[Document]], list[Answer]]

Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", "Callable[[], Any]"]


class Worker:
    """One thread that runs one call after another.

    A daemon, unlike the threads of `concurrent.futures`: a call that never ends must not keep a process alive that
    was told to stop.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="metier-predict", daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], Any]) -> Any:
        """The result of `call()`, or what it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.put((loop, future, call))
        return await future

    def stop(self) -> None:
        """Ends the thread after the call that it is in."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, call = job
            result, error = None, None
            try:
                result = call()
            except Exception as raised:  # noqa: BLE001 (whatever it is goes to the one who waits)
                error = raised
            with suppress(RuntimeError):  # the loop was closed while the call ran: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, result, error)
            del job, loop, future, call, result, error  # what is idle holds on to no text


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


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
        observe: told the number of texts of every batch.
    """

    def __init__(self, predict: Predict, limits: Limits, observe: Callable[[int], None] = lambda texts: None) -> None:
        self._predict, self._limits, self._observe = predict, limits, observe
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._busy = 0
        self._seconds_a_text = 0.01
        self._worker: Worker | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def length(self) -> int:
        """Texts that wait, those of the running batch not counted."""
        return sum(len(request.documents) - request.taken for request in self._waiting)

    @property
    def idle(self) -> bool:
        return not self._busy and not self._waiting

    def start(self) -> None:
        """Starts the thread. To be called in a running event loop."""
        self._worker = Worker()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ends the thread; requests that still wait are refused."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._worker is not None:
            self._worker.stop()
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
        if self.length + len(documents) > self._limits.queue:
            raise overloaded("Too many texts wait for the model.", self.length * self._seconds_a_text)
        request = Waiting(documents, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._arrived.set()
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                return await request.done
        except TimeoutError:
            seconds = self._limits.request_seconds
            raise overloaded(f"No answer within {seconds:g} seconds.", self.length * self._seconds_a_text) from None
        finally:
            with suppress(ValueError):  # taken already, which is how most requests end
                self._waiting.remove(request)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
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
        room = self._limits.batch_characters
        while self._waiting and len(batch) < self._limits.batch_texts:
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

    async def _answer(self, batch: list[tuple[Waiting, Document]]) -> None:
        """Predicts a batch. Where that fails, each request is tried alone, so that one cannot spoil the others."""
        try:
            answers = await self._call([document for _, document in batch])
        except Exception as error:  # noqa: BLE001 (it goes to the request that caused it)
            requests = list(dict.fromkeys(request for request, _ in batch))
            if len(requests) == 1:
                self._fail(requests[0], error)
                return
            for one in requests:
                await self._answer([item for item in batch if item[0] is one])
            return
        for (request, _), answer in zip(batch, answers, strict=True):
            request.answers.append(answer)
            if len(request.answers) == len(request.documents) and not request.done.done():
                request.done.set_result(request.answers)

    async def _call(self, documents: list[Document]) -> list[Answer]:
        assert self._worker is not None, "Batcher.start comes first"
        started = time.perf_counter()
        answers: list[Answer] = await self._worker.run(lambda: self._predict(documents))
        if len(answers) != len(documents):
            raise RuntimeError(f"the model answered {len(answers)} of {len(documents)} texts")
        self._seconds_a_text += 0.1 * ((time.perf_counter() - started) / len(documents) - self._seconds_a_text)
        self._observe(len(documents))
        return answers

    def _fail(self, request: Waiting, error: Exception) -> None:
        if not request.done.done():
            request.done.set_exception(error)
