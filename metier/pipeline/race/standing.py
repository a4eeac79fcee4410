"""The end of a race: the winner as a run like any other, and what everything else came to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from metier import run
from metier.evaluate.learning_curve import Point, forecast
from metier.models.machine import seeded
from metier.pipeline.descend import put_beside
from metier.pipeline.fit import Fitted, look
from metier.pipeline.prepare import Prepared, prepare, table_of
from metier.pipeline.race.log import Result
from metier.pipeline.race.measure import Bench
from metier.pipeline.race.race import Race
from metier.pipeline.race.rungs import Rung
from metier.predict.runtime import Logits
from metier.recipe import Recipe
from metier.train.track import FILE as METRICS

TIMES = (2.0, 4.0)
"""How many times as many labels the outlook is about."""
DRAWN = (1.0, 1.19, 1.41, 1.68, 2.0, 2.38, 2.83, 3.36, 4.0)


def winner(race: Race, staged: Path) -> tuple[Prepared, Fitted]:
    """The network that won, ready to be judged on the test split and saved; its records become those of the run."""
    bench, leader = race.bench, race.leader
    assert leader is not None
    run.write_text(staged / METRICS, bench.log.records(leader.name))
    recipe = _final(leader, bench)
    trial = bench.wholes.get(leader.name)
    if trial is None:
        return _restored(recipe, leader, bench)
    prepared, fitted = trial.prepared, trial.fitted
    prepared = replace(prepared, recipe=recipe, dataset=bench.dataset)
    prepared.tables["test"] = table_of(bench.dataset, "test", prepared.runtime)
    if leader.method != "probe":
        fitted.probe = _probe(bench)
    return prepared, fitted


def _final(leader: Rung, bench: Bench) -> Recipe:
    """The winner's recipe, as its user would have written it."""
    epochs = bench.log.results[leader.name, 1.0].epochs
    return leader.recipe(bench.recipe).but(train={"epochs": epochs})


def _restored(recipe: Recipe, leader: Rung, bench: Bench) -> tuple[Prepared, Fitted]:
    """What an earlier process fitted. The probe is solved again: it costs little, and the report is about it too."""
    prepared = prepare(recipe, bench.dataset)
    fitted = look(prepared, bench.guard)
    with seeded(recipe.seed):
        put_beside(prepared)
    bench.log.load_weights(leader.name, prepared.network)
    fitted.cost = {
        "seconds": bench.log.results[leader.name, 1.0].seconds,
        "parameters": sum(weight.numel() for weight in prepared.network.parameters()),
    }
    return prepared, fitted


def _probe(bench: Bench) -> dict[str, Logits]:
    """What the probe says of valid and test, to be compared with the winner."""
    trial = bench.wholes.get("probe")
    if trial is None:
        return look(prepare(bench.rungs["probe"].recipe(bench.recipe), bench.dataset), bench.guard).probe
    runtime = trial.prepared.runtime
    return {"valid": trial.logits, "test": runtime.logits(table_of(bench.dataset, "test", runtime))}


def standing(race: Race) -> dict[str, Any]:
    """The table of a race and its learning curves, as JSON values."""
    bench, leader = race.bench, race.leader
    assert leader is not None
    tasks = list(bench.prepared.heads.values())
    return {
        "budget": bench.clock.budget,
        "spent": bench.clock.spent,
        "margin": bench.recipe.race.margin,
        "metric": tasks[0].headline_name if len(tasks) == 1 else "mean of the heads",
        "winner": leader.name,
        "rows": {split: len(bench.dataset.examples[split]) for split in ("train", "valid")},
        "rungs": [_line(race, rung) for rung in race.rungs],
        "curves": {rung.name: [_point(point) for point in race.points(rung)] for rung in race.rungs if rung.network},
        "outlook": _outlook(race, leader, DRAWN),
        "more_labels": [
            {"times": times, **line} for times, line in zip(TIMES, _outlook(race, leader, TIMES), strict=False)
        ],
    }


def _line(race: Race, rung: Rung) -> dict[str, Any]:
    """One rung: its figures on the largest share that it was fitted on, and its fate."""
    log = race.bench.log
    found = [item for (name, _), item in log.results.items() if name == rung.name and item.rows]
    fate, reason = race.fates.get(rung.name, ("", {}))
    line: dict[str, Any] = {"name": rung.name, "method": rung.method, "fate": fate, "reason": dict(reason)}
    if not found:
        return line
    best: Result = max(found, key=lambda item: item.share)
    sheet = log.sheets[rung.name, best.share]
    whole = best.share == 1.0
    low, high = sheet.interval(valid=whole, level=race.bench.recipe.evaluate.level)
    return {
        **line,
        "share": best.share,
        "rows": best.rows,
        "score": sheet.score(valid=whole),
        "interval": [low, high],
        "seconds": best.seconds / best.draws,
        "spent": sum(item.seconds for item in found),
        "rate": best.rate or None,
        "size": best.size or None,
        "epochs": best.epochs,
        "short": best.short,
    }


def _point(point: Point) -> dict[str, float]:
    return {"rows": point.rows, "score": point.score, "deviation": point.deviation}


def _outlook(race: Race, leader: Rung, times: tuple[float, ...]) -> list[dict[str, float]]:
    """Where the winner's curve goes with so many times the labels; empty where one point is all that is known.

    Empty, too, for a winner that learns from no label.
    """
    points = race.points(leader)
    if len(points) < 2 or not leader.learns:
        return []
    rows = race.bench.cuts[1.0][0].rows
    level, seed = race.bench.recipe.evaluate.level, race.bench.recipe.seed
    found = forecast(points, [rows * factor for factor in times], level=level, seed=seed)
    return [{"rows": one.rows, "score": one.score, "low": one.low, "high": one.high} for one in found]
