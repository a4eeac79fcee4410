"""What the API and the page share: the runs and their queues, the keys, and what is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from metier.errors import RecipeError, nearest
from metier.serve.keys import KeyRing
from metier.serve.monitoring import Monitor
from metier.serve.problems import Problem
from metier.serve.served import ServedRun
from metier.serve.shelf import Memory, Shelf
from metier.serve.source import source
from metier.serve.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metier.serve.gate import Gate
    from metier.serve.settings import Settings
    from metier.serve.source import Predictor, Source


LATEST, SMOOTH = 0.05, 0.2
"""Seconds between two looks at the clock of the event loop, and what the last one weighs: one stumble is no load."""


class Service:
    """Runs behind their queues; the first is the one that is meant where none is named. `start` and `close` belong to
    the event loop that answers requests.

    Raises `RecipeError` for a key file that cannot be used, for no run, for two of the same name, and for one that does
    not fit the memory; `RunError` for one that cannot be loaded.
    """

    def __init__(self, models: Sequence[Predictor | Source], settings: Settings, memory: Memory | None = None) -> None:
        self.settings = settings
        self.keys = KeyRing.read(settings.api_key_file)
        self.monitor = Monitor()
        self.turns = Turns(settings.limits)
        sources = [source(model) for model in models]
        require_names([one.name for one in sources])
        self.shelf = Shelf(memory or Memory(settings.memory), self.turns, settings.limits, self.monitor)
        served = [ServedRun(one, self.shelf) for one in sources]
        self.shelf.put(served)
        self.runs = {run.name: run for run in served}
        self.default = served[0]
        self.gate: Gate | None = None
        self._tasks: list[asyncio.Task[None]] = []
        for run in served:
            self.monitor.watch_run(run)
        self.monitor.watch(lambda: self.turns.waiting, lambda: self.gate.in_flight if self.gate else 0)

    @property
    def draining(self) -> bool:
        return self.gate is not None and self.gate.draining

    @property
    def loading(self) -> str:
        """What is not ready yet. Runs are not named: whoever asks has shown no key."""
        if len(self.runs) == 1:
            return "The model is being loaded."
        return f"{sum(run.starting for run in self.runs.values())} of {len(self.runs)} models are being loaded."

    @property
    def ready(self) -> bool:
        """Whether a request would be answered: every model that is loaded at the start is warm, and nobody told the
        service to stop."""
        return self._tasks != [] and not self.draining and not any(run.starting for run in self.runs.values())

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

    def admit(self, path: str) -> None:
        """Raises `Problem` 503 where a prediction that is asked at `path` would be refused however short it is: before
        anybody reads what is asked."""
        run = (
            self.default
            if path == "/v1/predict"
            else self.runs.get(path.removeprefix("/v1/runs/").removesuffix("/predict"))
        )
        if run is not None:
            run.batcher.admit(1)

    def start(self) -> None:
        self.turns.start()
        self.shelf.start()
        for run in self.runs.values():
            run.start()
        loop = asyncio.get_running_loop()
        endless = (self.shelf.look(self.settings.look_seconds), self._listen())
        self._tasks = [loop.create_task(one) for one in endless]

    async def _listen(self) -> None:
        """Notes, for ever, by how much the event loop is late while many ask: what waits there waits in no queue."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + LATEST
            await asyncio.sleep(LATEST)
            many = self.gate is not None and self.gate.in_flight > self.settings.limits.batch_texts
            late = max(0.0, clock() - due - 0.002) if many else 0.0
            self.turns.lag += SMOOTH * (late - self.turns.lag)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for run in self.runs.values():
            await run.close()
        self.turns.close()
        self.shelf.close()

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
