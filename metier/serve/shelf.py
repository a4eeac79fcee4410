"""The memory that the runs of a service share: who is loaded, who is let go for whom, who is replaced."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from metier.errors import MetierError, RecipeError
from metier.serve.problems import Problem, overloaded
from metier.serve.served import WARM_UP, Edition, ServedRun
from metier.serve.turns import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metier.serve.monitoring import Monitor
    from metier.serve.settings import Limits
    from metier.serve.turns import Turns

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for which a run waits until another, which must be let go for it, has no request under way."""
AGAIN = 2.0
"""Seconds after which a run that could not be loaded is tried again."""


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(psutil.Process().memory_info().rss)


def tidy() -> None:
    """Gives back what nobody uses any more: cycles of objects, and free pages where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def shown(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.2f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


@dataclass(frozen=True, slots=True)
class Memory:
    """How much the process may take (`None`: whatever it needs), and how that is measured and given back."""

    limit: int | None = None
    used: Callable[[], int] = resident
    tidy: Callable[[], None] = tidy


class Shelf:
    """Loads and lets go. One run is loaded at a time, in a thread of its own, while the others go on answering.

    Args:
        memory: how much there is.
        turns: the thread of the models.
        limits: of the queues.
        monitor: the counters.
    """

    def __init__(self, memory: Memory, turns: Turns, limits: Limits, monitor: Monitor) -> None:
        self.memory, self.turns, self.limits, self.monitor = memory, turns, limits, monitor
        self.runs: list[ServedRun] = []
        self._lock = asyncio.Lock()
        self._worker: Worker | None = None
        self._failed: dict[str, float] = {}
        self._leaving: list[weakref.ref[Edition]] = []

    def put(self, runs: Sequence[ServedRun]) -> None:
        """The runs that are served, the default first. Without a limit all of them are loaded now, else the first.

        Raises:
            RunError: for one that cannot be loaded.
            RecipeError: for one that is larger than the limit.
        """
        self.runs = list(runs)
        for run in runs:
            if self.memory.limit is None or run is runs[0]:
                run.adopt(self._load(run))
            else:
                run.about, run.stamp, run.weight = run.source.describe(), run.source.stamp(), run.source.weight()
            self._require(run)

    def start(self) -> None:
        self._worker = self._worker or Worker("metier-load")

    def close(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    async def look(self, seconds: float) -> None:
        """Looks at the folders every so many seconds, for ever."""
        while True:
            await asyncio.sleep(seconds)
            for run in self.runs:
                try:
                    await self.renew(run)
                except Problem as problem:
                    logger.debug("%s was not replaced: %s", run.name, problem.detail)
                except Exception:
                    logger.exception("the folder of the run %s cannot be looked at", run.name)
            await self._tidy_up()

    async def fetch(self, run: ServedRun) -> None:
        """Loads a run that is not loaded. Raises `Problem` 503 where it cannot be, or finds no room."""
        async with self._lock:
            if run.loaded:
                return
            if time.monotonic() < self._failed.get(run.name, 0.0):
                raise _unloadable()
            if not await self._room(run, run.weight):
                raise overloaded("Other runs need the memory.", PATIENCE)
            try:
                edition: Edition = await self._thread(lambda: self._load(run))
            except MetierError as error:
                self._fail(run, f"cannot be loaded: {error}")
                raise _unloadable() from None
            except Exception:
                logger.exception("the run %s cannot be loaded", run.name)
                self._fail(run, "cannot be loaded")
                raise _unloadable() from None
            run.adopt(edition)
            del edition
            if not await self._room(run, 0):
                taken = shown(run.weight)
                run.let_go()
                await self._thread(self.memory.tidy)
                self._fail(run, f"took {taken}, which the limit of {shown(self.memory.limit or 0)} does not allow")
                raise _unloadable()
            run.warm = True
            logger.info("the run %s was loaded; it takes %s", run.name, shown(run.weight))

    async def renew(self, run: ServedRun, *, again: bool = False) -> bool:
        """Replaces a run whose folder holds another one; whether it did. The old one goes on answering until then, and
        goes on altogether where the new one is broken.

        Args:
            run: one of the shelf's.
            again: also look at what was refused before.

        Raises:
            Problem: 409 where the new one is refused, or there is none.
        """
        stamp = await self._thread(run.source.stamp)
        if stamp is None:
            return self._missing(run)
        if stamp == run.stamp or (stamp == run.refused and not again):
            return False
        async with self._lock:
            try:
                about = await self._thread(run.source.describe)
                if about["version"] == run.version:
                    run.stamp, run.refused = stamp, None
                    return False
                await self._replace(run, about, stamp)
            except Problem:
                raise
            except Exception as error:  # noqa: BLE001 (whatever a broken folder makes of the reader)
                raise self._refuse(run, stamp, error) from None
        self.monitor.replaced(run.name, "replaced")
        logger.info("the run %s is now version %s", run.name, run.version)
        return True

    async def _replace(self, run: ServedRun, about: dict[str, Any], stamp: object) -> None:
        if run.loaded and not await self._room(run, run.weight):
            if run.users:
                raise overloaded("There is no room to load the new run beside the old one.", AGAIN)
            run.let_go()
        if not run.loaded:  # the next who asks for it loads the new one
            run.about, run.stamp = about, stamp
            return
        edition: Edition = await self._thread(lambda: self._load(run))
        await self._warm(run, edition)
        assert run.edition is not None
        self._leaving.append(weakref.ref(run.edition))
        run.adopt(edition)

    async def _warm(self, run: ServedRun, edition: Edition) -> None:
        """Asks the new model once, between two batches of the old one. Raises what it raises, but for a mistake of the
        text: a head may want more than a bare one."""
        async with self.turns.turn(run.batcher.share):
            try:
                await self.turns.call(run.batcher.share, lambda: edition([WARM_UP]), 1.0)
            except MetierError as error:
                logger.debug("the warm-up text was refused: %s", error)

    def _load(self, run: ServedRun) -> Edition:
        """In the thread that loads, or before any is there."""
        stamp = run.source.stamp()
        before = self.memory.used()
        model = run.source.load()
        about = model.describe()
        return Edition(model, about, stamp, max(0, self.memory.used() - before))

    async def _room(self, run: ServedRun, wanted: int) -> bool:
        """Makes room by letting go who was used least recently, of those with no request under way.

        Waits a moment for those who have some. Where no other is left there is room for an attempt.
        """
        until = time.monotonic() + PATIENCE
        while (limit := self.memory.limit) is not None and self.memory.used() + wanted > limit:
            others = [one for one in self.runs if one is not run and one.edition is not None and one.stamp is not None]
            idle = [one for one in others if not one.users and not one.starting]
            if idle:
                least = min(idle, key=lambda one: one.used)
                least.let_go()
                await self._thread(self.memory.tidy)
                logger.info("the run %s was let go: there is room for %s", least.name, run.name)
            elif not others:
                await self._thread(self.memory.tidy)
                return wanted > 0 or self.memory.used() <= limit
            elif time.monotonic() > until:
                return False
            else:
                await asyncio.sleep(0.02)
        return True

    def _require(self, run: ServedRun) -> None:
        limit, used = self.memory.limit, self.memory.used() if run.loaded else run.weight
        if limit is not None and used > limit:
            raise RecipeError(
                f"The run {run.name} needs {shown(used)}, the limit is {shown(limit)}.",
                expected="a limit that the service and any one run fit in",
                hint=f"--memory {-(-used * 5 // 4 // 2**20)}MB, or a smaller run",
            )

    def _missing(self, run: ServedRun) -> bool:
        if run.stamp is not None and run.refused != "missing":
            run.refused = "missing"
            self.monitor.replaced(run.name, "refused")
            logger.warning(
                "the folder of the run %s is gone; version %s goes on%s", run.name, run.version,
                " for as long as it is loaded" if run.loaded else " once the folder is back",
            )  # fmt: skip
        raise Problem(409, "This run has no folder that could hold another version.")

    def _refuse(self, run: ServedRun, stamp: object, error: Exception) -> Problem:
        run.refused = stamp
        self.monitor.replaced(run.name, "refused")
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        logger.warning("the new folder of the run %s is refused, version %s goes on: %s", run.name, run.version, said)
        return Problem(409, f"The new folder of this run is refused; version {run.version} goes on. The log says why.")

    def _fail(self, run: ServedRun, why: str) -> None:
        self._failed[run.name] = time.monotonic() + AGAIN
        logger.warning("the run %s %s", run.name, why)

    async def _tidy_up(self) -> None:
        """Gives back the memory of models that were replaced, once nobody holds them any more."""
        gone = [one for one in self._leaving if one() is None]
        if gone:
            self._leaving = [one for one in self._leaving if one() is not None]
            await self._thread(self.memory.tidy)

    async def _thread(self, call: Callable[[], Any]) -> Any:
        assert self._worker is not None, "Shelf.start comes first"
        return await self._worker.run(call)


def _unloadable() -> Problem:
    return overloaded("This run cannot be loaded now; the service's log says why.", AGAIN)
