"""A real PostgreSQL server for the tests, where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "s3cret-w0rd"
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PATH = os.pathsep.join([os.environ.get("PATH", ""), *map(str, DEBIAN)])
_processes: dict[int, subprocess.Popen[bytes]] = {}


def missing() -> str:
    """Why there can be no server; empty where there can."""
    if not _program("postgres") or not _program("initdb"):
        return "there is no PostgreSQL server on this machine"
    if os.getuid() == 0 and not _user():
        return "PostgreSQL refuses to run as root, and there is no other user for it"
    return ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def _user() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


@contextmanager
def server() -> Iterator[str]:
    """The address of a fresh server, with its password in it."""
    folder = Path(tempfile.mkdtemp(prefix="metier-postgres-"))
    as_user = {}
    if os.getuid() == 0:
        entry = pwd.getpwnam(str(_user()))
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    environment = {"PATH": PATH, "LC_ALL": "C"}
    process = None
    try:
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "metier", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"],
            check=True, capture_output=True, cwd=folder, env=environment, **as_user,
        )  # fmt: skip
        process = subprocess.Popen(
            [_program("postgres"), "-D", data, "-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-F"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, env=environment, **as_user,
        )  # fmt: skip
        url = f"postgresql://metier:{PASSWORD}@127.0.0.1:{port}/postgres"
        _answers(url)
        _processes[port] = process
        yield url
    finally:
        if process is not None:
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def stop(url: str) -> None:
    """Ends a server before its time."""
    _end(_processes[int(url.rpartition(":")[2].partition("/")[0])])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # a fast end: clients are cut off
    process.wait(30)


def _answers(url: str) -> None:
    """Waits until the server lets somebody in: that it listens says only that it is starting up."""
    import psycopg

    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not start")
