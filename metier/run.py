"""The run folder as files. It knows names, hashes and the order of writing, and no tensors.

A run is fitted in `NAME.partial` and renamed to `NAME` when all of it is on disk: where `NAME` exists, it is whole.
`manifest.json`, written last, holds a SHA-256 of every other file; opening a run checks them all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metier.errors import RunError, nearest

MANIFEST = "manifest.json"
FORMAT = 1
RECIPE = "recipe.toml"
CHECKPOINT = "checkpoint"
ASKED = "optimise.json"
"""What `metier optimise` was asked for, beside what it has not finished."""


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run folder whose hashes were checked."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run at `path`. Raises `RunError` with one line that names the file that is missing or damaged."""
        path = Path(path)
        manifest = _manifest(path)
        for name, digest in manifest["files"].items():
            file = path / name
            if not file.is_file():
                raise RunError(f"{path} is not whole: {name} is missing.", hint="restore it from a copy or train again")
            if _sha256(file) != digest:
                raise RunError(
                    f"{path} is damaged: {name} has changed since it was saved.",
                    hint="restore it from a copy or train again",
                )
        return cls(path, manifest)

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that name exactly these files."""
        return hashlib.sha256(json.dumps(self.manifest["files"], sort_keys=True).encode()).hexdigest()[:12]

    def json(self, name: str) -> Any:
        """A JSON file of the run."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        _restore_replaced(path)
    if not path.is_dir():
        if partial(path).is_dir():
            raise RunError(f"{path} is not finished.", hint=_goes_on(path))
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RunError(f"There is no run {path}.{nearest(path.name, siblings)}", hint="metier runs lists what there is")
    file = path / MANIFEST
    if not file.is_file():
        raise RunError(f"{path} is not a whole run: {MANIFEST}, which is written last, is missing.")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        files = manifest["files"]
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{path} is damaged: {MANIFEST} cannot be read.") from None
    names_ok = isinstance(files, dict) and not any(".." in name or name.startswith("/") for name in files)
    if manifest.get("format") != FORMAT or not names_ok:
        raise RunError(f"{path} has a {MANIFEST} of another format.", expected=f"format {FORMAT}")
    return dict(manifest)


def _goes_on(path: Path) -> str:
    """What finishes a run that is not finished."""
    if (partial(path) / ASKED).is_file():
        return f"the metier optimise that began it, once more with the same options and --out {path}"
    return f"metier train --resume {path}"


def partial(path: Path) -> Path:
    """Where the run `path` is fitted until it is whole."""
    return path.with_name(path.name + ".partial")


def _replaced(path: Path) -> Path:
    return path.with_name(path.name + ".replaced")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Inside, no other process writes to `folder`. Raises `RunError` where one does. A dead process claims nothing."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(f"Another process is writing to {folder}.", hint="another --out, or wait for it") from None
    try:
        yield
    finally:
        os.close(handle)


def stage(path: Path) -> Path:
    """The folder in which the run `path` is fitted, there and whoever claims it; see `clear`.

    Raises `RunError` where something else is in the way.
    """
    if path.exists() and not (path / MANIFEST).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} exists and is not a run.", hint="another --out")
    staged = partial(path)
    staged.mkdir(parents=True, exist_ok=True)
    return staged


def clear(path: Path) -> None:
    """Empties the folder in which the run `path` is fitted.

    Raises `RunError` where it holds a fit that somebody can go on with, or what is no run.
    """
    staged = partial(path)
    if any((staged / CHECKPOINT).rglob("*.safetensors")):
        raise RunError(f"{staged} holds an unfinished fit.", hint=f"{_goes_on(path)}, or remove that folder")
    if any(staged.iterdir()) and not (staged / RECIPE).is_file():
        raise RunError(f"{staged} exists and is no unfinished run.", hint="another --out")
    empty(staged)


def empty(folder: Path) -> None:
    """Removes everything in a folder, not the folder itself: whoever claims it goes on claiming it."""
    for item in folder.iterdir():
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def seal(path: Path, facts: dict[str, Any]) -> Run:
    """Makes the fitted folder of `path` a whole run: hashes, manifest, one rename. The old run lives until then.

    Raises `RunError` when the disk is full; a run that stood at `path` before is then untouched.
    """
    staged = partial(path)
    try:
        shutil.rmtree(staged / CHECKPOINT, ignore_errors=True)
        for rest in staged.glob(".*.[0-9]*"):  # what `write_bytes` had begun when it was killed
            rest.unlink()
        inside = [item for item in sorted(staged.rglob("*")) if item.is_file()]
        files = {item.relative_to(staged).as_posix(): _synced_sha256(item) for item in inside}
        manifest = {
            "format": FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **facts,
            "files": files,
        }
        write_text(staged / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
        _sync_folder(staged)
    except OSError as error:
        raise RunError(
            f"The run could not be saved in {staged}: {error.strerror}.", hint="free some disk space"
        ) from error
    if path.exists():
        shutil.rmtree(_replaced(path), ignore_errors=True)
        path.rename(_replaced(path))
    staged.rename(path)
    _sync_folder(path.parent)
    shutil.rmtree(_replaced(path), ignore_errors=True)
    return Run(path, manifest)


def _restore_replaced(path: Path) -> None:
    """Undoes a replacement that was cut off between its two renames."""
    if _replaced(path).is_dir() and not path.exists():
        _replaced(path).rename(path)


def write_text(path: Path, text: str) -> None:
    """Writes a whole file or nothing: beside it, flushed to disk, then renamed over it."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file or nothing: beside it, flushed to disk, then renamed over it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def listing(folder: Path) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The runs in a folder, newest first: path and manifest, or `None` for one that is unfinished or damaged."""
    if not folder.is_dir():
        return
    found = [item for item in folder.iterdir() if item.is_dir() and not item.name.endswith(".replaced")]
    for item in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        if (item / MANIFEST).is_file():
            try:
                yield item, _manifest(item)
            except RunError:
                yield item, None
        elif item.name.endswith(".partial"):
            yield item, None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _synced_sha256(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
