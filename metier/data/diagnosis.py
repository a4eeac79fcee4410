"""What the doctor says: typed problems, as JSON and as lines to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")
SHOWN = 90


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data set.

    `error`: a fit would fail or mean nothing; `warning`: it would be worse than it could be; `note`: good to know.
    `count` is in rows unless the message says otherwise; `samples` are shortened.
    """

    code: str
    severity: Severity
    message: str
    count: int = 0
    samples: tuple[str, ...] = ()
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """The problem as JSON values."""
        return {name: getattr(self, name) for name in ("code", "severity", "message", "count", "hint")} | {
            "samples": list(self.samples)
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that rows show best: `groups` of row numbers (from 0) that belong together."""

    problem: Problem
    groups: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every problem of a data set, the gravest first, and the figures that they were found in."""

    rows: int
    problems: tuple[Problem, ...]
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether nothing stands in the way of a fit."""
        return not any(problem.severity == "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as JSON values."""
        return {
            "rows": self.rows,
            "healthy": self.healthy,
            "problems": [problem.to_json() for problem in self.problems],
            **self.figures,
        }

    def lines(self) -> list[str]:
        """The diagnosis to read: a line a problem, then its samples and what to do."""
        counts = ", ".join(f"{self._count(kind)} {kind}{'s' * (self._count(kind) != 1)}" for kind in ORDER)
        shown = [f"{self.rows:,} rows: {counts}"]
        for problem in self.problems:
            shown.append(f"{problem.severity:<8}{problem.message}")
            shown += [f"            {sample}" for sample in problem.samples]
            if problem.hint:
                shown.append(f"        -> {problem.hint}")
        return shown

    def _count(self, severity: str) -> int:
        return sum(problem.severity == severity for problem in self.problems)


def shortened(text: object, length: int = SHOWN) -> str:
    """A text on one line, at most `length` characters."""
    line = " ".join(str(text)[: 4 * length].split())
    return line if len(line) <= length else line[: length - 3] + "..."
