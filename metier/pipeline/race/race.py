"""The race: fits the cheapest method first, climbs while the next one is expected to pay, and stays in its budget.

Small fits decide. Each rung is fitted on a quarter and on half of the training texts and judged by the validation split
and the training texts that it has not seen, which is many more than a validation split has; two points and a power law
say what all of the texts would give (see `evaluate.learning_curve`). The dear rungs go through successive halving
(Jamieson & Talwalkar 2016): all of them on a quarter, the better half on half, the winner on everything; where time is
short all of them on one draw of half of the texts, the better half on more draws, the winner on everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from metier.errors import DataError, RecipeError
from metier.evaluate import race as says
from metier.evaluate.learning_curve import NOISE, Point, forecast
from metier.models.machine import processes
from metier.pipeline.dataset import Dataset
from metier.pipeline.fit import estimate
from metier.pipeline.race.clock import Clock, Guard, spent_before
from metier.pipeline.race.cuts import cuts
from metier.pipeline.race.measure import CAUTION, LEAST, Bench, folder_of
from metier.pipeline.race.rungs import Rung
from metier.pipeline.watch import Watch
from metier.recipe import Recipe

Note = Mapping[str, str]
CLOCK = "clock.json"
FIRST = 2.0
"""How much longer than its arithmetic says the first rung may take, before anything was measured."""
STEEP = 0.5
"""The exponent at which an error that was measured once could fall at best."""
NOTHING: Note = {}


class Race:
    """Climbs the ladder on a bench; afterwards `leader` is the rung that won and `fates` what became of each.

    Args:
        bench: where rungs are measured.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.rungs = list(bench.rungs.values())
        self.margin = bench.recipe.race.margin / 100
        self.shares = [share for share in bench.cuts if share < 1.0]
        self.fates: dict[str, tuple[str, Note]] = {}
        """By rung: its fate, and the reason, a phrase with what fills it, where there is more to say."""
        self.leader: Rung | None = None

    def run(self) -> Rung:
        """Climbs. Raises `RecipeError` where the time was up before the first rung was fitted."""
        for rung in (rung for rung in self.rungs if rung.cheap):
            self._cheap(rung)
        if self.leader is None:
            raise self._too_small()
        self._climb([rung for rung in self.rungs if not rung.cheap])
        self.fates[self.leader.name] = says.WON, NOTHING
        return self.leader

    def require_time(self) -> None:
        """Raises `RecipeError` where reading has left no time for the first rung."""
        bench = self.bench
        if not bench.log.results and bench.left() < FIRST * estimate(bench.prepared):
            raise self._too_small()

    # -- the cheap rungs -----------------------------------------------------------------------------------------
    def _cheap(self, rung: Rung) -> None:
        """Fits a cheap rung: on all texts at any rate, on parts of them where there is time for it."""
        bench = self.bench
        whole = bench.expected(rung, 1.0)
        rest = bench.expected(bench.rungs["probe"], 1.0) if rung.method == "zero_shot" else 3 * whole
        if rung.method != "probe" and CAUTION * (whole + rest) > bench.left():  # the probe comes first, whatever else
            self.fates[rung.name] = says.NO_TIME, _needs(whole, bench.left())
            return
        for share in self.shares if rung.method != "zero_shot" else self.shares[-1:]:
            spare = CAUTION * (bench.expected(rung, share) + bench.expected(rung, 1.0))
            if spare < bench.left():
                bench.measure(rung, share)
        if bench.measure(rung, 1.0) is None:
            self._explain(rung)
        elif not rung.network:
            self.fates[rung.name] = says.BASELINE, NOTHING
        else:
            self._compare(rung)

    def _compare(self, rung: Rung) -> None:
        """A rung that is fitted on everything leads if it gains the margin."""
        if self.leader is None:
            self.leader = rung
            return
        gain = self._gain(rung, self.leader)
        if gain >= self.margin:
            self.fates[self.leader.name] = says.UNDER, {"says": says.POINTS, "gain": _points(-gain)}
            self.leader = rung
        else:
            self.fates[rung.name] = says.UNDER, {"says": says.POINTS, "gain": _points(gain)}

    def _too_small(self) -> RecipeError:
        bench = self.bench
        needed = bench.clock.spent + bench.reserve() + 2 * FIRST * estimate(bench.prepared)
        return RecipeError(
            f"A budget of {bench.clock.budget:g} s is too small: reading took {bench.clock.spent:.1f} s, and not even "
            "the first rung, the probe, can be fitted and measured in the rest.",
            expected=f"race.budget of at least about {math.ceil(max(needed, 1.2 * bench.clock.budget))} s",
        )

    # -- the dear rungs ------------------------------------------------------------------------------------------
    def _climb(self, rungs: list[Rung]) -> None:
        """Successive halving, and the last one against whoever leads."""
        assert self.leader is not None
        room = 1.0 - self._best()
        if room < self.margin:
            for rung in rungs:
                self.fates[rung.name] = says.UNDER, {"says": says.ROOM, "room": f"{100 * room:.1f}"}
            return
        alive = sorted(rungs, key=lambda rung: rung.turn)
        for share, draws in self._stages(alive):
            alive = self._heat(alive, share, draws)
        for rung in alive[1:]:
            self.fates.setdefault(rung.name, (says.BEATEN, NOTHING))
        if alive and self._affordable(alive[0]):
            if self.bench.measure(alive[0], 1.0) is None:
                self._explain(alive[0])
            else:
                self._compare(alive[0])

    def _stages(self, rungs: list[Rung]) -> list[tuple[float, int]]:
        """On which shares the rungs meet, and on how many draws of each.

        With time for all of them: on every share, all draws. With less: on the largest part, one draw, as many rungs as
        there is time for; then the better half on its other draws. With time for one fit alone: the first rung goes
        straight to all of the data.
        """
        bench = self.bench
        parts = [(share, len(bench.cuts[share])) for share in self.shares]
        begun = {share for name, share in bench.log.results if share in self.shares and not bench.rungs[name].cheap}
        if parts and (min(begun, default=1.0) == self.shares[0] or CAUTION * self._cost(rungs) < bench.left()):
            return parts
        whole = bench.expected(rungs[0], 1.0)
        if parts and (begun or CAUTION * (bench.expected(rungs[0], parts[-1][0], 1) + whole) < bench.left()):
            share, draws = parts[-1]
            return [(share, 1), (share, draws)] if draws > 1 else [(share, 1)]
        for rung in rungs[1:]:
            needed = bench.expected(rung, 1.0)
            self.fates[rung.name] = says.NO_TIME, _needs(needed, bench.left() - CAUTION * whole)
        return []

    def _cost(self, rungs: Sequence[Rung]) -> float:
        """Seconds of successive halving on every share at worst."""
        left, total = sorted(rungs, key=lambda rung: -self.bench.expected(rung, 1.0)), 0.0
        for share in self.shares:
            total += sum(self.bench.expected(rung, share) for rung in left)
            left = left[: -(-len(left) // 2)]
        return total + self.bench.expected(left[0], 1.0)

    def _heat(self, rungs: list[Rung], share: float, draws: int) -> list[Rung]:
        """All rungs on draws of a share; the better half of those that may still gain the margin, the best first.

        A second heat on the same share decides between few: it takes place if there is time for all of them.
        """
        sheets, results = self.bench.log.sheets, self.bench.log.results
        if all((rung.name, share) in sheets and results[rung.name, share].draws < draws for rung in rungs):
            more = sum(self.bench.expected(rung, share, draws) for rung in rungs)
            if len(rungs) < 2 or not self._in_time(more, rungs):
                return rungs
        found: list[Rung] = []
        for rung in rungs:
            needed = self.bench.expected(rung, share, draws)
            if (rung.name, share) not in sheets and not self._in_time(needed, [*found, rung]):
                self.fates[rung.name] = says.NO_TIME, _needs(needed, self.bench.left())
            elif self.bench.measure(rung, share, draws) is None:
                self._explain(rung)
            else:
                found.append(rung)
        texts = min((len(sheets[rung.name, share].counts) for rung in found), default=0)
        found.sort(key=lambda rung: -sheets[rung.name, share].first(texts).score())
        better = found[: -(-len(found) // 2)]
        for rung in found[len(better) :]:
            self.fates[rung.name] = says.BEATEN, NOTHING
        return [rung for rung in better if self._promises(rung)]

    def _in_time(self, seconds: float, rungs: Sequence[Rung]) -> bool:
        """Whether so much may be spent if any of the rungs has to be fitted on everything afterwards.

        One alone may be fitted for fewer epochs.
        """
        dearest = max(self.bench.expected(rung, 1.0) for rung in rungs)
        return CAUTION * (seconds + (dearest if len(rungs) > 1 else LEAST * dearest)) < self.bench.left()

    def _promises(self, rung: Rung) -> bool:
        """Whether a rung may gain the margin on everything."""
        gain = self._hoped(rung)
        if gain < self.margin:
            self.fates[rung.name] = says.UNDER, {"says": says.EXPECTED, "gain": _points(gain)}
        return gain >= self.margin

    def _affordable(self, rung: Rung) -> bool:
        """Whether a fit on everything fits into the rest of the budget, with fewer epochs if need be."""
        needed = self.bench.expected(rung, 1.0)
        if CAUTION * LEAST * needed < self.bench.left() or (rung.name, 1.0) in self.bench.log.results:
            return True
        self.fates[rung.name] = says.NO_TIME, _needs(needed, self.bench.left())
        return False

    def _explain(self, rung: Rung) -> None:
        """Why there is no figure of a rung."""
        reasons = [
            item.impossible for key, item in self.bench.log.results.items() if key[0] == rung.name and item.impossible
        ]
        if reasons:
            self.fates[rung.name] = says.IMPOSSIBLE, {"says": reasons[0]}
        else:
            self.fates[rung.name] = says.NO_TIME, {"says": says.LATE}

    # -- figures -------------------------------------------------------------------------------------------------
    def points(self, rung: Rung) -> list[Point]:
        """The learning curve as it was measured."""
        log = self.bench.log
        found = []
        for share in self.bench.cuts:
            sheet = log.sheets.get((rung.name, share))
            if sheet is not None:
                found.append(Point(log.results[rung.name, share].rows, sheet.score(), sheet.deviation()))
        return found

    def _best(self) -> float:
        """The score of whoever leads on all texts: of the curve through what was measured, each point as it is sure."""
        assert self.leader is not None
        points = self.points(self.leader)
        if self.leader.learns:
            return forecast(points, [self.bench.cuts[1.0][0].rows])[0].score
        weights = [1.0 / (point.deviation**2 + NOISE**2) for point in points]
        return float(np.average([point.score for point in points], weights=weights))

    def _hoped(self, rung: Rung) -> float:
        """What a rung is expected to gain on all texts over whoever leads; after one point what it can at best."""
        assert self.leader is not None
        own = [share for share in self.shares if (rung.name, share) in self.bench.log.sheets]
        gain = self._forecast_gain(rung, self.leader)
        if len(own) > 1 and gain is not None:
            return gain[0]
        error: float = (1.0 - self.bench.log.sheets[rung.name, own[-1]].score()) * own[-1] ** STEEP
        return 1.0 - error - self._best()

    def _forecast_gain(self, rung: Rung, other: Rung) -> tuple[float, float] | None:
        """How much better a rung would be on all texts, from parts that both were fitted on, and how sure that is."""
        sheets = self.bench.log.sheets
        both = [share for share in self.shares if (rung.name, share) in sheets and (other.name, share) in sheets]
        if not both or sheets[rung.name, both[-1]].widths != sheets[other.name, both[-1]].widths:
            return None
        texts = {share: min(len(sheets[one.name, share].counts) for one in (rung, other)) for share in both}
        ends = [self._end(one, texts) for one in (rung, other)]
        _, error = sheets[rung.name, both[-1]].gain(sheets[other.name, both[-1]])
        return ends[0] - ends[1], math.hypot(error / both[-1], NOISE)

    def _end(self, rung: Rung, texts: Mapping[float, int]) -> float:
        """The score that a rung is expected to have on all texts, from the first so many that judged each share."""
        log = self.bench.log
        points = [
            Point(log.results[rung.name, share].rows, log.sheets[rung.name, share].first(count).score())
            for share, count in texts.items()
        ]
        return forecast(points, [self.bench.cuts[1.0][0].rows])[0].score if rung.learns else points[-1].score

    def _gain(self, rung: Rung, other: Rung) -> float:
        """How much better a rung is on all texts: what the parts say and what was measured, each by its precision."""
        sheets = self.bench.log.sheets
        gains = [sheets[rung.name, 1.0].gain(sheets[other.name, 1.0], valid=True)]
        expected = self._forecast_gain(rung, other)
        if expected is not None:
            gains.append(expected)
        values, errors = np.array(gains).T
        return float(np.average(values, weights=1.0 / (errors**2 + NOISE**2)))


def _points(gain: float) -> str:
    """A gain in points with its sign, and no negative nought."""
    return f"{round(100 * gain, 1) + 0.0:+.1f}"


def _needs(seconds: float, left: float) -> Note:
    return {"says": says.NEEDS, "needed": f"{seconds:.0f}", "left": f"{max(0.0, left):.0f}"}


def require_one_process() -> None:
    """Raises `RecipeError` where several processes share a fit."""
    if processes() > 1:
        raise RecipeError("A race cannot share several processes.", hint="one process, then the winner's recipe")


def start(recipe: Recipe, dataset: Dataset, staged: Path, spent: float, watch: Watch) -> Race:
    """A race at its beginning, or where it was cut off.

    Args:
        recipe: resolved.
        dataset: what it describes.
        staged: the folder of the run.
        spent: seconds that this process took to read.
        watch: hears of progress.

    Raises `RecipeError` for what cannot be raced, and where the budget is too small for the first rung.
    """
    if not dataset.examples["valid"]:
        raise DataError(
            "There is no validation split to race on.", expected="rows whose split is valid, or data that can be cut"
        )
    folder = folder_of(staged)
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(recipe.race.budget, spent + spent_before(folder / CLOCK), folder / CLOCK)
    race = Race(Bench(recipe, dataset, cuts(recipe, dataset), folder, Guard(watch, clock)))
    race.require_time()
    return race
