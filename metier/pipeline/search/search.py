"""The search: a recipe with ranges to the values that score best on the validation split."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from metier import run
from metier.errors import MetierError, RecipeError, RunError
from metier.evaluate.search_page import Searched, Tried, render
from metier.pipeline import train as pipeline
from metier.pipeline.dataset import Dataset, read_dataset
from metier.pipeline.search import folds, storage
from metier.pipeline.search.ranges import Space, Value, value_of
from metier.pipeline.search.rates import tested_rate
from metier.pipeline.search.storage import Place
from metier.pipeline.search.tries import (
    ERROR,
    HEADS,
    Stop,
    TrialWatch,
    Work,
    error_of,
    placed,
    retry,
    seconds_of,
    tries,
    wanted,
)
from metier.pipeline.watch import Silent, Watch
from metier.recipe import Recipe
from metier.train.methods import METHODS

DATABASE, MARK, BEST, PAGE, RUN, RUNNING = "search.db", "search.toml", "best.toml", "search.html", "run", "trials"
RATE = "train.learning_rate"
LEAST = 10
"""Whole trials from which on the importance of parameters says something."""
POLL = 0.3
"""Seconds between two looks at what other processes have finished."""


@dataclass(frozen=True)
class Plan:
    """How long to search, and with what. `folds` of `None`: as many as the data needs."""

    trials: int = 40
    budget: float | None = None
    """Seconds."""
    folds: int | None = None
    jobs: int = 1
    url: str = ""
    """The address of a PostgreSQL server that other machines search with."""


def search(space: Space, plan: Plan, *, out: Path, watch: Watch) -> Searched:
    """Tries recipes of a space until there are `plan.trials` or `plan.budget` is spent, and leaves `OUT/best.toml`.

    Called again it goes on where it was; called with more trials or a greater budget it goes further.

    Args:
        space: a recipe with ranges.
        plan: how long.
        out: the folder of the search.
        watch: hears of each trial.

    Raises:
        RecipeError: another search is in the folder, or the budget ended before one trial did.
        RunError: the folder or the storage cannot be used.
    """
    start = time.time()
    recipe = _plain(space)
    place = Place(out.name, out / DATABASE, storage.server(plan.url) if plan.url else "")
    _claimable(out)
    with run.claimed(out):
        dataset = read_dataset(recipe, recipe.data.path, watch)
        count = folds.chosen(recipe, dataset, plan.folds)
        with storage.opened(place, retry) as study:
            _agree(study, space, dataset, count, out)
            _mark(space, out)
            _revive(study, alone=not plan.url)
            left = None if plan.budget is None else start + plan.budget - spent(study.get_trials(deepcopy=False))
            work = Work(space, place, out / RUNNING, plan.trials, left, count, recipe.train.threads or None)
            _run(study, work, plan, dataset, watch)
            return _conclude(study, space, out, count)


def _run(study: Any, work: Work, plan: Plan, dataset: Dataset, watch: Watch) -> None:
    """All trials that are missing. Raises `RecipeError` where the budget ended before one did."""
    said = Teller(watch, plan.trials, study)
    done = 0.0
    try:
        _begin(study, work, dataset, watch)
        said.begin()
        _spread(work, plan.jobs, folds.folds(work.space.recipe({}), dataset, work.folds), said)
    except Stop as stop:
        said.finished()
        done = stop.done
    finally:
        run.empty(work.folder)
        work.folder.rmdir()
    over = work.deadline is not None and time.time() > work.deadline
    if over and not any(one.state.name == "COMPLETE" for one in study.get_trials(deepcopy=False)):
        raise RecipeError(
            f"The budget of {plan.budget:g} seconds was over before the first trial was"
            f"{f', {done:.0%} of its fit done' if done else ''}.",
            hint="the same command with a longer --budget goes on",
        )


def fit_best(found: Searched, *, out: Path, watch: Watch) -> Path:
    """Fits the best recipe of a search as a run of its own in `OUT/run`, unless it is there already."""
    recipe, path = Recipe.read(found.recipe), out / RUN
    if (path / run.MANIFEST).is_file() and _same(path, recipe, found.best.values):
        watch.say(f"{path}: there already")
        return path
    if any((run.partial(path) / run.CHECKPOINT).rglob("*.safetensors")):
        if _same(run.partial(path), recipe, found.best.values):
            watch.say(f"{path}: goes on")
            return pipeline.resume(path, watch).path
        run.empty(run.partial(path))  # of values that were the best until now
    return pipeline.train(recipe, out=path, source=None, watch=watch).path


def _same(path: Path, recipe: Recipe, values: Mapping[str, Value]) -> bool:
    """Whether the run in a folder was fitted with these values."""
    known = Recipe.read(path / run.RECIPE)
    return known.seed == recipe.seed and all(value_of(known, key) == value_of(recipe, key) for key in values)


# -- before the trials -------------------------------------------------------------------------------------------
def _plain(space: Space) -> Recipe:
    """The recipe without its ranges. Raises `RecipeError` for one that nothing can be searched with."""
    recipe = space.recipe({})
    if recipe.train.method == "auto" and "train.method" not in space.ranges:
        raise RecipeError(
            "A search needs a method; 'auto' looks for one itself.", expected="train.method, or a choice of methods"
        )
    if not recipe.data.path:
        raise RecipeError(f"{space.path} names no data.", expected="data.path, a file of labelled texts")
    return recipe


def _claimable(out: Path) -> None:
    """Makes the folder. Raises `RunError` where something else is in it."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not _ours(out))):
        raise RunError(f"{out} exists and is no search.", hint="another --out")
    (out / RUNNING).mkdir(parents=True, exist_ok=True)


def _ours(out: Path) -> bool:
    return any((out / name).exists() for name in (MARK, DATABASE, RUNNING))


def _mark(space: Space, out: Path) -> None:
    """Leaves the recipe with its ranges beside what comes of it."""
    if not (out / MARK).is_file():
        run.write_bytes(out / MARK, tomli_w.dumps(dict(space.given)).encode())


def _agree(study: Any, space: Space, dataset: Dataset, count: int, out: Path) -> None:
    """Raises `RecipeError` where the study is that of another recipe, other ranges, other data or other folds."""
    mine = _identity(space, dataset, count)
    theirs = study.user_attrs.get("identity")
    if theirs is None:
        study.set_user_attr("identity", mine)
    elif theirs != mine:
        other = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
        raise RecipeError(
            f"{out} holds another search: {', '.join(other[:5])}{', ...' if len(other) > 5 else ''} "
            f"{'is' if len(other) == 1 else 'are'} not the same.",
            expected="the recipe, the ranges, the data and the folds that it began with",
            hint="another --out",
        )


def _identity(space: Space, dataset: Dataset, count: int) -> dict[str, Any]:
    """What must stay the same while a search goes on: every key of the recipe, every range, the data, the folds."""
    dump = space.recipe({}).model_dump(mode="json")
    found: dict[str, Any] = {"seed": dump.pop("seed"), "the data": dataset.fingerprint, "folds": count}
    for head in dump["heads"].values():
        head.pop("path")
    for part, table in dump.items():
        found |= {f"{part}.{key}": value for key, value in table.items()}
    for key in ("data.path", "data.unlabelled", "train.threads", "train.device"):
        found.pop(key, None)
    for key, one in space.ranges.items():
        found[key] = {"low": one.low, "high": one.high, "log": one.log, "step": one.step, "choice": list(one.choice)}
    return dict(json.loads(json.dumps(found)))


def _revive(study: Any, *, alone: bool) -> None:
    """Queues again what was cut off: by a process that died, by the end of a budget, by the keyboard.

    `alone`: no other machine shares the study, so whatever seems to run is dead. On a server its heartbeat tells.
    """
    import optuna

    for one in study.get_trials(deepcopy=False):
        if alone and one.state.name == "RUNNING":
            study.tell(one.number, state=optuna.trial.TrialState.FAIL)
    for one in study.get_trials(deepcopy=False):
        if one.state.name == "FAIL":
            retry(study, one)


def spent(trials: Sequence[Any]) -> float:
    """Seconds in which at least one trial ran that came to an end."""
    done = [one for one in trials if one.state.name in ("COMPLETE", "PRUNED") or ERROR in one.user_attrs]
    total, until = 0.0, 0.0
    spans = [(one.datetime_start.timestamp(), one.datetime_complete.timestamp()) for one in done if one.datetime_start]
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def _begin(study: Any, work: Work, dataset: Dataset, watch: Watch) -> None:
    """Queues the first trial: what the recipe would be without ranges, with the learning rate of a range test."""
    if study.get_trials(deepcopy=False) or not wanted(study, work):
        return
    values, space = dict(work.space.defaults()), work.space
    if RATE in space.ranges:
        one = space.ranges[RATE]
        ends = [float(end) for end in (one.choice or one.ends) if isinstance(end, float | int)]
        recipe = space.recipe({key: value for key, value in values.items() if key != RATE})
        watch.stage("learning rate", 0)
        rate = tested_rate(recipe, dataset, (min(ends), max(ends)), work.folder / "rate", TrialWatch(work))
        if rate is not None:
            watch.say(f"Range test: the loss falls fastest at a learning rate of {rate:.2g}.")
        method = METHODS.get(recipe.train.method)
        near = rate or values.get(RATE) or (method.rate if method is not None else 0.0)
        if near and (nearest := one.nearest(float(near))) is not None:
            values[RATE] = nearest
    if values:
        study.enqueue_trial(values, skip_if_exists=True)


# -- the trials --------------------------------------------------------------------------------------------------
class Teller:
    """A line and a step of the bar for every trial that is over."""

    def __init__(self, watch: Watch, total: int, study: Any) -> None:
        self.watch, self.study, self.known = watch, study, set[int]()
        self.total = total

    def begin(self) -> None:
        """The bar, with what is there already."""
        done = [one for one in placed(self.study.get_trials(deepcopy=False)) if one.state.is_finished()]
        self.known = {one.number for one in done}
        if done:
            self.watch.say(f"{len(done)} trials are there already.")
        self.watch.stage("trials", self.total)
        self.watch.tick(min(self.total, len(done)))

    def finished(self) -> None:
        """Tells of all that were finished since the last call."""
        trials = self.study.get_trials(deepcopy=False)
        for one in placed(trials):
            if one.state.is_finished() and one.number not in self.known:
                self.known.add(one.number)
                self.watch.tick(1)
                self.watch.say(_line(one, trials))


def _line(one: Any, trials: Sequence[Any]) -> str:
    values = ", ".join(f"{key.rpartition('.')[2]} {_short(value)}" for key, value in one.params.items())
    if error := error_of(one):
        return f"trial {one.number}: failed: {error}"
    best = max((other for other in trials if other.state.name == "COMPLETE"), key=_rank, default=None)
    so_far = "" if best is None else f", best {best.value:.4f} of trial {best.number}"
    score = f"{one.value:.4f}" if one.value is not None else "no score"
    cut = " (cut short)" if one.state.name == "PRUNED" else ""
    return f"trial {one.number}: {score}{cut} in {seconds_of(one):.0f} s{so_far}: {values}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rank(one: Any) -> tuple[float, int]:
    return float(one.value), -one.number


def _spread(work: Work, jobs: int, datasets: Sequence[Dataset], said: Teller) -> None:
    """Trials in this process, or in several, each with its share of the processor."""
    if jobs == 1:
        tries(work, datasets, lambda study, one: said.finished())
        return
    threads = max(1, (work.threads or os.cpu_count() or 1) // jobs)
    works = [replace(work, index=index, threads=threads, parent=os.getpid()) for index in range(jobs)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(_process, one) for one in works]
        try:
            left = set(futures)
            while left:
                ended, left = wait(left, timeout=POLL, return_when=FIRST_EXCEPTION)
                said.finished()
                for one in ended:
                    _heard(one.result())
        except BrokenProcessPool:
            raise RunError(
                "A process of the search died.", hint="fewer --jobs if memory ran out; the same command goes on"
            ) from None
        finally:
            for one in futures:
                one.cancel()


def _process(work: Work) -> tuple[str, str, float]:
    """A process of a search: how it ended, in plain values that travel from one process to another."""
    try:
        recipe = work.space.recipe({})
        dataset = read_dataset(recipe, recipe.data.path, Silent())
        tries(work, folds.folds(recipe, dataset, work.folds), lambda study, one: None)
    except Stop as stop:
        return "stop", stop.reason, stop.done
    except MetierError as error:
        return "error", str(error), 0.0
    except KeyboardInterrupt:  # the process that waits hears of it, too, and says so
        return "stop", "keyboard", 0.0
    return "done", "", 0.0


def _heard(ended: tuple[str, str, float]) -> None:
    kind, words, done = ended
    if kind == "error":
        raise RunError(words)
    if kind == "stop":
        raise Stop(words, done)


# -- after the trials --------------------------------------------------------------------------------------------
def _conclude(study: Any, space: Space, out: Path, count: int) -> Searched:
    """Best recipe, importances and page. Raises `RunError` where no trial came to its end."""
    trials = [one for one in placed(study.get_trials(deepcopy=False)) if one.state.is_finished()]
    whole = [one for one in trials if one.state.name == "COMPLETE"]
    if not whole:
        errors = [error for one in trials if (error := error_of(one))]
        raise RunError(f"No trial came to its end{': ' + errors[-1] if errors else '.'}")
    best = max(whole, key=_rank)
    recipe = space.recipe(best.params)
    recipe.seen_from(out).write(out / BEST)
    tried = [
        Tried(
            number=one.number,
            state={"COMPLETE": "whole", "PRUNED": "cut short"}.get(one.state.name, "failed"),
            score=one.value,
            seconds=seconds_of(one),
            values=dict(one.params),
            heads=dict(one.user_attrs.get(HEADS, {})),
        )
        for one in trials
    ]
    metric = recipe.train.metric if recipe.train.metric in recipe.heads else "headline"
    found = Searched(
        out.name, out / BEST, metric, count, tried, _importance(study, whole, recipe.seed), space.logarithmic()
    )
    render(found, out / PAGE)
    return found


def _importance(study: Any, whole: Sequence[Any], seed: int) -> dict[str, float]:
    """The share of the scores' variance that each parameter explains (fANOVA, Hutter et al. 2014).

    Empty where there are too few trials, or all have the same score.
    """
    if len(whole) < LEAST or len({one.value for one in whole}) < 2:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    varied = [key for key in whole[0].params if len({one.params.get(key) for one in whole}) > 1]
    if not varied:
        return {}
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), params=varied)
    return {str(key): float(value) for key, value in found.items()}
