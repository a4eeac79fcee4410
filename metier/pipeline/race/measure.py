"""Fits the rungs of a race on shares of the data, each within what is left of the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from metier import run
from metier.errors import MetierError, RecipeError
from metier.models.machine import versions
from metier.pipeline import weights
from metier.pipeline.dataset import Dataset
from metier.pipeline.fit import estimate
from metier.pipeline.prepare import Prepared, prepare
from metier.pipeline.race import sheet
from metier.pipeline.race.clock import Clock, Guard
from metier.pipeline.race.cuts import Cut
from metier.pipeline.race.log import Log, Result
from metier.pipeline.race.rungs import Rung, ladder, passes, price
from metier.pipeline.race.sheet import Sheet
from metier.pipeline.trial import Trial, trial
from metier.pipeline.watch import Enough
from metier.recipe import Recipe
from metier.train.methods import METHODS, epochs

SPEED_TEXTS = 128
"""Texts that the speed of prediction is measured on."""
CAUTION = 1.25
"""What an expected time is multiplied by before it is held against the budget."""
LEAST = 0.35
"""A fit that has time for fewer of its epochs than this is not begun."""
BACKWARD = 3.5
"""What a text costs in a step of a fit for each time that it is only predicted."""
FINISH = 2.0
"""Seconds that writing a run takes beside what grows with the data."""


class Bench:
    """Where rungs are measured.

    Args:
        recipe: of the race, resolved.
        dataset: all of it; its test split is never looked at.
        cuts: the shares.
        folder: of the race.
        guard: hears of progress and ends what takes too long.
    """

    def __init__(
        self, recipe: Recipe, dataset: Dataset, cuts: Mapping[float, list[Cut]], folder: Path, guard: Guard
    ) -> None:
        self.recipe, self.dataset, self.cuts, self.folder, self.guard = recipe, dataset, cuts, folder, guard
        self.rungs = {rung.name: rung for rung in ladder(recipe, dataset)}
        whole = cuts[1.0][0].dataset
        self.prepared: Prepared = prepare(self.rungs["probe"].recipe(recipe), whole)
        facts = {"recipe": recipe.model_dump(mode="json"), "data": dataset.fingerprint, **versions()}
        self.log = Log(folder, self.prepared.heads, facts)
        self.wholes: dict[str, Trial] = {}
        """What this process fitted on all training texts."""

    @property
    def clock(self) -> Clock:
        """The budget."""
        return self.guard.clock

    def expected(self, rung: Rung, share: float, draws: int | None = None) -> float:
        """Seconds that a rung will take on so many draws of a share, all of them if not said, beyond what is done.

        From its own fits, else from its arithmetic.
        """
        done = self.log.results.get((rung.name, share))
        left = (len(self.cuts[share]) if draws is None else draws) - (done.draws if done else 0)
        if left <= 0 or done and done.impossible:
            return 0.0
        known = [(key[1], item) for key, item in self.log.results.items() if key[0] == rung.name and item.rows]
        if known:
            before, item = max(known, key=lambda pair: pair[0])
            return item.seconds / item.draws * (share / before) * left
        if not rung.network:
            return 0.0
        return self._arithmetic(rung, share) * (1.0 if rung.cheap else self._slower()) * left

    def _arithmetic(self, rung: Rung, share: float) -> float:
        """Seconds of one fit: the texts that pass through the network at the speed of prediction, if that is known."""
        rate = self._rate()
        if not rate:
            return price(rung, self.recipe, self.prepared) * share
        rows = self.cuts[share][0].rows
        looks = rows + len(self.dataset.examples["valid"])
        return (BACKWARD * passes(rung, self.recipe, self.cuts[1.0][0].rows) * rows + looks) / rate

    def _slower(self) -> float:
        """How many times as long as its arithmetic says the last fit by gradient took; 1 before there was one."""
        found = 1.0
        for (name, share), item in self.log.results.items():
            rung = self.rungs[name]
            if item.rows and not item.short and not rung.cheap and METHODS[rung.method].gradient:
                found = item.seconds / item.draws / max(1e-9, self._arithmetic(rung, share))
        return found

    def reserve(self) -> float:
        """Seconds that the evaluation of the winner and the report will take."""
        held = len(self.dataset.examples["valid"]) * 2 + len(self.dataset.examples["test"]) * 3
        rate = self._rate()
        passes = held / rate if rate else estimate(self.prepared)
        words, probe = (self._longest(name) for name in ("TF-IDF", "probe"))
        settings = self.recipe.evaluate
        again = ("probe", 1.0) in self.log.results and "probe" not in self.wholes  # by a process that was cut off
        beside = 1.5 * words * settings.baselines + (0.5 * settings.suspects + again) * probe
        return FINISH + CAUTION * (passes + beside)

    def left(self) -> float:
        """Seconds that a rung may still take."""
        return self.clock.left - self.reserve()

    def measure(self, rung: Rung, share: float, draws: int | None = None) -> Sheet | None:
        """What a rung says of the judged texts when it is fitted on draws of a share, on all of them if not said.

        Draws that are done are not fitted again. `None` where it was not possible.
        """
        key = rung.name, share
        done = self.log.results.get(key)
        cuts = self.cuts[share][done.draws if done else 0 : draws]
        if cuts and not (done and done.impossible):
            self.guard.say(f"race: {rung.name} on {cuts[0].rows} texts, {self.clock.left:.0f} s left")
            try:
                found = self._network(rung, share, cuts) if rung.network else self._baseline(rung, share, cuts)
            except MetierError as error:
                if rung.method == "probe":
                    raise
                found = Result(rung.name, share, impossible=str(error)), None
            if found is not None:
                self.log.add(*found)
            self.clock.note(now=True)
        return self.log.sheets.get(key)

    def _baseline(self, rung: Rung, share: float, cuts: list[Cut]) -> tuple[Result, Sheet | None]:
        start = time.perf_counter()
        sheets = [sheet.of_baseline(rung.method, self.prepared.heads, cut, self.recipe.seed) for cut in cuts]
        whole = [item for item in sheets if item is not None]
        if not whole:
            raise RecipeError("There is no such baseline for this task.")
        result = Result(rung.name, share, cuts[0].rows, time.perf_counter() - start, draws=len(cuts))
        return result, sheet.joined(whole)

    def _network(self, rung: Rung, share: float, cuts: list[Cut]) -> tuple[Result, Sheet] | None:
        """More draws of a share, as many as there is time for; `None` where there was none for the first."""
        recipe, cutback = self._fitting(rung, share, len(cuts))
        rows = cuts[0].rows
        found = self.log.results.get((rung.name, share))
        result = found or Result(rung.name, share, rows, epochs=epochs(recipe.train, rows) or None, draws=0)
        sheets = [self.log.sheets[rung.name, share]] if found else []
        for cut in cuts:
            try:
                with self.guard.keeping(self.reserve() + self._judging(cut)):
                    made = trial(recipe, cut.dataset, self.folder / "fit", self.guard)
            except Enough:
                break
            sheets.append(sheet.of_trial(made, cut))
            result = replace(
                result,
                seconds=result.seconds + made.seconds,
                short=result.short or self.guard.fired or cutback,
                draws=result.draws + 1,
            )
            if not result.rate:
                result = replace(result, rate=_speed(made, cut), size=_size(made))
            if share == 1.0:
                self.wholes[rung.name] = made
                self.log.keep_weights(rung.name, made.prepared.network, self.guard.records)
        return (result, sheet.joined(sheets)) if result.draws else None

    def _fitting(self, rung: Rung, share: float, draws: int) -> tuple[Recipe, bool]:
        """The recipe of a rung, and whether it has fewer epochs than planned because there is no time for all."""
        recipe = rung.recipe(self.recipe, self.cuts[1.0][0].rows)
        fraction = self.left() / max(1e-9, CAUTION * self.expected(rung, share, draws))
        planned = epochs(recipe.train, self.cuts[share][0].rows)
        if fraction >= 1 or not planned:
            return recipe, False
        return recipe.but(train={"epochs": max(1.0, math.floor(planned * max(LEAST, fraction)))}), True

    def _judging(self, cut: Cut) -> float:
        """Seconds that judging a fit takes."""
        rate = self._rate()
        return len(cut.judged) / rate if rate else 0.0

    def _rate(self) -> float:
        """Texts a second at prediction, the median of all measurements; 0 before the first one."""
        rates = [item.rate for item in self.log.results.values() if item.rate]
        return median(rates) if rates else 0.0

    def _longest(self, name: str) -> float:
        """Seconds that a rung took on the largest share that it was fitted on; 1 before it was."""
        found = [(share, item.seconds) for (rung, share), item in self.log.results.items() if rung == name]
        return max(found)[1] if found else 1.0


def _speed(found: Trial, cut: Cut) -> float:
    """Texts a second from strings to answers."""
    documents = [example.document for example in cut.judged[:SPEED_TEXTS]]
    start = time.perf_counter()
    found.prepared.runtime.predict(documents)
    return len(documents) / (time.perf_counter() - start)


def _size(found: Trial) -> int:
    """Bytes of what a run of this network would keep."""
    with TemporaryDirectory(prefix="metier-") as folder:
        weights.save_runtime(found.prepared.runtime, Path(folder))
        return sum(item.stat().st_size for item in Path(folder).rglob("*") if item.is_file())


def folder_of(staged: Path) -> Path:
    """Where a race in a staged run keeps its rungs: gone when the run is sealed."""
    return staged / run.CHECKPOINT / "race"
