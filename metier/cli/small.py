"""`metier optimise` and `bench`: a run to a smaller, faster one, and how fast a run is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from metier.cli.fit import assigned
from metier.cli.options import Json, RunPath, Seed, Threads, app, print_json, progress


@app.command()
def optimise(
    run: RunPath,
    out: Annotated[Path, typer.Option(help="The folder of the new run.")],
    student: Annotated[
        str | None, typer.Option(help="Fit a smaller network to what the run says: layers, or static (vectors alone).")
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Layers that are left.")] = None,
    heads: Annotated[float | None, typer.Option(help="The share of attention heads to take away.")] = None,
    units: Annotated[float | None, typer.Option(help="The share of feed-forward units to take away.")] = None,
    vocabulary: Annotated[bool, typer.Option("--vocabulary", help="Keep the tokens that the texts use.")] = False,
    engine: Annotated[
        list[str] | None, typer.Option(help="onnxruntime or openvino, both if repeated; by default what is installed.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="int8 or fp32.")] = None,
    mixed: Annotated[bool, typer.Option("--mixed", help="Keep what suffers from eight bits in float.")] = False,
    tolerance: Annotated[float | None, typer.Option(help="Points that a step may cost.")] = None,
    unlabelled: Annotated[str | None, typer.Option(help="Further texts for a student to learn from.")] = None,
    data: Annotated[str | None, typer.Option(help="Where the run's data is now.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key of the table optimise.")
    ] = None,
    threads: Threads = 0,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Make a smaller, faster run of a run, and refuse to hand it over if it got worse."""
    from metier.pipeline.optimise.optimise import optimise as make

    asked: dict[str, Any] = {
        "student": student, "layers": layers, "heads": heads, "units": units, "vocabulary": vocabulary or None,
        "engines": engine, "precision": precision, "mixed": mixed or None, "tolerance": tolerance,
        "unlabelled": unlabelled,
    }  # fmt: skip
    asked = {**{name: value for name, value in asked.items() if value is not None}, **assigned(settings or [])}
    with progress() as watch:
        made = make(run, out, asked, watch, data=data, threads=threads, seed=seed)
    optimised = made.json("evaluation.json")["optimised"]
    before, after = optimised["bytes"]
    typer.echo(f"{made.path}: {after / 1e6:.1f} MB of {before / 1e6:.1f} MB, made of {run}.", err=as_json)
    if as_json:
        print_json({"run": str(made.path), "version": made.version, **optimised})


@app.command()
def bench(
    run: RunPath,
    length: Annotated[list[int] | None, typer.Option(help="Tokens of a text; repeatable.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Texts a call; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="What each cell may take.")] = 1.0,
    page: Annotated[Path, typer.Option(help="Where the page with the pictures goes.")] = Path("bench.html"),
    threads: Threads = 0,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Measure how fast every runtime of a run is on this machine."""
    from metier.evaluate.bench_page import render, rows
    from metier.pipeline.bench import BATCHES, LENGTHS
    from metier.pipeline.bench import bench as measure
    from metier.progress import show_rows

    with progress() as watch:
        found = measure(
            run, watch, lengths=length or LENGTHS, batches=batch or BATCHES, seconds=seconds, threads=threads
        ).to_json()
    render(found, page)
    show_rows(rows(found), sys.stderr if as_json else sys.stdout)
    typer.echo(f"page    {page}", err=as_json)
    if as_json:
        print_json(found)
