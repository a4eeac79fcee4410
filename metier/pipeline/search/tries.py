"""One process of a search: it asks for values, fits, reports, until nothing is wanted any more."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

from metier.errors import MetierError, RunError
from metier.pipeline.dataset import Dataset
from metier.pipeline.search.ranges import Range, Space, Value
from metier.pipeline.search.storage import Place, opened
from metier.pipeline.trial import trial
from metier.train.loop import Record

QUARTERS = 4
"""A fit is compared with others after each quarter, whatever its number of epochs."""
HOPELESS = 3
"""Trials that fail before any succeeds, after which a search gives up."""
ATTEMPTS = 3
"""Processes that may die in the same trial before it counts as failed."""
PATIENCE = 1.0
"""Seconds between two looks at what other machines do."""
ERROR, SURPLUS, STOPPED, INSTEAD, DEATHS, HEADS = "error", "surplus", "stopped", "instead", "deaths", "heads"
"""What is noted of a trial: why it failed; that it was one too many; that it was told to stop; the number of the one
that it takes the place of; how often its process has died before; the score of each head."""


class Stop(Exception):
    """Raised in the middle of a trial that is not to go on: `reason` is `budget`, `surplus` or `orphan`."""

    def __init__(self, reason: str, done: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.done = reason, done


@dataclass(frozen=True)
class Work:
    """What every process of a search knows."""

    space: Space
    place: Place
    folder: Path
    """For files of running trials."""
    trials: int
    deadline: float | None
    """The time of the clock (`time.time`) at which the budget is spent."""
    folds: int
    threads: int | None
    index: int = 0
    parent: int = 0
    """The process that waits for this one; 0: nobody does."""


class TrialWatch:
    """Hears of a fit: says its score at each quarter, ends it when it is worse than most, or when time is up.

    Args:
        work: whose deadline and parent count.
        running: an `optuna.Trial` that hears of the scores; `None`: nobody compares this fit.
    """

    def __init__(self, work: Work, running: Any = None) -> None:
        self.work, self.running = work, running
        self.done, self.reported = 0.0, 0

    def say(self, text: str) -> None: ...

    def stage(self, name: str, total: int) -> None:
        """A stage begins."""
        self._look()

    def tick(self, units: int) -> None:
        """Some units are done."""
        self._look()

    def step(self, record: Record) -> None:
        """An update of the fit. Raises `optuna.TrialPruned` or `Stop` where it is the last one."""
        # `progress` is that before the update; of the first one it is nought and says nothing
        if record.step > 1:
            self.done = record.progress * record.step / (record.step - 1)
        quarter = int(QUARTERS * self.done + 1e-6)
        if self.running is not None and record.valid is not None and self.reported < quarter < QUARTERS:
            self.reported = quarter
            judge(self.running, record.valid["metric"], quarter)
        self._look()

    def _look(self) -> None:
        if self.work.deadline is not None and time.time() > self.work.deadline:
            raise Stop("budget", self.done)
        if self.work.parent and os.getppid() != self.work.parent:
            raise Stop("orphan", self.done)


def judge(running: Any, value: float, point: int) -> None:
    """Tells a score at a point of a trial. Raises `optuna.TrialPruned` where that of most others was better."""
    import optuna

    running.report(value, point)
    if running.should_prune():
        raise optuna.TrialPruned


def tries(work: Work, datasets: Sequence[Dataset], tell: Callable[[Any, Any], None]) -> None:
    """Trials, one after the other, until there are as many as wanted or time is up.

    Args:
        work: what is searched.
        datasets: one a fold.
        tell: called with the study and each finished trial.

    Raises `Stop` when the budget ended in the middle of a trial, and the error of the last one where all fail.
    """
    with opened(work.place, retry) as found:
        while _others(found, work) or wanted(found, work):
            if not wanted(found, work):
                time.sleep(PATIENCE)
                continue
            found.sampler = _sampler(found, work)
            found.optimize(
                lambda running: _objective(running, work, datasets),
                n_trials=1,
                catch=(MetierError,),
                callbacks=[tell],
            )
            _give_up(found)


def wanted(found: Any, work: Work) -> bool:
    """Whether another trial is to begin: some are missing, and the quickest one so far would fit into the budget."""
    done = placed(found.get_trials(deepcopy=False))
    if len(done) >= work.trials:
        return False
    if work.deadline is None:
        return True
    quickest = min((seconds_of(one) for one in done if one.state.name == "COMPLETE"), default=0.0)
    return time.time() + quickest < work.deadline


def _others(found: Any, work: Work) -> bool:
    """Whether other machines still try something: they may die, and then what they tried is to be tried again."""
    import optuna

    if not work.place.url or (work.deadline is not None and time.time() > work.deadline):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(found)
    return any(one.state.name == "RUNNING" for one in found.get_trials(deepcopy=False))


def placed(trials: Sequence[Any]) -> list[Any]:
    """The trials that count: whole, cut short or failed by a mistake, and those that run."""
    return [one for one in trials if one.state.name in ("COMPLETE", "PRUNED", "RUNNING") or error_of(one)]


def error_of(one: Any) -> str:
    """Why a trial has failed; empty where it has not, or is to be tried again."""
    if one.state.name != "FAIL" or SURPLUS in one.user_attrs:
        return ""
    deaths = _deaths(one)
    return str(one.user_attrs.get(ERROR, f"its process died {deaths} times" if deaths >= ATTEMPTS else ""))


def _deaths(one: Any) -> int:
    """How many processes have died in a failed trial, and in those that it takes the place of."""
    return int(one.user_attrs.get(DEATHS, 0)) + (STOPPED not in one.user_attrs)


def seconds_of(one: Any) -> float:
    """How long a finished trial took."""
    return float(one.duration.total_seconds()) if one.duration is not None else 0.0


def retry(found: Any, dead: Any) -> None:
    """Puts a trial whose process died, or was stopped, back into the queue, unless it is there or has failed."""
    trials = found.get_trials(deepcopy=False)
    known = any(one.user_attrs.get(INSTEAD) == dead.number for one in trials)
    values = {**dead.system_attrs.get("fixed_params", {}), **dead.params}
    if values and not known and not error_of(dead) and SURPLUS not in dead.user_attrs:
        found.enqueue_trial(values, user_attrs={INSTEAD: dead.number, DEATHS: _deaths(dead)})


def _sampler(found: Any, work: Work) -> Any:
    """Tree-structured Parzen estimators (Bergstra et al. 2011).

    The seed is made anew for every trial from what is there already, so that a search which was cut off goes on with
    the values that it would have tried.
    """
    import optuna

    done = len(placed(found.get_trials(deepcopy=False)))
    who = os.urandom(8).hex() if work.place.url else str(work.index)  # machines must not draw the same values
    digest = sha256(f"{work.space.recipe({}).seed}/{done}/{who}".encode()).digest()
    startup = max(4, min(10, work.trials // 4))
    return optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4], "big"), n_startup_trials=startup)


def _objective(running: Any, work: Work, datasets: Sequence[Dataset]) -> float:
    """The validation score of a trial, the mean over the folds."""
    before = [one for one in placed(running.study.get_trials(deepcopy=False)) if one.number < running.number]
    if len(before) >= work.trials:  # another process was quicker
        running.set_user_attr(SURPLUS, True)
        raise Stop("surplus")
    try:
        recipe = work.space.recipe(suggested(running, work.space.ranges))
        return _score(running, recipe.but(train={"threads": work.threads}), work, datasets)
    except MetierError as error:
        running.set_user_attr(ERROR, str(error))
        raise
    except (Stop, KeyboardInterrupt):
        running.set_user_attr(STOPPED, True)
        raise


def _score(running: Any, recipe: Any, work: Work, datasets: Sequence[Dataset]) -> float:
    scores: list[float] = []
    heads: dict[str, list[float]] = {}
    folder = work.folder / f"{running.number}"
    for fold, dataset in enumerate(datasets):
        watch = TrialWatch(work, running if fold == 0 else None)
        found = trial(recipe, dataset, folder, watch)
        scores.append(found.score)
        for name, value in found.heads.items():
            heads.setdefault(name, []).append(value)
        if fold + 1 < len(datasets):
            judge(running, mean(scores), QUARTERS + fold)
    running.set_user_attr(HEADS, {name: mean(values) for name, values in heads.items()})
    return mean(scores)


def suggested(running: Any, ranges: Mapping[str, Range]) -> dict[str, Value]:
    """The values that an `optuna.Trial` is to try."""
    found: dict[str, Value] = {}
    for key, one in ranges.items():
        if one.choice:
            found[key] = running.suggest_categorical(key, one.choice)
        elif one.whole:
            found[key] = running.suggest_int(key, int(one.low), int(one.high), step=int(one.step or 1), log=one.log)
        else:
            found[key] = running.suggest_float(key, one.low, one.high, step=one.step, log=one.log)
    return found


def _give_up(found: Any) -> None:
    """Raises `RunError` where the first trials all failed: so will the others."""
    done = placed(found.get_trials(deepcopy=False))
    failed = [error for one in done if (error := error_of(one))]
    if len(failed) == len(done) >= HOPELESS:
        raise RunError(f"All of {len(done)} trials failed, the last one so: {failed[-1]}")
