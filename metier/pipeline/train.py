"""A recipe to a run, stage by stage."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import polars as pl

from metier import __version__, run
from metier.data import read
from metier.data.source import Source
from metier.errors import MetierError, RunError
from metier.evaluate.card import write as write_card
from metier.evaluate.findings import Findings
from metier.evaluate.report import render
from metier.models.machine import Machine, machine
from metier.models.table import Table
from metier.pipeline import weights
from metier.pipeline.assess import assess
from metier.pipeline.dataset import read_dataset
from metier.pipeline.ensemble import fit, require, require_single
from metier.pipeline.environment import environment
from metier.pipeline.fit import Fitted, estimate
from metier.pipeline.judged import answered
from metier.pipeline.outcomes import save_outcomes
from metier.pipeline.prepare import Prepared, prepare
from metier.pipeline.race import race, standing
from metier.pipeline.watch import Silent, Watch
from metier.predict.runtime import Logits
from metier.recipe import Recipe
from metier.run import Run
from metier.train import checkpoint
from metier.train.objective import require_steps
from metier.train.track import FILE as METRICS

EVALUATION, REPORT, CARD, ENVIRONMENT = "evaluation.json", "report.html", "card.md", "environment.json"


def train(recipe: Recipe, *, out: str | Path | None, source: Source | None, watch: Watch, resume: bool = False) -> Run:
    """Fits what a recipe describes and leaves a run folder.

    Args:
        recipe: the description.
        out: the folder of the run; by default a new one in `runs/`.
        source: the data where it is no file that `recipe.data.path` names.
        watch: hears of stages and steps.
        resume: go on from the checkpoint of `out`.

    Several processes (`torchrun`) share the fit. Only the first one writes and returns; the others end here.
    """
    start = time.perf_counter()
    require_steps(recipe)
    path = Path(out) if out is not None else fresh(recipe)
    settings = recipe.train
    if settings.method == "auto":
        race.require_one_process()
        require_single(recipe)
    found = machine(settings.device, settings.precision, settings.threads, shared=True)
    if found.rank:
        _take_part(recipe, path, source, found)
    staged = run.partial(path) if resume else run.stage(path)
    with run.claimed(staged), _swept(staged, resume):
        if not resume:
            run.clear(path)
            recipe = _placed(recipe)
            _note(recipe, source, staged)
        try:
            dataset = read_dataset(recipe, source if source is not None else recipe.data.path, watch)
            if settings.method == "auto":
                course = race.start(dataset.resolve(recipe), dataset, staged, time.perf_counter() - start, watch)
            else:
                prepared = prepare(dataset.resolve(recipe), dataset, found)
                require(prepared)
        except MetierError:
            if not resume:  # nothing was fitted that anyone could go on with
                shutil.rmtree(staged)
            raise
        if settings.method == "auto":
            course.run()
            prepared, fitted = standing.winner(course, staged)
            prepared.recipe.write(staged / run.RECIPE)
        else:
            prepared.recipe.write(staged / run.RECIPE)
            about = _duration(estimate(prepared))
            watch.say(f"About {about} on this machine ({found.device.type}, {found.precision}).")
            fitted = fit(prepared, staged, watch)
            found.leave()
        logits = answered(prepared.tables, prepared.runtime, watch)
        heads = assess(prepared, fitted, logits)
        fitted.cost["seconds"] = time.perf_counter() - start
        findings = _findings(path, prepared, fitted, heads, staged)
        if settings.method == "auto":
            findings = replace(findings, race=standing.standing(course))
        _save(prepared, findings, logits, staged)
        return run.seal(path, {"metier": __version__, "data": dataset.fingerprint, "parent": None})


@contextmanager
def _swept(staged: Path, resume: bool) -> Iterator[None]:
    """Inside, a mistake that ends a fit before there is anything to go on with takes the staged run with it."""
    try:
        yield
    except MetierError:
        if not resume and not any(item.is_file() for item in (staged / run.CHECKPOINT).rglob("*")):
            shutil.rmtree(staged, ignore_errors=True)
        raise


def _placed(recipe: Recipe) -> Recipe:
    """The recipe with places for `data.unlabelled` and the files of heads that hold wherever the fit goes on."""

    def placed(file: str) -> str:
        return str(Path(file).expanduser().absolute()) if file else file

    heads = {
        name: {**head.model_dump(), "path": head.path if head.path == recipe.data.path else placed(head.path)}
        for name, head in recipe.heads.items()
    }
    return recipe.but(data={"unlabelled": placed(recipe.data.unlabelled)}, heads=heads)


def _note(recipe: Recipe, source: Source | None, staged: Path) -> None:
    """Leaves what `resume` needs, so that even a run that is killed while its data is read can go on."""
    if source is not None:
        sink = io.BytesIO()
        pl.concat(read.frames(source), how="vertical_relaxed").write_parquet(sink)
        run.write_bytes(staged / TABLE, sink.getvalue())
    run.write_text(staged / FOLDER, str(Path.cwd()))
    recipe.write(staged / run.RECIPE)


def _take_part(recipe: Recipe, path: Path, source: Source | None, found: Machine) -> NoReturn:
    """What every process but the first does: its share of the fit, with files of its own that nobody keeps."""
    with TemporaryDirectory(prefix="metier-") as folder:
        own, others = Path(folder) / run.CHECKPOINT, run.partial(path) / run.CHECKPOINT
        own.mkdir()
        (own / checkpoint.FILE).symlink_to((others / checkpoint.FILE).absolute())
        dataset = read_dataset(recipe, source if source is not None else recipe.data.path, Silent())
        fit(prepare(dataset.resolve(recipe), dataset, found), Path(folder), Silent())
    found.leave()
    raise SystemExit(0)


def resume(path: str | Path, watch: Watch) -> Run:
    """Goes on with a fit that was cut off. Raises `RunError` where there is nothing to go on with."""
    path = Path(path)
    path = path.with_name(path.name.removesuffix(".partial"))
    staged = run.partial(path)
    if not (staged / run.RECIPE).is_file():
        known = (
            f"{path} is a whole run already."
            if (path / run.MANIFEST).is_file()
            else f"There is no unfinished run {path}."
        )
        raise RunError(known, expected="a run whose training was cut off", hint="metier runs lists what there is")
    recipe = Recipe.read(staged / run.RECIPE)
    table, folder = staged / TABLE, staged / FOLDER
    source: Source | None = pl.read_parquet(table) if table.is_file() else None
    if source is None and folder.is_file():
        source = Path(folder.read_text(encoding="utf-8")) / recipe.data.path
    return train(recipe, out=path, source=source, watch=watch, resume=True)


TABLE, FOLDER = "data.parquet", "folder.txt"
"""What only a resumed fit needs: the rows of a table that has no file, and what the recipe's path is relative to."""


def fresh(recipe: Recipe) -> Path:
    """`runs/NAME-DATE`, a name that is free."""
    paths = [recipe.data.path, *(head.path for head in recipe.heads.values())]
    stem = Path(next(filter(None, paths), "")).name.split(".")[0] or "table"
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path, number = Path("runs") / f"{stem}-{stamp}", 2
    while path.exists() or run.partial(path).exists():
        path, number = Path("runs") / f"{stem}-{stamp}-{number}", number + 1
    return path


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _findings(path: Path, prepared: Prepared, fitted: Fitted, heads: dict[str, Any], staged: Path) -> Findings:
    """All that the report shows."""
    recipe, cost = prepared.recipe, fitted.cost
    metrics = staged / METRICS  # none where nothing was fitted step by step and nothing validates
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
    return Findings(
        name=path.name,
        heads=heads,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metier=__version__,
        method=recipe.train.method,
        data={**prepared.dataset.summary, "truncated": _share_truncated(prepared)},
        curve=[json.loads(line) for line in lines],
        costs=cost,
        recipe=(staged / run.RECIPE).read_text(encoding="utf-8"),
        environment=environment(prepared.machine),
        backbone={
            "name": prepared.backbone.name,
            "licence": prepared.backbone.licence,
            "sha256": prepared.backbone.sha256,
            "parameters": cost["parameters"],
        },
    )


def _share_truncated(prepared: Prepared) -> float:
    tables: list[Table] = list(prepared.tables.values())
    return sum(table.rows.truncated for table in tables) / max(1, sum(len(table.documents) for table in tables))


def _save(prepared: Prepared, findings: Findings, logits: Mapping[str, Logits], staged: Path) -> None:
    """Every file of the run but the manifest."""
    try:
        weights.save_runtime(prepared.runtime, staged)
        run.write_text(staged / ENVIRONMENT, json.dumps(findings.environment, indent=1))
        findings.write(staged / EVALUATION)
        save_outcomes(prepared, staged, prepared.runtime, logits)
        render(findings, staged / REPORT)
        write_card(findings, staged / CARD)
        for rest in (TABLE, FOLDER):
            (staged / rest).unlink(missing_ok=True)
    except MetierError:
        raise
    except OSError as error:
        raise RunError(
            f"The run could not be saved in {staged}: {error.strerror}.", hint="free some disk space"
        ) from error
