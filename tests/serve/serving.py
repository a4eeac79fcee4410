"""An application without a network, and a real server in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from standin import Standin

from metier.serve import Settings, create_app

STANDIN = Path(__file__).parent / "standin.py"
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def client_of(model=None, settings=None, memory=None):
    """An httpx client of an application in this process; faults of the application are answers, not exceptions."""
    app = create_app(model or Standin(), settings or Settings(page=False), memory)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=20) as client:
            client.service = app.state.service
            yield client


@dataclass
class Served:
    url: str
    process: subprocess.Popen

    @property
    def address(self):
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def stop(self, sig=signal.SIGTERM):
        """The exit code after a signal."""
        self.process.send_signal(sig)
        return self.process.wait(30)


@contextmanager
def served(*flags, cwd=None, program=(STANDIN,), announced=str.strip):
    """A server in a process of its own, once it has said its address, which `announced` finds in its first line.

    What it complained of: `process.stderr`.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # Whatever runs the tests, this is a program of its own: NiceGUI behaves otherwise under pytest.
    for name in ("PYTEST_CURRENT_TEST", "NICEGUI_SCREEN_TEST_PORT"):
        environment.pop(name, None)
    command = [sys.executable, *map(str, (*program, *flags))]
    with subprocess.Popen(
        command, cwd=cwd or ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            url = announced(process.stdout.readline())
            assert url.startswith("http://"), process.stderr.read()
            yield Served(url, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)
