"""What the API and the page share: one model, its queue, its keys and what is counted."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from metier.errors import MetierError
from metier.serve.batching import Batcher
from metier.serve.keys import KeyRing
from metier.serve.monitoring import Monitor
from metier.serve.problems import Problem
from metier.types import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metier.serve.gate import Gate
    from metier.serve.settings import Settings
    from metier.types import Prediction

logger = logging.getLogger(__name__)


class Predictor(Protocol):
    """What can be served. `metier.model.Model` is one."""

    def predict(self, documents: list[Document], /) -> list[dict[str, Prediction]]:
        """One prediction a head for each document. Never called by two threads at a time."""

    def describe(self) -> dict[str, Any]:
        """`name`, `version`, `backbone`, `created`, `pair`, and `heads`: `{name: {task, labels, headline}}`."""


class Service:
    """A model behind its queue. `start` and `close` belong to the event loop that answers requests."""

    def __init__(self, model: Predictor, settings: Settings) -> None:
        self.settings = settings
        self.keys = KeyRing.read(settings.api_key_file)
        self.about: dict[str, Any] = model.describe()
        self.heads: dict[str, dict[str, Any]] = self.about.get("heads", {})
        self.version = str(self.about.get("version", ""))
        self.name = str(self.about.get("name", ""))
        self.monitor = Monitor()
        self.batcher = Batcher(model.predict, settings.limits, self.monitor.batch_texts.observe)
        self.gate: Gate | None = None
        self._warm = False
        self._warming: asyncio.Task[None] | None = None
        self.monitor.watch(lambda: self.batcher.length, lambda: self.gate.in_flight if self.gate else 0)

    @property
    def draining(self) -> bool:
        return self.gate is not None and self.gate.draining

    @property
    def ready(self) -> bool:
        """Whether a request would be answered at once: the model is warm, and nobody told the service to stop."""
        return self._warm and not self.draining

    @property
    def drained(self) -> bool:
        """Whether every request that was accepted has its answer."""
        return self.batcher.idle and (self.gate is None or not self.gate.in_flight)

    def start(self) -> None:
        self.batcher.start()
        self._warming = asyncio.get_running_loop().create_task(self._warm_up())

    async def close(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            with suppress(asyncio.CancelledError):
                await self._warming
        await self.batcher.close()

    def drain(self) -> None:
        """From now on new predictions are refused, and `/readyz` says so."""
        if self.gate is not None:
            self.gate.draining = True

    async def predict(self, documents: Sequence[Document]) -> list[dict[str, Prediction]]:
        """The predictions of one request; see `Batcher.submit`."""
        return await self.batcher.submit(documents)

    async def _warm_up(self) -> None:
        while not self._warm:
            try:
                await self.predict([Document("A first text warms the model up.", id="warm-up")])
            except Problem:  # others came first, or the first call takes longer than a request may
                await asyncio.sleep(0.1)
                continue
            except MetierError as error:  # a head may want more than a bare text: marks, or a pair
                logger.debug("the warm-up text was refused: %s", error)
            except Exception:
                logger.exception("the model cannot predict; the service stays not ready")
                return
            self._warm = True
