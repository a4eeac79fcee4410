"""`metier train`: a recipe or flags to a run."""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metier.cli.options import Json, Label, Seed, Text, app, print_json, progress
from metier.errors import RecipeError

if TYPE_CHECKING:
    from metier.recipe import Recipe


@app.command()
def train(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Argument(help="A recipe (.toml), a file or a folder of labelled texts.")
    ] = None,
    label: Label = None,
    text: Text = None,
    mention: Annotated[
        list[str] | None,
        typer.Option(metavar="[HEAD=]COLUMN", help="The column with the name in the text that a row's label is about."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="The kind of task; guessed from the labels by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; by default a new one in runs/.")] = None,
    method: Annotated[str | None, typer.Option(help="How to fit: full by default; auto finds out.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training texts.")] = None,
    backbone: Annotated[str | None, typer.Option(help="minilm, a local folder or a Hugging Face id.")] = None,
    split: Annotated[str | None, typer.Option(help="The column that says train, valid or test.")] = None,
    group: Annotated[str | None, typer.Option(help="Rows with the same value here stay in one split.")] = None,
    by_time: Annotated[
        str | None, typer.Option("--time", help="Split by this column: the newest rows are the test.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The encoder's peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts a batch at most.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens a window at most.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads; 0: all.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe: adapter.rank=16.")
    ] = None,
    unlabelled: Annotated[
        str | None, typer.Option(metavar="FILE", help="Further texts without labels, to learn from as well.")
    ] = None,
    from_interactions: Annotated[
        str | None, typer.Option(metavar="STORE", help="A store of an application: learn from what people corrected.")
    ] = None,
    ensemble: Annotated[int | None, typer.Option(min=1, help="Fit so many models that answer together.")] = None,
    wandb: Annotated[bool, typer.Option("--wandb", help="Track with Weights & Biases, too.")] = False,
    budget: Annotated[str | None, typer.Option(help="Of --method auto: 90s, 10m or 1h; 10m by default.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="Of --method auto: points that a dearer method must gain; 0.5 by default.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fit with this many seeds: mean and standard deviation.")] = 1,
    resume: Annotated[Path | None, typer.Option(help="Go on with this unfinished run.")] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Fit a model on labelled texts and measure it."""
    from metier.pipeline import train as pipeline
    from metier.pipeline.seeds import summarise, train_seeds

    start, watch = time.perf_counter(), progress()
    if resume is not None:
        _refuse_beside_resume(context)
        with watch:
            run = pipeline.resume(resume, watch)
        _finish_train(run.path, start, as_json)
        return
    if source is None:
        raise RecipeError("Nothing to train on was named.", expected="a recipe or labelled data, or --resume RUN")
    settings = {
        "mention": mention or None, "method": method, "epochs": epochs,
        "backbone": backbone, "split": split, "group": group, "time": by_time,
        "learning_rate": learning_rate, "batch_size": batch_size, "max_length": max_length, "threads": threads,
        "device": device, "wandb": wandb or None, "seed": seed, "unlabelled": unlabelled,
        "interactions": from_interactions,
        "members": ensemble, "race.budget": budget, "race.margin": margin, **assigned(set_ or []),
    }  # fmt: skip
    recipe = _recipe(source, label or [], tuple(text or ()), task, settings)
    if recipe.train.method != "auto" and (budget is not None or margin is not None):
        raise RecipeError("--budget and --margin bound a race.", expected="--method auto beside them")
    with watch:
        if seeds == 1:
            path = pipeline.train(recipe, out=out, source=None, watch=watch).path
        else:
            paths = train_seeds(recipe, seeds, out=out, watch=watch)
    if seeds == 1:
        _finish_train(path, start, as_json)
    else:
        _finish_seeds(summarise(paths), start, as_json)


def assigned(pairs: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` as settings; values as TOML writes them, or plain words."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise RecipeError(f"--set {pair!r} sets nothing.", expected="--set KEY=VALUE")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value
    return found


def _refuse_beside_resume(context: typer.Context) -> None:
    """Raises `RecipeError` for whatever was said beside `--resume`: the run's own recipe has the last word."""
    said = [
        parameter.opts[0] if parameter.param_type_name == "option" else str(context.params[parameter.name])
        for parameter in context.command.params
        if parameter.name not in ("resume", "as_json")
        and (where := context.get_parameter_source(parameter.name)) is not None
        and where.name == "COMMANDLINE"
    ]
    if said:
        raise RecipeError(
            f"--resume goes on with what the unfinished run says and takes no other option (found {', '.join(said)}).",
            expected="--resume RUN alone, or with --json",
        )


def _recipe(source: str, label: list[str], text: tuple[str, ...], task: str | None, settings: dict[str, Any]) -> Recipe:
    """The recipe in a file with the flags on top, or the one that the flags alone describe."""
    from metier.pipeline.recipes import override, recipe_of
    from metier.recipe import Recipe

    if source.endswith(".toml"):
        return override(Recipe.read(source), label=label, text=text, task=task, settings=settings)
    return recipe_of(source, label=label, text=text, task=task, settings=settings)[0]


def _finish_train(path: Path, start: float, as_json: bool) -> None:
    from metier.evaluate.findings import Findings
    from metier.progress import show_findings, show_race

    findings = Findings.read(path / "evaluation.json")
    if findings.race:
        show_race(findings.race, sys.stderr if as_json else sys.stdout)
    show_findings(findings, path, sys.stderr if as_json else sys.stdout)
    if as_json:
        heads = {
            name: _both_splits({"task": head.task, "valid": head.valid, "test": head.test})
            for name, head in findings.heads.items()
        }
        race = {"race": findings.race} if findings.race else {}
        print_json({"run": str(path), "heads": heads, **race, "seconds": time.perf_counter() - start})
    _warn_untested([name for name, head in findings.heads.items() if not head.test])


def _finish_seeds(summary: dict[str, Any], start: float, as_json: bool) -> None:
    from metier.progress import show_seeds

    heads = {name: _both_splits(head) for name, head in summary["heads"].items()}
    seeds = [
        {**one, "heads": {name: _both_splits(head) for name, head in one["heads"].items()}} for one in summary["seeds"]
    ]
    show_seeds({**summary, "heads": heads}, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json({**summary, "heads": heads, "seeds": seeds, "seconds": time.perf_counter() - start})
    _warn_untested([name for name, head in heads.items() if head["test"]["headline"] is None])


def _both_splits(head: Mapping[str, Any]) -> dict[str, Any]:
    """A head's figures in which `valid` and `test` always have a headline, `None` where nothing was measured."""
    return {**head, **{split: head.get(split) or {"headline": None} for split in ("valid", "test")}}


def _warn_untested(heads: list[str]) -> None:
    if heads:
        typer.echo(
            f"Nothing was measured on a test split for {', '.join(heads)}: no labelled row is in one. "
            "The data may have too few rows, or its own split may name no test rows.",
            err=True,
        )
