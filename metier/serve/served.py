"""One run of a service: what it says of itself, its model, and the queue in front of it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metier.errors import MetierError
from metier.serve.batching import Batcher
from metier.serve.problems import Problem, overloaded
from metier.types import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metier.serve.shelf import Shelf
    from metier.serve.source import Predictor, Source
    from metier.types import Prediction

    Answer = dict[str, Prediction]

logger = logging.getLogger(__name__)

WARM_UP = Document("A first text warms the model up.", id="warm-up")
SEVERAL = 8
QUICK = 0.5
"""Seconds. The first call of a model takes longer than any other; only of one that is slow all the same is no more
asked than one text."""


@dataclass(frozen=True, eq=False)
class Edition:
    """A loaded model of a run.

    Args:
        model: which may be called by one thread at a time.
        about: what it says of itself.
        stamp: of the folder that it was loaded from.
        memory: bytes by which the process grew when it was loaded.
    """

    model: Predictor
    about: dict[str, Any]
    stamp: object | None = None
    memory: int = 0

    def __call__(self, documents: list[Document]) -> list[Answer]:
        return self.model.predict(documents)

    @property
    def version(self) -> str:
        return str(self.about.get("version", ""))


@dataclass(frozen=True, slots=True)
class Answered:
    """The predictions of a request, and what the model that made them all says of itself."""

    predictions: list[Answer]
    about: dict[str, Any]

    @property
    def version(self) -> str:
        return str(self.about.get("version", ""))

    @property
    def heads(self) -> dict[str, Any]:
        found: dict[str, Any] = self.about.get("heads", {})
        return found


def nobody(documents: list[Document]) -> list[Answer]:
    """What answers for a run that is not loaded: nobody asks it."""
    raise RuntimeError(f"{len(documents)} texts were asked of a run that is not loaded")


class ServedRun:
    """One run of a service, loaded or not.

    Args:
        source: where its model comes from.
        shelf: the memory, the thread and the counters that it shares with the other runs.
    """

    def __init__(self, source: Source, shelf: Shelf) -> None:
        self.source, self.name, self._shelf = source, source.name, shelf
        self.edition: Edition | None = None
        self.about: dict[str, Any] = {"name": source.name}
        self.warm = False
        self.starting = False
        """Whether it was loaded at the start, and is not warm yet: until then the service is not ready."""
        self.users = 0
        """Requests under way."""
        self.used = 0.0
        self.weight = 0
        """Bytes that it took in memory when it was loaded last; before that, at a guess."""
        self.stamp: object | None = None
        self.refused: object | None = None
        observe = shelf.monitor.batches(self.name)
        self.batcher: Batcher[Any] = Batcher(nobody, shelf.limits, shelf.turns, observe)
        self._loading: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None

    @property
    def heads(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.about.get("heads", {})
        return found

    @property
    def version(self) -> str:
        return str(self.about.get("version", ""))

    @property
    def loaded(self) -> bool:
        return self.edition is not None

    def state(self) -> dict[str, Any]:
        """What `/v1/runs` tells of it beside what it says itself."""
        memory = self.edition.memory if self.edition is not None else None
        return {"ready": self.warm, "loaded": self.loaded, "memory": memory}

    def adopt(self, edition: Edition) -> None:
        """From now on this model answers what no other has begun to answer."""
        self.edition, self.about, self.stamp, self.refused = edition, edition.about, edition.stamp, None
        self.weight = edition.memory or self.weight
        self.batcher.turn_to(edition)

    def let_go(self) -> None:
        """Frees the model. Nobody may be asking it."""
        self.edition, self.warm = None, False
        self.batcher.turn_to(nobody)

    def start(self) -> None:
        self.batcher.start()
        if self.edition is not None:
            self.starting = True
            self._warming = asyncio.get_running_loop().create_task(self._warm_up())

    async def close(self) -> None:
        for task in (self._warming, self._loading):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        await self.batcher.close()

    async def predict(self, documents: Sequence[Document]) -> Answered:
        """The predictions of one request, all of the same model; see `Batcher.submit`."""
        try:
            return await self._ask(documents)
        finally:
            self.used = time.monotonic()

    async def _ask(self, documents: Sequence[Document]) -> Answered:
        self.users += 1
        try:
            if self.edition is None:
                await self._fetched(len(documents))
            reply = await self.batcher.submit(documents)
            return Answered(reply.answers, reply.by.about)
        finally:
            self.users -= 1

    async def _fetched(self, texts: int) -> None:
        """Waits until the model is loaded. Whoever hangs up meanwhile stops nothing: others wait for it, too.

        Raises `Problem` 503 where that takes longer than a request may; the run goes on being loaded.
        """
        self.batcher.admit(texts)
        self.batcher.coming += texts
        try:
            async with asyncio.timeout(self._shelf.limits.request_seconds):
                while self.edition is None:
                    if self._loading is None or self._loading.done():
                        self._loading = asyncio.get_running_loop().create_task(self._shelf.fetch(self))
                        self._loading.add_done_callback(_heard)
                    await asyncio.shield(self._loading)
        except TimeoutError:
            raise overloaded("This run is still being loaded.", self._shelf.limits.request_seconds) from None
        finally:
            self.batcher.coming -= texts

    async def _warm_up(self) -> None:
        if not await self._warmed([WARM_UP]):
            return
        self.warm, self.starting = True, False
        for texts in (1, SEVERAL):  # nobody waits for these: they tell what a batch costs
            if self.batcher.pace.seconds(1, len(WARM_UP.text)) < QUICK:
                await self._warmed([WARM_UP] * texts)

    async def _warmed(self, texts: list[Document]) -> bool:
        while True:
            try:
                await self._ask(texts)
            except Problem:  # others came first, or the first call takes longer than a request may
                await asyncio.sleep(0.1)
                continue
            except MetierError as error:  # a head may want more than a bare text: marks, or a pair
                logger.debug("the warm-up text was refused: %s", error)
            except Exception:
                logger.exception("the model of %s cannot predict; the service stays not ready", self.name)
                return False
            return True


def _heard(task: asyncio.Task[None]) -> None:
    """Takes note of how a task ended, so that nobody need wait for it."""
    if not task.cancelled():
        task.exception()
