"""`metier doctor` and `metier runs`: what there is, before and after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.cli.options import Json, Label, Seed, Text, app, print_json

if TYPE_CHECKING:
    pass


runs_app = typer.Typer(help="List runs, or compare two of them.", invoke_without_command=True)
app.add_typer(runs_app, name="runs")


@app.command()
def doctor(
    source: Annotated[str, typer.Argument(help="A file or a folder of labelled texts.")],
    label: Label = None,
    text: Text = None,
    mention: Annotated[
        list[str] | None,
        typer.Option(metavar="[HEAD=]COLUMN", help="The column with the name in the text that a row's label is about."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="The kind of task; guessed from the labels by default.")] = None,
    split: Annotated[str | None, typer.Option(help="The column that says train, valid or test.")] = None,
    backbone: Annotated[str, typer.Option(help="Whose tokenizer counts.")] = "minilm",
    max_length: Annotated[int, typer.Option(help="Tokens beyond which a text is cut.")] = 256,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with data, before any training."""
    from metier.pipeline.doctor import Roles, diagnose

    diagnosis = diagnose(
        source,
        label or [],
        tuple(text or ()),
        task=task,
        roles=Roles(split, mention or ()),
        backbone=backbone,
        max_length=max_length,
    )
    for line in diagnosis.lines():
        typer.echo(line, err=as_json)
    if as_json:
        print_json(diagnosis.to_json())


@runs_app.callback()
def runs(
    context: typer.Context,
    folder: Annotated[Path, typer.Option(help="Where the runs are.")] = Path("runs"),
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """List the runs of a folder, newest first."""
    context.obj = {"folder": folder, "seed": seed, "as_json": as_json}
    if context.invoked_subcommand is not None:
        return
    from metier.pipeline.runs import overview
    from metier.progress import show_runs

    found = overview(folder)
    show_runs(found, folder, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json({"runs": found})


@runs_app.command()
def compare(
    context: typer.Context,
    a: Annotated[Path, typer.Argument(help="A run.")],
    b: Annotated[Path, typer.Argument(help="Another run, tested on the same texts.")],
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Compare two runs by a paired bootstrap on the test texts that both answered."""
    from metier.pipeline.outcomes import compare as paired
    from metier.progress import show_comparison
    from metier.run import Run

    before = context.obj  # flags that stand before `compare` count as well
    seed, as_json = before["seed"] if seed is None else seed, as_json or before["as_json"]
    a, b = _in_folder(before["folder"], a), _in_folder(before["folder"], b)
    found = paired(Run.open(a), Run.open(b), seed=13 if seed is None else seed)
    show_comparison(found, a, b, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json({"a": str(a), "b": str(b), "heads": found})


def _in_folder(folder: Path, run: Path) -> Path:
    """A run by its path, or by its name in the folder of runs."""
    return folder / run if not run.exists() and (folder / run).is_dir() else run
