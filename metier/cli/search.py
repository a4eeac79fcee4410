"""`metier search`: a recipe with ranges to the best recipe in them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metier.cli.options import Json, app, print_json, progress, seconds_of
from metier.errors import RecipeError

if TYPE_CHECKING:
    from metier.evaluate.search_page import Searched


@app.command()
def search(
    source: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe (.toml) with ranges in it.")],
    trials: Annotated[int, typer.Option(min=1, help="Recipes to try in all.")] = 40,
    budget: Annotated[str | None, typer.Option(help="Time for the trials: 90s, 30m, 2h.")] = None,
    folds: Annotated[
        int | None, typer.Option(min=1, help="Judge by so many folds; by default 5 under 500 training texts, else 1.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that try recipes at the same time.")] = 1,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql://... to share the search with other machines.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the search; by default searches/RECIPE.")] = None,
    no_fit: Annotated[bool, typer.Option("--no-fit", help="Leave the best recipe unfitted.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="The seed of everything that is random.")] = None,
    as_json: Json = False,
) -> None:
    """Try the values that a recipe marks as ranges, and fit the best."""
    from metier.pipeline.search.ranges import Space
    from metier.pipeline.search.search import Plan, fit_best
    from metier.pipeline.search.search import search as pipeline
    from metier.progress import show_findings, show_search

    start, watch = time.perf_counter(), progress()
    if source.suffix != ".toml":
        raise RecipeError(f"{source} is no recipe.", expected="a .toml file in which values are marked as ranges")
    space = Space.read(source, seed=seed)
    plan = Plan(trials, seconds_of(budget) if budget else None, folds, jobs, storage or "")
    where = out if out is not None else Path("searches") / source.stem
    with watch:
        found = pipeline(space, plan, out=where, watch=watch)
        run = None if no_fit else fit_best(found, out=where, watch=watch)
    stream = sys.stderr if as_json else sys.stdout
    show_search(found, stream)
    findings = None
    if run is not None:
        from metier.evaluate.findings import Findings

        findings = Findings.read(run / "evaluation.json")
        show_findings(findings, run, stream)
    if as_json:
        nothing = {"headline": None}
        heads = {
            name: {"task": head.task, "valid": head.valid or nothing, "test": head.test or nothing}
            for name, head in (findings.heads.items() if findings else ())
        }
        print_json(_answer(found, where, run, heads) | {"seconds": time.perf_counter() - start})


def _answer(found: Searched, out: Path, run: Path | None, heads: dict[str, Any]) -> dict[str, Any]:
    best = found.best
    return {
        "search": str(out),
        "recipe": str(found.recipe),
        "best": {"trial": best.number, "score": best.score, "heads": dict(best.heads), "values": dict(best.values)},
        "trials": [
            {
                "trial": one.number,
                "state": one.state,
                "score": one.score,
                "seconds": one.seconds,
                "values": dict(one.values),
            }
            for one in found.tried
        ],
        "importance": dict(found.importance),
        "folds": found.folds,
        "run": None if run is None else str(run),
        "heads": heads,
    }
