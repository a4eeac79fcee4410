"""The folder's own modules (`standin`, `serving`) are imported by their plain names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def server():
    """A server of the stand-in model with default settings."""
    from serving import served

    with served() as one:
        yield one


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """The path of a monitor's store in the middle of a surge; it is copied, not written."""
    from monitored import month

    return month(tmp_path_factory.mktemp("filled"))


FLAGS = ["--disable-background-networking", *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else [])]


@pytest.fixture(scope="module")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()
