"""A run's network as a graph that needs no torch, in eight bits where that costs nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metier import run
from metier.data.batches import by_length
from metier.errors import RunError
from metier.models.table import Arrays, Table
from metier.optimise.export import export
from metier.optimise.quantise import harm, quantise
from metier.pipeline.load import RUNTIMES
from metier.pipeline.optimise.gate import Gate, logits_apart
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.predict.compiled import Compiled
from metier.predict.engines import ENGINES, OnnxRuntime
from metier.predict.runtime import Runtime
from metier.recipe import OptimisePart
from metier.types import Document

GRAPH = "model.onnx"
TEXTS = 256
"""Training texts for calibration, and held-out ones that a way of quantising is judged on."""
BATCH = 1024
"""Tokens of a batch of them."""
ALIKE = 1e-2
"""How far the logits of a graph in float may be from the network's, in deviations."""
WAYS = ((False, False), (True, False), (False, True), (True, True))
"""Static or not, smoothed or not, in the order of what they cost at prediction."""


@dataclass
class Compiler:
    """What is needed to make graphs of one network and to judge them.

    Args:
        prepared: the run, float32.
        how: what was asked.
        gate: that the result must pass.
        staged: where the new run is made.
        watch: hears of it.
    """

    prepared: Prepared
    how: OptimisePart
    gate: Gate
    staged: Path
    watch: Watch

    def __post_init__(self) -> None:
        seed, runtime = self.prepared.recipe.seed, self.prepared.runtime
        self.texts = batches(_some(self.prepared.tables["train"].documents, runtime, seed))
        self.held = _some([example.document for example in self.gate.examples], runtime, seed)
        self.wanted = self.prepared.runtime.logits(self.held)
        self.floating = self.staged / "float.onnx"

    def runtime(self, file: Path) -> Compiled:
        """A graph as a runtime, for judging it: by ONNX Runtime, which is always there."""
        prepared, threads = self.prepared, self.prepared.machine.threads
        few, many = OnnxRuntime(file, threads, 1), OnnxRuntime(file, 1, threads)
        before = prepared.runtime
        return Compiled(before.tasks, before.tokeniser, before.floors, few, many, BATCH)

    def wrong(self, file: Path) -> float:
        """The mean distance of a graph's logits from the network's."""
        return logits_apart(self.wanted, self.runtime(file).logits(self.held))

    def floats(self) -> None:
        """Writes the graph in float32. Raises `RunError` where it does not say what the network says."""
        table = self.prepared.tables["train"]
        lengths = table.rows.lengths
        shortest, longest = int(np.argmin(lengths)), int(np.argmax(lengths))
        export(self.prepared.runtime.network, table.arrays(np.array([longest, shortest])), self.floating)
        if not (apart := self.wrong(self.floating)) <= ALIKE:
            raise RunError(
                f"The graph of this network says something else than the network: its logits are {apart:.3f} "
                "deviations off.",
                hint="serve the run as it is",
            )

    def way(self) -> tuple[bool, bool]:
        """Static or not, smoothed or not: as asked, else what comes nearest to the network on held-out texts."""
        static = {"static": (True,), "dynamic": (False,), "auto": (False, True)}[self.how.activations]
        smooth = (False, True) if self.how.smooth is None else (self.how.smooth,)
        ways = [way for way in WAYS if way[0] in static and way[1] in smooth]
        if len(ways) == 1:
            return ways[0]
        self.watch.stage("quantise", len(ways))
        tried, found = self.staged / "tried.onnx", {}
        for way in ways:
            quantise(self.floating, tried, self.texts, static=way[0], smooth=way[1])
            found[way] = self.wrong(tried)
            self.watch.tick(1)
        tried.unlink()
        return min(ways, key=lambda way: found[way])

    def bytes(self, target: Path) -> dict[str, Any]:
        """Writes the graph in eight bits, through the gate; facts for the report.

        Raises `RunError` where it costs too much, with the parts that hurt; with `mixed` they stay in float.
        """
        static, smooth = self.way()
        facts: dict[str, Any] = {"activations": "static" if static else "dynamic", "smooth": smooth, "spared": []}
        quantise(self.floating, target, self.texts, static=static, smooth=smooth)
        failed = self.gate.passed("int8", self.runtime(target), facts)
        if not failed:
            return facts
        self.watch.stage("parts that hurt", 0)
        hurt = harm(self.floating, self.texts, self.wrong, self.staged, static=static, smooth=smooth)
        worst = ", ".join(f"{part} ({share:.3f})" for part, share in list(hurt.items())[:3])
        refusal = self.gate.refusal(
            failed, f"most of the error comes from {worst}; --mixed keeps such parts in float, --tolerance allows more"
        )
        if not self.how.mixed:
            raise refusal
        for count in range(1, len(hurt)):
            spared = list(hurt)[:count]
            facts = {**facts, "spared": spared}
            quantise(self.floating, target, self.texts, static=static, smooth=smooth, spare=spared)
            if not self.gate.passed(f"int8, {', '.join(spared)} in float", self.runtime(target), facts):
                return facts
        raise refusal


def compiled(prepared: Prepared, how: OptimisePart, gate: Gate, staged: Path, watch: Watch) -> Runtime:
    """Writes the graph and `runtimes.json` into `staged`; the new run's runtime.

    Raises:
        RunError: for an engine that is not installed, a network that no graph can hold, a graph that costs too much.
    """
    engines = how.engines or [name for name, engine in ENGINES.items() if engine.here()]
    compiler, target = Compiler(prepared, how, gate, staged, watch), staged / GRAPH
    watch.say("Writing the graph.")
    compiler.floats()
    if how.precision == "int8":
        compiler.bytes(target)
        compiler.floating.unlink()
    else:
        compiler.floating.replace(target)
        gate.require("graph", compiler.runtime(target), {}, "serve the run as it is")
    saved = {
        "engines": [{"engine": name, "file": GRAPH, "precision": how.precision} for name in engines],
        "window": prepared.network.encoder.window,
        "vocabulary": prepared.runtime.tokeniser.tokenizer.get_vocab_size(),
        "length": int(np.median(prepared.tables["train"].rows.lengths)),
        "inputs": {
            name: {key: array.shape[1] for key, array in own.items()}
            for name, own in prepared.tables["train"].inputs.items()
            if own
        },
    }
    run.write_text(staged / RUNTIMES, json.dumps(saved, indent=1))
    return compiler.runtime(target)


def batches(table: Table) -> list[Arrays]:
    """A table in batches of neighbouring lengths."""
    return [table.arrays(rows) for rows in by_length(table.rows.lengths, size=64, tokens=BATCH)]


def _some(documents: Sequence[Document], runtime: Runtime, seed: int) -> Table:
    """Some documents as a table."""
    chosen = np.random.default_rng(seed).permutation(len(documents))[:TEXTS]
    return Table.of([documents[at] for at in sorted(chosen.tolist())], runtime.tokeniser, runtime.tasks)
