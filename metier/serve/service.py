"""What the API and the page share: the runs and their queues, the keys, and what is counted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from metier.errors import MetierError, RecipeError, nearest
from metier.serve.batching import Batcher
from metier.serve.keys import KeyRing
from metier.serve.monitoring import Monitor
from metier.serve.problems import Problem
from metier.serve.turns import Turns
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


class ServedRun:
    """One run of a service: what it says of itself, and its model behind a queue of its own.

    Args:
        model: the loaded run.
        service: the limits, the thread and the counters that it shares with the other runs.
    """

    def __init__(self, model: Predictor, service: Service) -> None:
        self.about: dict[str, Any] = model.describe()
        self.heads: dict[str, dict[str, Any]] = self.about.get("heads", {})
        self.version = str(self.about.get("version", ""))
        self.name = str(self.about.get("name", ""))
        self.warm = False
        observe = service.monitor.batches(self.name)
        self.batcher = Batcher(model.predict, service.settings.limits, service.turns, observe)
        self._warming: asyncio.Task[None] | None = None

    def waiting(self) -> int:
        """Texts that wait for this run."""
        return self.batcher.length

    def is_warm(self) -> bool:
        return self.warm

    def start(self) -> None:
        self.batcher.start()
        self._warming = asyncio.get_running_loop().create_task(self._warm_up())

    async def close(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            with suppress(asyncio.CancelledError):
                await self._warming
        await self.batcher.close()

    async def predict(self, documents: Sequence[Document]) -> list[dict[str, Prediction]]:
        """The predictions of one request; see `Batcher.submit`."""
        return await self.batcher.submit(documents)

    async def _warm_up(self) -> None:
        while not self.warm:
            try:
                await self.predict([Document("A first text warms the model up.", id="warm-up")])
            except Problem:  # others came first, or the first call takes longer than a request may
                await asyncio.sleep(0.1)
                continue
            except MetierError as error:  # a head may want more than a bare text: marks, or a pair
                logger.debug("the warm-up text was refused: %s", error)
            except Exception:
                logger.exception("the model of %s cannot predict; the service stays not ready", self.name)
                return
            self.warm = True


class Service:
    """Runs behind their queues; the first is the one that is meant where none is named. `start` and `close` belong to
    the event loop that answers requests.

    Raises `RecipeError` for a key file that cannot be used, for no run, and for two of the same name.
    """

    def __init__(self, models: Sequence[Predictor], settings: Settings) -> None:
        self.settings = settings
        self.keys = KeyRing.read(settings.api_key_file)
        self.monitor = Monitor()
        self.turns = Turns(settings.limits)
        served = [ServedRun(model, self) for model in models]
        require_names([run.name for run in served])
        self.runs = {run.name: run for run in served}
        self.default = served[0]
        self.gate: Gate | None = None
        for run in served:
            self.monitor.watch_run(run.name, run.waiting, run.is_warm)
        self.monitor.watch(lambda: self.turns.waiting, lambda: self.gate.in_flight if self.gate else 0)

    @property
    def draining(self) -> bool:
        return self.gate is not None and self.gate.draining

    @property
    def loading(self) -> str:
        """What is not ready yet. Runs are not named: whoever asks has shown no key."""
        if len(self.runs) == 1:
            return "The model is being loaded."
        return f"{sum(not run.warm for run in self.runs.values())} of {len(self.runs)} models are being loaded."

    @property
    def ready(self) -> bool:
        """Whether a request would be answered at once: every model is warm, and nobody told the service to stop."""
        return all(run.warm for run in self.runs.values()) and not self.draining

    @property
    def drained(self) -> bool:
        """Whether every request that was accepted has its answer."""
        return all(run.batcher.idle for run in self.runs.values()) and (self.gate is None or not self.gate.in_flight)

    def run(self, name: str) -> ServedRun:
        """The run of a name. Raises `Problem` 404 where no run has it."""
        if name not in self.runs:
            known = ", ".join(self.runs)
            raise Problem(
                404, f"No run {name!r:.100} is served here.{nearest(name[:100], self.runs)} There are: {known}."
            )
        return self.runs[name]

    def start(self) -> None:
        self.turns.start()
        for run in self.runs.values():
            run.start()

    async def close(self) -> None:
        for run in self.runs.values():
            await run.close()
        self.turns.close()

    def drain(self) -> None:
        """From now on new predictions are refused, and `/readyz` says so."""
        if self.gate is not None:
            self.gate.draining = True


def require_names(names: Sequence[str]) -> None:
    """Raises `RecipeError` for no run, and for two of the same name."""
    if not names:
        raise RecipeError("There is no run to serve.", expected="at least one run folder")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise RecipeError(
            f"Two runs are called {twice[0]!r}.",
            expected="runs whose folders have different names: requests name a run by its folder",
            hint="name each run once, or rename a folder",
        )
