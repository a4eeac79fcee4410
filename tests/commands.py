"""The command line, called in this process, or in one of its own that can be killed."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from metier import cli

_contexts: list[Any] = []


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of stdout."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


def metier(*arguments: object) -> Result:
    """`metier ARGUMENTS` in this process; whatever is no mistake of its user is raised."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["metier", *map(str, arguments)]
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", argv):
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def refused(*arguments: object) -> str:
    """The one line that a mistaken command ends with: exit code 2, nothing on stdout, no traceback."""
    result = metier(*arguments)
    assert result.code == 2, result
    lines = [line for line in result.err.splitlines() if line.startswith("metier: ")]
    assert len(lines) == 1 and result.err.splitlines()[-1] == lines[0], result.err
    assert "Traceback" not in result.err and not result.out
    return lines[0]


def started(log: Path, *arguments: object) -> BaseProcess:
    """`metier ARGUMENTS` in a process of its own, forked from one that has imported everything already."""
    if not _contexts:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["commands", "metier.model", "metier.progress", "metier.pipeline.seeds"])
        _contexts.append(context)
    process: BaseProcess = _contexts[0].Process(target=_command, args=(str(log), [str(item) for item in arguments]))
    process.start()
    return process


def _command(log: str, arguments: list[str]) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv = ["metier", *arguments]
    cli.main()


def killed(process: BaseProcess, when: Callable[[], bool], seconds: float = 120.0) -> None:
    """`kill -9` as soon as `when` says so. Fails where the process ended before."""
    end = time.monotonic() + seconds
    while process.is_alive() and not when():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.002)
    kill(process)
    assert process.exitcode == -signal.SIGKILL, "it ended before it could be killed"


def kill(process: BaseProcess) -> None:
    """`kill -9`, whether it still runs or not."""
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
