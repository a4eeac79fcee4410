"""The machine and the libraries that a run was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from metier.models.machine import Machine

PACKAGES = (
    "metier",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "polars",
    "scikit-learn",
    "accelerate",
)


def environment(machine: Machine) -> dict[str, Any]:
    """Versions and machine, as JSON values."""
    found: dict[str, Any] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": machine.threads,
        "device": machine.device.type,
        "precision": machine.precision,
        **found,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
