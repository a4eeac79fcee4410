"""Runs measurements: `python -m benchmarks`, all of them, or `python -m benchmarks NAME key=value ...`."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from metier.models.machine import machine
from metier.pipeline.environment import environment

HERE = Path(__file__).parent
SHARED = {"__init__", "__main__", "invented", "quality", "rewriting", "sections", "setfit_peer", "small_runs", "table"}


FOLDERS = {"work", "peers", "wordnet", "encoder", "model", "run", "profile", "texts"}
"""Options that name a place on this machine, which are nobody else's business."""


def names() -> list[str]:
    """Every measurement that there is."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED)


def measure(name: str, options: dict[str, Any]) -> Path:
    """Runs one measurement and writes `results/NAME.json`, of one that measures several things `NAME-WHAT.json`."""
    start = time.perf_counter()
    figures = import_module(f"benchmarks.{name}").run(**options)
    what = f"-{options['what']}" if "what" in options else ""
    out = HERE / "results" / f"{name}{what}.json"
    out.parent.mkdir(exist_ok=True)
    result = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {key: value for key, value in options.items() if key not in FOLDERS},
        "seconds": round(time.perf_counter() - start, 1),
        "machine": environment(machine()),
        **figures,
    }
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


def _option(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


if __name__ == "__main__":
    words = sys.argv[1:]
    for name in [words[0]] if words else names():
        print(measure(name, dict(_option(word) for word in words[1:])), flush=True)
