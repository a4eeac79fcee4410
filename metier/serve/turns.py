"""One thread for the models of all runs, and whose batch it takes next."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from metier.serve.settings import Limits

Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", "Callable[[], Any]"]

PATIENCE = 3.0
"""A call that takes so many times as long as was foretold stands still."""


class Worker:
    """One thread that runs one call after another.

    A daemon, unlike the threads of `concurrent.futures`: a call that never ends must not keep a process alive that
    was told to stop.
    """

    def __init__(self, name: str = "metier-predict") -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
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
            except BaseException as raised:  # noqa: BLE001 (whatever it is goes to the one who waits)
                error = _tellable(raised)
            with suppress(RuntimeError):  # the loop was closed while the call ran: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, result, error)
            del job, loop, future, call, result, error  # what is idle holds on to no text


def _tellable(raised: BaseException) -> Exception:
    """What a future may hold, and what ends no event loop. A panic in Rust, which the tokenizers are made of, is no
    `Exception`; the thread must outlive it all the same."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"the model raised {type(raised).__name__}: {raised}")
    error.__cause__ = raised
    return error


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


@dataclass(eq=False, slots=True)
class Share:
    """A run's part of the thread.

    Args:
        waiting: how many of its texts wait.
        seconds: what they are foretold to take.
        until: the virtual time, in seconds, at which its last batch ended.
    """

    waiting: Callable[[], int]
    seconds: Callable[[], float] = lambda: 0.0
    until: float = 0.0


class Turns:
    """Lends one thread to many runs, to one at a time: the one that had least of it.

    While several runs have work each gets the same time of the thread, however long its batches are; a run that had
    nothing to do saves up nothing. This is start-time fair queueing (Goyal, Vin and Cheng, 1996), the seconds that a
    batch took being its length.

    Args:
        limits: of the queue that the runs share, and of the time that a call may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shares: list[Share] = []
        self._worker: Worker | None = None
        self._lent = False
        self._virtual = self._latest = 0.0
        self._asking: list[tuple[float, asyncio.Future[None]]] = []
        self._stands_still_at: float | None = None
        self._running: Share | None = None
        self._ends_at = 0.0
        self.lag = 0.0
        """Seconds by which the event loop is late."""

    def join(self, waiting: Callable[[], int], seconds: Callable[[], float] = lambda: 0.0) -> Share:
        """A share for one more run, of which `waiting()` texts wait that are foretold to take `seconds()`."""
        share = Share(waiting, seconds)
        self._shares.append(share)
        return share

    def start(self) -> None:
        self._worker = self._worker or Worker()

    def close(self) -> None:
        """Ends the thread after the call that it is in."""
        if self._worker is not None:
            self._worker.stop()

    @property
    def waiting(self) -> int:
        """Texts of all runs that wait."""
        return sum(share.waiting() for share in self._shares)

    def room(self, share: Share) -> int:
        """How many more texts a run may let wait.

        The runs share one queue, in which each has a few places that the others cannot take: one that is overrun, or
        slow, closes no other. What is kept leaves room for a request of any one.
        """
        kept = (self._limits.queue - self._limits.texts) // (2 * len(self._shares))
        others = (max(kept - other.waiting(), 0) for other in self._shares if other is not share)
        return self._limits.queue - self.waiting - sum(others)

    def ahead(self, share: Share) -> float:
        """Seconds after which a text that came now would be begun: those of its own run's texts, of the others' as
        many, and by what the event loop is late. What another run's batch still takes is not counted: nobody could be
        refused for it in time."""
        own = share.seconds()
        now = asyncio.get_running_loop().time()
        running = max(0.0, self._ends_at - now) if self._running is share else 0.0
        others = sum(min(own, other.seconds()) for other in self._shares if other is not share)
        return self.lag + running + own + others

    @asynccontextmanager
    async def turn(self, share: Share) -> AsyncIterator[None]:
        """The thread, for one batch, as soon as it is the turn of `share`."""
        loop = asyncio.get_running_loop()
        virtual = await self._come(share)
        began = loop.time()
        try:
            yield
        finally:
            share.until = virtual + loop.time() - began
            self._latest = max(self._latest, share.until)
            loop.call_soon(self._pass_on)  # soon, not now: first, whoever has it may ask for it again

    async def call(self, share: Share, function: Callable[[], Any], foretold: float) -> Any:
        """What `function()` returns or raises in the thread; to be called in one's turn. `foretold`: its seconds."""
        assert self._worker is not None, "Turns.start comes first"
        seconds = max(self._limits.request_seconds, PATIENCE * foretold)
        now = asyncio.get_running_loop().time()
        self._stands_still_at, self._running, self._ends_at = now + seconds, share, now + foretold
        try:
            return await self._worker.run(function)
        finally:
            self._stands_still_at = self._running = None

    def stands_still_at(self) -> float:
        """When, by the clock of the loop, the call that runs will have taken so long that it may never end."""
        if self._stands_still_at is None:
            return asyncio.get_running_loop().time() + self._limits.request_seconds
        return self._stands_still_at

    async def _come(self, share: Share) -> float:
        virtual = max(self._virtual, share.until)
        if self._lent:
            asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._asking.append((virtual, asked))
            try:
                await asked
            except asyncio.CancelledError:
                if asked.done() and not asked.cancelled():  # it came at the very moment
                    self._pass_on()
                raise
        self._lent, self._virtual = True, virtual
        return virtual

    def _pass_on(self) -> None:
        self._asking = [asking for asking in self._asking if not asking[1].done()]
        if self._asking:
            first = min(self._asking, key=lambda asking: asking[0])
            first[1].set_result(None)
        else:
            self._lent, self._virtual = False, self._latest
