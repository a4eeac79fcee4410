"""What every test may need: where the real data is, whether a browser is there, one thread a process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# No test may depend on a hub: what is not on this machine is not there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).parent.parent
DATA = os.environ.get("METIER_TEST_DATA", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips, with the reason, what this machine cannot run."""
    no_data = pytest.mark.skip(reason="METIER_TEST_DATA names no folder with the real data")
    no_browser = pytest.mark.skip(reason="there is no chromium on this machine")
    for item in items:
        if item.get_closest_marker("data") and not (DATA and Path(DATA).is_dir()):
            item.add_marker(no_data)
        if item.get_closest_marker("browser") and not shutil.which("chromium"):
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; skips where there is none (mark such tests `data`, too)."""
    if not (DATA and Path(DATA).is_dir()):
        pytest.skip("METIER_TEST_DATA names no folder with the real data")
    return Path(DATA)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium, for Playwright's `executable_path`."""
    found = shutil.which("chromium")
    if not found:
        pytest.skip("there is no chromium on this machine")
    return found
