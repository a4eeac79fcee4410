"""What runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metier import run
from metier.errors import RunError
from metier.evaluate.findings import Findings


def overview(folder: Path) -> list[dict[str, Any]]:
    """The runs of a folder, newest first, as JSON values: name, state, when, method, headline figures."""
    return [_line(path, manifest) for path, manifest in run.listing(folder)]


def _line(path: Path, manifest: dict[str, Any] | None) -> dict[str, Any]:
    line: dict[str, Any] = {"run": str(path), "state": "whole", "created": "", "method": "", "figures": "", "heads": {}}
    if manifest is None:
        return {**line, "state": "unfinished" if path.name.endswith(".partial") else "damaged"}
    try:
        findings = Findings.read(path / "evaluation.json")
    except RunError:
        return {**line, "state": "damaged"}
    heads = {name: head.judged.get("headline", {}) for name, head in findings.heads.items()}
    figures = ", ".join(f"{name} {head.get('name')} {head.get('value', 0):.4f}" for name, head in heads.items())
    return {**line, "created": manifest["created"], "method": findings.method, "figures": figures, "heads": heads}
