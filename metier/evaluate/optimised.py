"""What was taken away from a run, and what each step cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = ("step", "head", "before", "after", "points", "interval", "changed", "apart")


def rows(optimised: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a step and head, as text; `worst` are the classes that lost, `detail` what the step did."""
    found = []
    for step in optimised["steps"]:
        for name, head in step["heads"].items():
            low, high = head["interval"]
            cells = {
                "step": step["step"],
                "head": name,
                "before": f"{head['before']:.4f}",
                "after": f"{head['after']:.4f}",
                "points": f"{head['points']:+.2f}",
                "interval": f"{low:+.2f} – {high:+.2f}",
                "changed": f"{100 * head['changed']:.1f} %",
                "apart": f"{head['difference']:.3f}",
            }
            found.append({"cells": cells, "passed": step["passed"], "worst": _worst(head["classes"])})
    return found


def _worst(classes: list[Mapping[str, Any]]) -> list[str]:
    """The classes whose F1 fell, with their intervals, at most five."""
    return [
        f"{one['label']} {one['points']:+.1f} ({one['interval'][0]:+.1f} – {one['interval'][1]:+.1f})"
        for one in classes
        if one["points"] < 0
    ][:5]


def section(optimised: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows."""
    before, after = optimised["bytes"]
    return {
        "of": optimised["of"],
        "parent": optimised["parent"],
        "tolerance": f"{optimised['tolerance']:g}",
        "megabytes": (f"{before / 1e6:.1f}", f"{after / 1e6:.1f}"),
        "rows": rows(optimised),
    }
