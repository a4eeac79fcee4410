"""The waiting requests of one run, joined into batches for the thread that predicts.

A text that finds the thread idle is predicted at once, and while the thread is busy whatever arrives waits and becomes
the next batch. So batches are as large as the load makes them. Clients that were just answered ask again in a moment:
where that is known of them and a batch costs much however small it is, the next batch waits a fraction of its time for
them, or the first of them would have the thread for itself. One request alone never waits.

What would have to wait too long is refused at once: a client that hears 503 goes elsewhere, one that hears nothing
does not. What was accepted is not given up while the thread gets on: only where a call takes far longer than its run's
pace foretold are those who wait told that nobody answers.

The model may be replaced at any time: a request is answered by one model, the one that began it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from metier.serve.pace import Pace, Returns
from metier.serve.problems import overloaded
from metier.types import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metier.serve.settings import Limits
    from metier.serve.turns import Turns
    from metier.types import Prediction

    Answer = dict[str, Prediction]

P = TypeVar("P", bound="Callable[[list[Document]], list[Answer]]")

FILL = 0.25
"""Of the time of a batch, for how long it may wait to be fuller."""
WORTH = 0.2
"""Of the time of a batch, what must be the same however full it is, or filling it gains nothing."""
EVEN = 4.0
"""Times what every batch costs: a batch may always take so long, or that would be most of what is paid."""
ALWAYS = 8
"""Texts that may be ahead of another, however slow the model is."""
TICK = 0.001
"""Seconds; an event loop's clock is no finer."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[P]):
    """The predictions of a request, and the model that made them all."""

    answers: list[Answer]
    by: P


@dataclass(eq=False, slots=True)
class Waiting(Generic[P]):
    """One request in the queue: its texts, the answers so far, and how many of its texts went into batches."""

    documents: Sequence[Document]
    done: asyncio.Future[Reply[P]]
    by: P | None = None
    taken: int = 0
    answers: list[Answer] = field(default_factory=list)


Batch = list[tuple[Waiting[P], Document]]


class Batcher(Generic[P]):
    """The queue in front of a model.

    Args:
        predict: `documents -> one {head: prediction} a document`; called in one thread, never twice at a time.
        limits: of the queue, of a batch, and of a request's time.
        turns: the thread, and whose turn it is; several batchers share it.
        observe: told the number of texts of every batch.
    """

    def __init__(
        self, predict: P, limits: Limits, turns: Turns, observe: Callable[[int], None] = lambda texts: None
    ) -> None:
        self._predict, self._limits, self._turns, self._observe = predict, limits, turns, observe
        self.pace, self._returns = Pace(), Returns()
        self.coming = 0
        """Texts of requests that will be submitted once the model is loaded."""
        self._waiting: deque[Waiting[P]] = deque()
        self._texts = self._characters = self._longest = 0
        self.share = turns.join(lambda: self.length + self.coming, self._foretold)
        self._arrived = asyncio.Event()
        self._busy = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def length(self) -> int:
        """Texts that wait, those of the running batch not counted."""
        return self._texts

    @property
    def _mean(self) -> float:
        """Characters of a text that waits."""
        return self._characters / max(1, self._texts)

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
            self._drop(request)
        self._waiting.clear()

    def turn_to(self, predict: P) -> None:
        """From now on another model answers whatever nobody has begun to answer."""
        self._predict = predict

    def admit(self, texts: int) -> None:
        """Raises `Problem` 503 where so many more texts find no place, or would have to wait too long."""
        if texts > self._turns.room(self.share):
            raise overloaded("Too many texts wait for the model.", self._foretold())
        if not self.pace.known:
            return
        ahead = self._turns.ahead(self.share)
        # A few texts may always be ahead, or a slow model could not be used at all, and so may any one request: who
        # sends many texts shuts out nobody.
        always = max(ALWAYS, self._longest)
        bound = max(self._limits.wait_seconds, self._seconds(always, int(always * self._mean)))
        if ahead > bound:
            raise overloaded(f"A text would have to wait for {ahead:.2g} seconds.", ahead - bound)

    async def submit(self, documents: Sequence[Document]) -> Reply[P]:
        """The predictions of one request, in its order.

        Raises:
            Problem: 503 where the queue is full or the time of a request is over.
            MetierError: what the model raised of these documents.
        """
        if not documents:
            return Reply([], self._predict)
        self.admit(len(documents))
        loop = asyncio.get_running_loop()
        request: Waiting[P] = Waiting(documents, loop.create_future())
        self._waiting.append(request)
        self._texts += len(documents)
        self._longest = max(self._longest, len(documents))  # since nobody waited
        self._characters += sum(map(characters, documents))
        self._returns.came(len(documents), loop.time(), self._limits.fill_seconds)
        self._arrived.set()
        try:
            return await self._outcome(request)
        finally:
            request.done.cancel()
            if request.taken < len(documents):  # nobody took it whole, which is how few requests end
                with suppress(ValueError):
                    self._waiting.remove(request)
                self._drop(request)

    async def _outcome(self, request: Waiting[P]) -> Reply[P]:
        clock = asyncio.get_running_loop().time
        soonest = clock() + self._limits.request_seconds
        while (seconds := max(soonest, self._turns.stands_still_at()) - clock()) > 0:
            done, _ = await asyncio.wait((request.done,), timeout=seconds)
            if done:
                return request.done.result()
        limit = self._limits.request_seconds
        raise overloaded(f"The model answered nobody within {limit:g} seconds.", self._foretold())

    def _foretold(self) -> float:
        """Seconds that the texts that wait will take."""
        return self._seconds(self._texts, self._characters)

    def _seconds(self, texts: int, size: int) -> float:
        """Seconds that so many texts will take, in batches that are as large as they may be."""
        return self.pace.seconds(texts, size, -(-texts // self._most_texts()))

    def _drop(self, request: Waiting[P]) -> None:
        """What nobody took of a request is no longer waited for."""
        rest = request.documents[request.taken :]
        self._texts -= len(rest)
        self._characters -= sum(map(characters, rest))
        request.taken = len(request.documents)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await self._fill()
            async with self._turns.turn(self.share):
                batch = self._take()
                if not batch:
                    self._arrived.clear()
                    continue
                self._busy = len(batch)
                try:
                    await self._answer(batch)
                finally:
                    self._busy = 0
                    self._returns.ended(asyncio.get_running_loop().time())
                    del batch  # who is idle holds on to no text, and to no model that was replaced

    async def _fill(self) -> None:
        """Waits for those who are about to come back, where a fuller batch is worth it."""
        clock = asyncio.get_running_loop().time
        now, foretold = clock(), self.pace.seconds(self._texts, self._characters)
        seconds = min(self._limits.fill_seconds, FILL * foretold)
        idle = not self._texts or self._returns.since(now) > seconds
        gains = self.pace.known and self.pace.fixed > WORTH * foretold
        if idle or not gains or seconds < TICK:
            return
        while (left := now + seconds - clock()) > 0 and self._returns.due >= 1 and self._texts < self._most_texts():
            before = self._returns.count
            await asyncio.sleep(min(left, max(TICK, seconds / 4)))
            if self._returns.count == before:
                return

    def _take(self) -> Batch[P]:
        """The next texts in order, up to a batch, for one model; at least one if any waits."""
        batch: Batch[P] = []
        room, most = self._limits.batch_characters, self._most_texts()
        while self._waiting and len(batch) < most:
            request = self._waiting[0]
            if request.done.done() or request.taken == len(request.documents):
                self._drop(self._waiting.popleft())
                continue
            if request.by is None:
                request.by = self._predict
            document = request.documents[request.taken]
            size = characters(document)
            room -= size
            if batch and (room < 0 or request.by is not batch[0][0].by):
                break
            batch.append((request, document))
            request.taken += 1
            self._texts -= 1
            self._characters -= size
        while self._waiting and self._waiting[0].taken == len(self._waiting[0].documents):
            self._waiting.popleft()
        if not self._waiting:
            self._longest = 0
        return batch

    def _most_texts(self) -> int:
        """Texts of a batch: as many as take no longer than a batch should; one, where nothing is known of that."""
        fits = self.pace.fits(max(self._limits.batch_seconds, EVEN * self.pace.fixed), self._mean)
        return min(self._limits.batch_texts, fits)

    async def _answer(self, batch: Batch[P]) -> None:
        """Predicts a batch. Where that fails, each request is tried alone, so that one cannot spoil the others."""
        by = batch[0][0].by
        assert by is not None, "whoever is taken has a model"
        try:
            answers = await self._call(by, [document for _, document in batch])
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
                request.done.set_result(Reply(request.answers, by))

    async def _call(self, by: P, documents: list[Document]) -> list[Answer]:
        size = sum(map(characters, documents))
        started = time.perf_counter()
        answers: list[Answer] = await self._turns.call(
            self.share, lambda: by(documents), self.pace.seconds(len(documents), size)
        )
        if len(answers) != len(documents):
            raise RuntimeError(f"the model answered {len(answers)} of {len(documents)} texts")
        self.pace.observe(len(documents), size, time.perf_counter() - started)
        self._observe(len(documents))
        return answers

    def _fail(self, request: Waiting[P], error: Exception) -> None:
        if not request.done.done():
            request.done.set_exception(error)


def characters(document: Document) -> int:
    """Of a text and its pair."""
    return len(document.text) + len(document.pair or "")
