"""`metier evaluate`, `predict`, `serve`: what a run is for."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from metier.cli.options import Device, Json, RunPath, Seed, Text, Threads, app, print_json, progress
from metier.errors import RecipeError, nearest


@app.command()
def evaluate(
    run: RunPath,
    source: Annotated[str, typer.Argument(help="Labelled data with the columns that the run was fitted on.")],
    split: Annotated[
        str | None, typer.Option(help="Only these rows; by default test where the data names splits.")
    ] = None,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Measure a run on other labelled data, with confidence intervals."""
    from metier.model import Model
    from metier.progress import show_figures

    model = Model(run, device=device, threads=threads)
    heads = model.evaluate(source, split=split, seed=seed)
    show_figures(heads, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json({"heads": heads})


@app.command()
def predict(
    run: RunPath,
    source: Annotated[str, typer.Argument(help="The corpus: a file or a folder of texts.")],
    out: Annotated[Path, typer.Option(help="The scored file: .parquet, .csv or .jsonl.")] = Path("scored.parquet"),
    text: Text = None,
    mention: Annotated[
        list[str] | None, typer.Option(help="The column of what is asked about: names, lists of names, or places.")
    ] = None,
    threads: Threads = 0,
    device: Device = "auto",
    engine: Annotated[str, typer.Option(help="local, or ray: over the cluster that RAY_ADDRESS names.")] = "local",
    workers: Annotated[int, typer.Option(min=0, help="Processes that Ray loads the run in; 0: by its cores.")] = 0,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Score a corpus in constant memory; killed and called again, it goes on where it stopped."""
    from metier.model import Model
    from metier.pipeline.predict import Cluster, Scoring
    from metier.pipeline.predict import predict as score

    if engine not in ("local", "ray"):
        raise RecipeError(f"There is no engine {engine!r}.{nearest(engine, ('local', 'ray'))}", expected="local or ray")
    start, watch = time.perf_counter(), progress()
    model = Model(run, device=device, threads=threads)
    scoring = Scoring(source, out, tuple(text or ()), tuple(mention or ()))
    cluster = Cluster(run.absolute(), workers, threads, device) if engine == "ray" else None
    with watch:
        rows = score(model.runtime, model.recipe, model.describe()["version"], scoring, watch, cluster)
    seconds = time.perf_counter() - start
    typer.echo(f"{rows} rows in {seconds:.1f} s ({rows / seconds:.0f}/s): {out}", err=as_json)
    if as_json:
        print_json({"rows": rows, "out": str(out), "seconds": seconds})


@app.command()
def serve(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is the one that /v1/predict asks.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    api_key_file: Annotated[Path | None, typer.Option(help="A file of API keys, one a line.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow a public address without keys.")] = False,
    memory: Annotated[
        str | None, typer.Option(help="What the process may take (2GB): runs are loaded when asked, let go when idle.")
    ] = None,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Serve one run or many over HTTP, with a page to try them."""
    from metier.serve.server import serve as start_server
    from metier.serve.settings import Settings, memory_size

    limit = None if memory is None else memory_size(memory)
    settings = Settings(host=host, port=port, api_key_file=api_key_file, insecure=insecure, memory=limit)
    names = [str(run) for run in runs]

    def announce(address: str) -> None:
        if as_json:
            print_json({"run": names[0], "runs": names, "address": address})
        else:
            print(f"Serving {', '.join(names)} at {address} (Ctrl+C stops)", flush=True)

    start_server(runs, settings, announce, device=device, threads=threads)
