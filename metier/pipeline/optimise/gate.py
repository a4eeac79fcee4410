"""What every step of `metier optimise` must pass: the same held-out texts through the run and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from metier.errors import RunError
from metier.evaluate.parity import Parity, compare, lost
from metier.models.table import Table
from metier.pipeline.judged import Judged, judged
from metier.pipeline.prepare import Prepared
from metier.pipeline.watch import Watch
from metier.predict.runtime import Logits, Runtime
from metier.types import Example, Prediction

HELD_OUT = ("valid", "test")


@dataclass
class Gate:
    """The held-out texts of a run, what people said of them, and what the run said.

    Args:
        examples: labelled, none of which the run was fitted on.
        before: the run's own predictions, head by head, as it was calibrated.
        tolerance: points of each head's headline metric that may be lost.
        steps: what was found so far, for the report.
    """

    examples: list[Example]
    before: dict[str, list[Prediction]]
    tolerance: float
    seed: int
    watch: Watch
    steps: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, prepared: Prepared, tolerance: float, watch: Watch) -> Gate:
        """The gate of a run as it stands. Raises `RunError` where no held-out text has a label."""
        examples = [row for split in HELD_OUT for row in prepared.dataset.examples[split] if row.targets]
        if not examples:
            raise RunError("No text was held out: nothing can show that the smaller run still works.", hint="--data")
        gate = cls(examples, {}, tolerance, prepared.recipe.seed, watch)
        gate.before = {name: held.predictions() for name, held in gate.answers(prepared.runtime).items()}
        return gate

    def answers(self, runtime: Runtime) -> dict[str, Judged]:
        """What a runtime says of the held-out texts. Raises `RunError` where it says what is no number."""
        table = self.table(runtime)
        self.watch.stage("compare", len(table.rows))
        said = runtime.logits(table, tick=self.watch.tick)
        for name, rows in said.items():
            if any(np.isnan(row).any() for row in rows):
                raise RunError(
                    f"The head {name!r} answers what is no number: something in the network grew too large.",
                    hint="another --precision: bf16 has the range of fp32",
                )
        return judged(runtime, table, self.examples, said)

    def table(self, runtime: Runtime) -> Table:
        """The held-out texts as a runtime cuts them."""
        return Table.of([example.document for example in self.examples], runtime.tokeniser, runtime.tasks)

    def measured(self, runtime: Runtime) -> dict[str, Parity]:
        """Both answers, head by head."""
        return {
            name: compare(held.task, held.golds, self.before[name], held.predictions(), seed=self.seed)
            for name, held in self.answers(runtime).items()
            if held.golds
        }

    def passed(self, step: str, runtime: Runtime, facts: dict[str, Any]) -> list[str]:
        """Notes a step; the heads that lost more than may be lost."""
        found = self.measured(runtime)
        heads = {name: asdict(one) for name, one in found.items()}
        failed = lost(found, self.tolerance)
        self.steps.append({"step": step, "heads": heads, "passed": not failed, "facts": facts})
        for name, one in found.items():
            low, high = one.interval
            self.watch.say(
                f"{step}: {name} {one.before:.4f} -> {one.after:.4f} ({one.points:+.2f} points, 95 % {low:+.2f} to "
                f"{high:+.2f}), probabilities at most {one.difference:.3f} apart"
            )
        return failed

    def require(self, step: str, runtime: Runtime, facts: dict[str, Any], hint: str) -> None:
        """As `passed`; raises `RunError` where a head lost more than may be lost."""
        if failed := self.passed(step, runtime, facts):
            raise self.refusal(failed, hint)

    def refusal(self, failed: list[str], hint: str) -> RunError:
        """What is said of the last step, which cost too much."""
        step = self.steps[-1]
        name = failed[0]
        points = -float(step["heads"][name]["points"])
        texts = step["heads"][name]["texts"]
        return RunError(
            f"{step['step']} costs the head {name!r} {points:.2f} points on {texts} held-out texts.",
            expected=f"at most {self.tolerance:g}",
            hint=hint,
        )


def logits_apart(one: Logits, other: Logits) -> float:
    """The mean distance of two runtimes' logits, in deviations of the first one's, over all heads."""
    found = []
    for name, rows in one.items():
        first = np.concatenate([row.reshape(-1) for row in rows])
        second = np.concatenate([row.reshape(-1) for row in other[name]])
        found.append(float(np.sqrt(np.mean((first - second) ** 2)) / max(float(first.std()), 1e-9)))
    return float(np.mean(found))
