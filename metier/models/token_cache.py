"""Tokenised texts on disk, so that the same data with the same tokenizer is tokenised once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from metier import run
from metier.models.table import tokenised
from metier.models.tokeniser import Rows, Tokeniser
from metier.tasks.task import Task
from metier.types import Document

LIMIT = 2 * 1024**3
"""Bytes that the cache may take; the files that were used longest ago go first."""
ARRAYS = ("ids", "types", "bounds", "owner", "start", "end", "sequence", "word")


def folder() -> Path:
    """`$METIER_CACHE`, else `metier` in the user's cache folder."""
    given = os.environ.get("METIER_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metier"


def rows(documents: Sequence[Document], tokeniser: Tokeniser, tasks: Mapping[str, Task]) -> Rows:
    """The rows of documents, from the cache where the same texts met the same tokenizer before."""
    file = folder() / "tokens" / f"{_key(documents, tokeniser, tasks)}.safetensors"
    found = _read(file)
    if found is not None:
        return found
    fresh = tokenised(documents, tokeniser, tasks)
    _write(file, fresh)
    return fresh


def _key(documents: Sequence[Document], tokeniser: Tokeniser, tasks: Mapping[str, Task]) -> str:
    digest = hashlib.sha256(tokeniser.tokenizer.to_str().encode())
    needs = sorted({(task.per_token, task.special_tokens, task.separate) for task in tasks.values()})
    digest.update(repr((tokeniser.max_length, tokeniser.stride, tokeniser.window, needs)).encode())
    for document in documents:
        digest.update(repr((document.text, document.pair, document.tokens)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:40]


def _read(file: Path) -> Rows | None:
    if not file.is_file():
        return None
    try:
        arrays = load_file(file)
    except (SafetensorError, OSError):  # a damaged cache is no cache: what it held is made again
        file.unlink(missing_ok=True)
        return None
    os.utime(file)
    return Rows(**{name: arrays[name] for name in ARRAYS}, truncated=int(arrays["truncated"][0]))


def _write(file: Path, fresh: Rows) -> None:
    """Stores rows if there is room; a cache that cannot be written costs time, nothing else."""
    arrays = {name: np.ascontiguousarray(getattr(fresh, name)) for name in ARRAYS}
    arrays["truncated"] = np.array([fresh.truncated], dtype=np.int64)
    content = save(arrays)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_room(file.parent, LIMIT - len(content))
        run.write_bytes(file, content)
    except OSError:  # `write_bytes` left nothing behind
        return


def _make_room(where: Path, allowed: int) -> None:
    files = sorted(where.glob("*.safetensors"), key=lambda item: item.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > allowed:
            file.unlink(missing_ok=True)
