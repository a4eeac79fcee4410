"""How long a user waits before anything happens: `import metier` and `metier --help`."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import Any

BARS = {"import metier": 0.2, "metier --help": 0.6}
COMMANDS = {
    "import metier": [sys.executable, "-c", "import metier"],
    "metier --help": [sys.executable, "-m", "metier.cli", "--help"],
}


def run(tries: int = 9) -> dict[str, Any]:
    """Median wall seconds of whole processes, with the interpreter's own start beside them."""
    commands = {"python alone": [sys.executable, "-c", "pass"], **COMMANDS}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(tries):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    return {
        "seconds": {name: {"median": median(v), "min": min(v), "max": max(v)} for name, v in seconds.items()},
        "bars": BARS,
    }
