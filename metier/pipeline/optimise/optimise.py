"""A run to a smaller, faster one: step by step through the gate, measured anew, saved beside the old one."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metier import __version__
from metier import run as folder
from metier.data.source import Source
from metier.errors import MetierError, RecipeError, RunError
from metier.evaluate.findings import Findings
from metier.pipeline.judged import answered
from metier.pipeline.load import LABELS, TOKENIZER
from metier.pipeline.optimise import distil, shrink, static
from metier.pipeline.optimise.compile import compiled
from metier.pipeline.optimise.gate import Gate
from metier.pipeline.optimise.halve import halved
from metier.pipeline.optimise.material import material
from metier.pipeline.optimise.measured import findings, save
from metier.pipeline.optimise.recover import answers, recover
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.predict import engines
from metier.predict.runtime import Runtime
from metier.recipe import OptimisePart, Recipe
from metier.run import Run

MILDER = "take away less, recover longer, or allow more with --tolerance"

HALVES = ("fp16", "bf16")
"""Sixteen bits: no graph, but weights for torch on a GPU."""

Shrink = Callable[[Prepared], dict[str, Any]]


@dataclass
class Making:
    """A run that is being made smaller."""

    prepared: Prepared
    how: OptimisePart
    gate: Gate
    staged: Path
    watch: Watch

    @property
    def parts(self) -> shrink.Parts:
        """The heads and units that stay."""
        return shrink.Parts(1 - self.how.heads, 1 - self.how.units)

    def steps(self) -> Iterator[tuple[str, Shrink, bool]]:
        """What is taken away, in order: its name, what does it, and whether a short fit follows."""
        how, watch = self.how, self.watch
        if how.layers is not None and how.student == "none":
            layers = shrink.Layers(how.layers, how.drop)
            yield f"{how.layers} layers", lambda prepared: shrink.drop_layers(prepared, layers, watch), True
        if self.parts.fewer and how.student == "none":
            yield "heads and units", lambda prepared: shrink.drop_parts(prepared, self.parts, watch), True
        if how.vocabulary:
            words = shrink.Words((how.unlabelled,) if how.unlabelled else ())
            yield "vocabulary", lambda prepared: shrink.trim_words(prepared, words, watch), False

    def shrink(self) -> None:
        """Everything that is taken away, each step through the gate. Raises `RunError` where one costs too much."""
        if self.how.student == "layers":
            self._student()
        steps = list(self.steps())
        teacher = answers(self.prepared, self.watch) if self.how.recover and any(fit for _, _, fit in steps) else None
        for name, take, fit in steps:
            facts = take(self.prepared)
            if fit and self.how.recover:
                facts["recovered"] = recover(self.prepared, self.how.recover, self.watch, self.staged, teacher)
            self.gate.require(name, self.prepared.runtime, facts, MILDER)

    def _student(self) -> None:
        """A network of fewer layers, and thinner ones where that is asked for, in the run's place."""
        layers = self.how.layers or max(1, self.prepared.network.encoder.depth // 2)
        settings = distil.Distilling(layers=layers, copies=self.how.changed, parts=self.parts)
        self.prepared, facts = distil.distilled(
            self.prepared, settings, self.how.unlabelled or None, self.staged, self.watch
        )
        self.gate.require("student", self.prepared.runtime, facts, "more layers, more --unlabelled texts, --tolerance")

    def finish(self) -> Runtime:
        """What will answer, written into the new run's folder."""
        if self.how.student == "static":
            settings = static.Distilling(copies=self.how.changed)
            made = static.distilled(self.prepared, settings, self.how.unlabelled or None, self.staged, self.watch)
            self.prepared = made.prepared
            self.gate.require("static student", made.runtime, made.cost, "more --unlabelled texts, --tolerance")
            static.save_static(made.runtime, self.staged)
            return made.runtime
        if self.how.precision in HALVES:
            return halved(self.prepared, self.how.precision, self.gate, self.staged)
        return compiled(self.prepared, self.how, self.gate, self.staged, self.watch)


def optimise(
    run: str | Path,
    out: str | Path,
    asked: Mapping[str, Any],
    watch: Watch,
    *,
    data: Source | None = None,
    threads: int = 0,
    seed: int | None = None,
) -> Run:
    """Makes a smaller, faster run of a run, and hands it over only where it still does what that one did.

    Args:
        run: a fitted run; it stays as it is.
        out: the folder of the new one, whose manifest names the old one's version as its `parent`.
        asked: keys of the recipe's table `optimise`; what is not among them is as the run's own recipe has it.
        watch: hears of stages, steps and what each of them cost.
        data: where the run's data is now, if not where its recipe says.
        threads: of the processor; 0: all.
        seed: of the fits and of every choice of texts; the run's own by default.

    Raises:
        RunError: for a run that cannot be made smaller, a step that costs more than the tolerance, a network that no
            graph can hold, an engine that is not installed.
        RecipeError: for settings that exclude each other.
    """
    start, known, path = time.perf_counter(), Run.open(run), Path(out)
    how = Recipe.read(known.path / folder.RECIPE).but(optimise=dict(asked)).optimise
    _require(how, known, path)
    before = Findings.read(known.path / "evaluation.json")
    prepared = material(known, data, watch, device="cpu", threads=threads)
    prepared = replace(prepared, recipe=prepared.recipe.but(seed=seed))
    staged = folder.stage(path)
    with folder.claimed(staged):
        wish = {"of": known.version, "seed": prepared.recipe.seed, **how.model_dump(mode="json")}
        _begin(path, staged, json.dumps(wish, sort_keys=True))
        try:
            gate = Gate.of(prepared, how.tolerance, watch)
            making = Making(prepared, how, gate, staged, watch)
            making.shrink()
            runtime = making.finish()
            recipe = making.prepared.recipe.but(optimise=how.model_dump())
            recipe.write(staged / folder.RECIPE)
            seconds = time.perf_counter() - start
            logits = answered(making.prepared.tables, runtime, watch)
            found = findings(making.prepared, runtime, before, logits)
            sizes = [_bytes(known.path), _bytes(staged)]
            optimised = {
                "parent": known.version,
                "of": known.path.name,
                "steps": gate.steps,
                "bytes": sizes,
                "seconds": seconds,
                "tolerance": how.tolerance,
            }
            found = replace(
                found,
                name=path.name,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                recipe=(staged / folder.RECIPE).read_text(encoding="utf-8"),
                optimised=optimised,
            )
            save(making.prepared, runtime, found, logits, known, staged)
            # In this order: cut off in between, the same command still knows whose fit it is, and goes on.
            shutil.rmtree(staged / folder.CHECKPOINT, ignore_errors=True)
            (staged / folder.ASKED).unlink()
        except MetierError:
            shutil.rmtree(staged)
            raise
        except OSError as error:
            raise _full(staged, error) from error
        return folder.seal(path, {"metier": __version__, "data": known.manifest.get("data"), "parent": known.version})


def _begin(path: Path, staged: Path, asked: str) -> None:
    """Empties the new run's folder, but for what an equal wish that was cut off has left: students go on there."""
    marker = staged / folder.ASKED
    if marker.is_file() and marker.read_text(encoding="utf-8") == asked:
        return
    if marker.is_file():
        folder.empty(staged)
    else:
        folder.clear(path)
    try:
        folder.write_text(marker, asked)
    except OSError as error:
        raise _full(staged, error) from error


def _full(staged: Path, error: OSError) -> RunError:
    """What is said of a disk that takes no more. What was fitted by then stays; nothing else is worth its room."""
    hint = "free some disk space"
    if any((staged / folder.CHECKPOINT).rglob("*.safetensors")):
        hint += "; the same command goes on after the fit"
    else:
        shutil.rmtree(staged)
    return RunError(f"The run could not be saved in {staged}: {error.strerror or error}.", hint=hint)


def _require(how: OptimisePart, known: Run, path: Path) -> None:
    """Raises `RecipeError` or `RunError` for what cannot be done, before anything is read."""
    if path.resolve() == known.path.resolve():
        raise RunError(f"{path} would take the place of what it is made of.", hint="another --out")
    for name in how.engines:
        engines.known(name)
    graph = how.engines or how.mixed or how.smooth is not None or how.activations != "auto"
    if how.student == "static" and (how.heads or how.units or how.layers or graph or how.precision in HALVES):
        raise RecipeError(
            "A static student has no layers, heads or units, and no graph whose precision or engines could be chosen.",
            expected='student = "static" alone',
        )
    if how.precision in HALVES and (how.engines or how.smooth is not None or how.activations != "auto"):
        raise RecipeError(
            f"{how.precision} is for torch on a GPU: there is no graph.", expected="no engines, activations or smooth"
        )
    shrinks = how.layers or how.heads or how.units or how.vocabulary
    if how.student == "none" and shrinks and Recipe.read(known.path / folder.RECIPE).ensemble.members > 1:
        raise RunError(
            "Of an ensemble nothing can be taken away: its members share parts.", hint="--student layers, or static"
        )
    if how.mixed and how.precision != "int8":
        raise RecipeError("mixed keeps parts of a graph of eight bits in float.", expected='precision = "int8"')


def _bytes(path: Path) -> int:
    """What answers, on disk: everything in a run but its reports and records."""
    kept = (TOKENIZER, LABELS)
    return sum(
        file.stat().st_size for file in path.iterdir() if file.suffix in (".onnx", ".safetensors") or file.name in kept
    )
