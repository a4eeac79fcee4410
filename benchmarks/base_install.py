"""The base install in a clean environment: megabytes on disk, and that nothing of torch or of tables comes with it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMIT_MB = 400
LEFT_OUT = ("torch", "transformers", "polars", "pyarrow", "scipy", "sklearn")


def run() -> dict[str, Any]:
    """Installs the checkout without extras beside nothing and adds up the files, pip and compiled bytecode too."""
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        asked = ["install", "-qq", "--no-input", "-c", str(root / "constraints.txt"), str(root)]
        subprocess.run([python, "-m", "pip", *asked], check=True)
        found = {file.name for site in Path(folder).glob("lib/*/site-packages") for file in site.iterdir()}
        size = sum(file.stat().st_size for file in (Path(folder) / "lib").rglob("*") if file.is_file()) / 1e6
    return {"megabytes": size, "limit_mb": LIMIT_MB, "brought_all_the_same": sorted(found.intersection(LEFT_OUT))}
