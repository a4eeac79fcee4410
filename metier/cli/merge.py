"""`metier merge`: an adapter run to a whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.cli.options import Json, RunPath, Seed, app, print_json


@app.command()
def merge(
    run: RunPath,
    out: Annotated[Path, typer.Option(help="The folder of the new run.")],
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Fold a LoRA or AdaLoRA run into its backbone: a whole run that answers the same."""
    from metier.pipeline.merge import merge as fold

    made = fold(run, out)
    typer.echo(f"{made.path}: a whole run, made from version {made.manifest['parent']} of {run}.", err=as_json)
    if as_json:
        print_json({"run": str(made.path), "parent": made.manifest["parent"], "version": made.version})
