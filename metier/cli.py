"""The command line: parse, one call, print."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from metier.errors import MetierError, MissingExtra, RecipeError

if TYPE_CHECKING:
    from metier.progress import Progress
    from metier.recipe import Recipe

EXTRAS = {"torch": "train", "transformers": "train", "accelerate": "train", "huggingface_hub": "train"}
"""What the base install lacks, and the extra that brings it."""
app = typer.Typer(
    name="metier",
    help="Adapts a pretrained language model to a trade and runs it there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
runs_app = typer.Typer(help="List runs, or compare two of them.", invoke_without_command=True)
app.add_typer(runs_app, name="runs")

Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The seed of everything that is random.")]
Text = Annotated[list[str] | None, typer.Option("--text", help="The text column; twice for a pair of texts.")]
Label = Annotated[list[str] | None, typer.Option("--label", help="A column to learn; repeat for several heads.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder.")]
Threads = Annotated[int, typer.Option(min=0, help="Processor threads; 0: all.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


@app.command()
def train(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Argument(help="A recipe (.toml), a file or a folder of labelled texts.")
    ] = None,
    label: Label = None,
    text: Text = None,
    task: Annotated[str | None, typer.Option(help="The kind of task; guessed from the labels by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; by default a new one in runs/.")] = None,
    method: Annotated[str | None, typer.Option(help="probe, head, freeze or full.")] = None,
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
    wandb: Annotated[bool, typer.Option("--wandb", help="Track with Weights & Biases, too.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Fit with this many seeds: mean and standard deviation.")] = 1,
    resume: Annotated[Path | None, typer.Option(help="Go on with this unfinished run.")] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Fit a model on labelled texts and measure it."""
    from metier.pipeline import train as pipeline
    from metier.pipeline.seeds import summarise, train_seeds

    start, watch = time.perf_counter(), _progress()
    if resume is not None:
        _refuse_beside_resume(context)
        with watch:
            run = pipeline.resume(resume, watch)
        _finish_train(run.path, start, as_json)
        return
    if source is None:
        raise RecipeError("Nothing to train on was named.", expected="a recipe or labelled data, or --resume RUN")
    settings = {
        "method": method, "epochs": epochs, "backbone": backbone, "split": split, "group": group, "time": by_time,
        "learning_rate": learning_rate, "batch_size": batch_size, "max_length": max_length, "threads": threads,
        "device": device, "wandb": wandb or None, "seed": seed,
    }  # fmt: skip
    recipe = _recipe(source, label or [], tuple(text or ()), task, settings)
    with watch:
        if seeds == 1:
            path = pipeline.train(recipe, out=out, source=None, watch=watch).path
        else:
            paths = train_seeds(recipe, seeds, out=out, watch=watch)
    if seeds == 1:
        _finish_train(path, start, as_json)
    else:
        _finish_seeds(summarise(paths), start, as_json)


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
    from metier.progress import show_findings

    findings = Findings.read(path / "evaluation.json")
    show_findings(findings, path, sys.stderr if as_json else sys.stdout)
    if as_json:
        heads = {
            name: _both_splits({"task": head.task, "valid": head.valid, "test": head.test})
            for name, head in findings.heads.items()
        }
        _print_json({"run": str(path), "heads": heads, "seconds": time.perf_counter() - start})
    _warn_untested([name for name, head in findings.heads.items() if not head.test])


def _finish_seeds(summary: dict[str, Any], start: float, as_json: bool) -> None:
    from metier.progress import show_seeds

    heads = {name: _both_splits(head) for name, head in summary["heads"].items()}
    seeds = [
        {**one, "heads": {name: _both_splits(head) for name, head in one["heads"].items()}} for one in summary["seeds"]
    ]
    show_seeds({**summary, "heads": heads}, sys.stderr if as_json else sys.stdout)
    if as_json:
        _print_json({**summary, "heads": heads, "seeds": seeds, "seconds": time.perf_counter() - start})
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
        _print_json({"heads": heads})


@app.command()
def predict(
    run: RunPath,
    source: Annotated[str, typer.Argument(help="The corpus: a file or a folder of texts.")],
    out: Annotated[Path, typer.Option(help="The scored file: .parquet, .csv or .jsonl.")] = Path("scored.parquet"),
    text: Text = None,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Score a corpus in constant memory; killed and called again, it goes on where it stopped."""
    from metier.model import Model
    from metier.pipeline.predict import predict as score

    start, watch = time.perf_counter(), _progress()
    model = Model(run, device=device, threads=threads)
    with watch:
        rows = score(model.runtime, model.recipe, model.describe()["version"], source, out, tuple(text or ()), watch)
    seconds = time.perf_counter() - start
    typer.echo(f"{rows} rows in {seconds:.1f} s ({rows / seconds:.0f}/s): {out}", err=as_json)
    if as_json:
        _print_json({"rows": rows, "out": str(out), "seconds": seconds})


@app.command()
def doctor(
    source: Annotated[str, typer.Argument(help="A file or a folder of labelled texts.")],
    label: Label = None,
    text: Text = None,
    task: Annotated[str | None, typer.Option(help="The kind of task; guessed from the labels by default.")] = None,
    split: Annotated[str | None, typer.Option(help="The column that says train, valid or test.")] = None,
    backbone: Annotated[str, typer.Option(help="Whose tokenizer counts.")] = "minilm",
    max_length: Annotated[int, typer.Option(help="Tokens beyond which a text is cut.")] = 256,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with data, before any training."""
    from metier.pipeline.doctor import diagnose

    diagnosis = diagnose(
        source,
        label or [],
        tuple(text or ()),
        task=task,
        split=split,
        backbone=backbone,
        max_length=max_length,
    )
    for line in diagnosis.lines():
        typer.echo(line, err=as_json)
    if as_json:
        _print_json(diagnosis.to_json())


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
        _print_json({"runs": found})


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
        _print_json({"a": str(a), "b": str(b), "heads": found})


def _in_folder(folder: Path, run: Path) -> Path:
    """A run by its path, or by its name in the folder of runs."""
    return folder / run if not run.exists() and (folder / run).is_dir() else run


@app.command()
def serve(
    run: RunPath,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    api_key_file: Annotated[Path | None, typer.Option(help="A file of API keys, one a line.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow a public address without keys.")] = False,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Serve a run over HTTP, with a page to try it."""
    from metier.model import Model
    from metier.serve.server import serve as start_server
    from metier.serve.settings import Settings

    settings = Settings(host=host, port=port, api_key_file=api_key_file, insecure=insecure)

    def announce(address: str) -> None:
        if as_json:
            _print_json({"run": str(run), "address": address})
        else:
            print(f"Serving {run} at {address} (Ctrl+C stops)", flush=True)

    start_server(Model(run, device=device, threads=threads), settings, announce)


def _progress() -> Progress:
    from metier.progress import Progress

    return Progress(sys.stderr if os.environ.get("RANK", "0") == "0" else io.StringIO())


def _print_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False, allow_nan=False), flush=True)


UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for unknown commands, flags and values; it has no public name of its own."""
FULL = (errno.ENOSPC, errno.EDQUOT)
UNUSABLE = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV, errno.EBUSY,
)  # fmt: skip
"""What a path that the user named may be at fault for."""


def main() -> None:
    """Runs the command. Exit code 2 on a user's mistake, 1 on a fault of ours."""
    try:
        if code := app(prog_name="metier", standalone_mode=False):  # typer makes one of the keyboard's interrupt
            _stop("stopped", code)
    except MetierError as error:
        _stop(str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        _stop(str(MissingExtra(error.name, EXTRAS[error.name])))
    except UsageError as error:
        _stop(error.format_message())  # type: ignore[attr-defined]
    except OSError as error:
        if not (message := _about_a_file(error)):
            raise
        _stop(message)
    except (KeyboardInterrupt, typer.Abort):
        _stop("stopped", 130)


def _about_a_file(error: OSError) -> str:
    """What to say of a path that its user can mend; the empty string for every other error."""
    # pyarrow has no `filename`, but names the file in its words
    named = re.search(r"local file '([^']+)'", str(error))
    file = error.filename2 or error.filename or (named and named[1])
    if error.errno in FULL:
        return f"{file or 'A file'} could not be written: {error.strerror}. Try: free some disk space."
    if error.errno in UNUSABLE and file:
        return f"{file} cannot be read or written: {os.strerror(error.errno)}. Try: another path."
    return ""


def _stop(message: str, code: int = 2) -> NoReturn:
    if message:  # without a command the help was shown
        print(f"metier: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
