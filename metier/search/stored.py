"""The part of an index that lies on disk: texts, postings, vectors, in a folder that is whole or not there.

An index is a folder of generations, `000001`, `000002`, ...; `current.json` names the one that counts and is replaced
at once when the next one is whole. Whatever else lies there was cut off and is swept away. All of it is a cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metier import run as folders
from metier.errors import StoreError
from metier.search import dense, lexical
from metier.search.dense import mapped
from metier.search.words import key, keys

FORMAT = 1
CURRENT, FACTS = "current.json", "facts.json"
GENERATION = re.compile(r"\d{6}(\.partial)?")
HINT = "delete the folder and build the index again from the store"


@dataclass(frozen=True, slots=True)
class Entry:
    """A text that can be found.

    Args:
        id: of the text; one text an id.
        text: that is searched.
        group: texts that lead to the same answer share it; the id where none is given.
        language: kept with it; search does not read it.
    """

    id: str
    text: str
    group: str = ""
    language: str = ""

    @property
    def of(self) -> str:
        """The group that it counts for."""
        return self.group or self.id


class Strings:
    """Many strings in one memory-mapped file, with an array of where each ends."""

    def __init__(self, folder: Path, name: str) -> None:
        self.ends = mapped(folder / f"{name}.npy")
        file = folder / f"{name}.bin"
        full = file.stat().st_size > 0
        self.bytes = np.asarray(np.memmap(file, dtype=np.uint8, mode="r")) if full else np.zeros(0, dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, at: int) -> str:
        start = int(self.ends[at - 1]) if at else 0
        return self.bytes[start : int(self.ends[at])].tobytes().decode("utf-8", "surrogatepass")

    @staticmethod
    def write(folder: Path, name: str, values: Iterable[str]) -> None:
        """Writes strings."""
        sizes = []
        with (folder / f"{name}.bin").open("wb") as file:
            for value in values:
                sizes.append(file.write(value.encode("utf-8", "surrogatepass")))
        np.save(folder / f"{name}.npy", np.cumsum(sizes, dtype=np.int64), allow_pickle=False)


class Stored:
    """One whole generation, read-only, memory-mapped.

    Args:
        folder: of the generation.

    Raises:
        StoreError: where it is not whole or something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.facts = folder, _facts(folder)
        try:
            self.lexical, self.dense = lexical.Lexical(folder), dense.Dense(folder)
            self.ids, self.texts, self.groups, self.languages = (
                Strings(folder, name) for name in ("ids", "texts", "groups", "languages")
            )
            names = ("id_keys", "id_rows", "group_of", "group_keys")
            self.id_keys, self.id_rows, self.group_of, self.group_keys = (
                mapped(folder / f"{name}.npy") for name in names
            )
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"The index {folder.parent} cannot be read: {error}.", hint=HINT) from None
        sizes = {self.lexical.n, self.dense.n, len(self.ids), len(self.texts), len(self.group_of), self.n}
        if len(sizes) > 1:
            raise StoreError(f"The parts of the index {folder.parent} do not fit each other.", hint=HINT)

    @property
    def n(self) -> int:
        """Texts."""
        return int(self.facts["texts"])

    def row(self, id: str) -> int | None:
        """Where the text with an id stands."""
        at = int(np.searchsorted(self.id_keys, np.uint64(key(id))))
        if at < len(self.id_keys) and self.id_keys[at] == key(id):
            return int(self.id_rows[at])
        return None

    def in_groups(self, names: Iterable[str]) -> np.ndarray:
        """Which rows `(n,)` belong to some groups."""
        wanted = keys(names)
        at = np.minimum(np.searchsorted(self.group_keys, wanted), max(len(self.group_keys) - 1, 0))
        there = at[self.group_keys[at] == wanted] if len(self.group_keys) else at[:0]
        return np.isin(self.group_of, there)

    def group(self, row: int) -> str:
        """The group of a row."""
        return self.groups[int(self.group_of[row])]

    def entry(self, row: int) -> Entry:
        """What was put in."""
        return Entry(self.ids[row], self.texts[row], self.group(row), self.languages[row])


def write(
    folder: Path,
    entries: Sequence[Entry],
    vectors: Iterator[np.ndarray],
    facts: dict[str, Any],
    tick: Callable[[int], None] = lambda rows: None,
) -> Stored:
    """Writes the next generation of an index and makes it the one that counts.

    Args:
        folder: of the index.
        entries: all texts; ids differ.
        vectors: of the texts in their order, in blocks.
        facts: kept with them: `width` and whatever else there is to know.
        tick: hears of texts that are done.

    Raises:
        StoreError: where two texts have one id, or the disk is full.
    """
    number = max([int(path.name[:6]) for path in _generations(folder)], default=0) + 1
    made, staged = folder / f"{number:06}", folder / f"{number:06}.partial"
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        _identities(staged, entries)
        lexical.write(staged, (entry.text for entry in entries))
        dense.write(staged, len(entries), facts["width"], vectors, tick)
        for file in staged.iterdir():
            _synced(file)
        sizes = {file.name: file.stat().st_size for file in sorted(staged.iterdir())}
        said = {"format": FORMAT, "texts": len(entries), **facts, "files": sizes}
        folders.write_text(staged / FACTS, json.dumps(said, indent=1))
        staged.rename(made)
        folders.write_text(folder / CURRENT, json.dumps({"generation": made.name}))
    except OSError as error:
        raise StoreError(f"The index {folder} cannot be written: {error.strerror}.", hint="free some space") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    found = Stored(made)
    sweep(folder)
    return found


def _identities(folder: Path, entries: Sequence[Entry]) -> None:
    """Ids, texts, groups, and how to find a row by its id or its group."""
    own = keys(entry.id for entry in entries)
    order = np.argsort(own, kind="stable")
    twice = np.flatnonzero(own[order][1:] == own[order][:-1])
    if len(twice):
        raise StoreError(f"Two texts have the id {entries[int(order[twice[0]])].id!r}.", expected="one text an id")
    groups = keys(entry.of for entry in entries)
    known, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    arrays = {"id_keys": own[order], "id_rows": order, "group_of": group_of.astype(np.int32), "group_keys": known}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    Strings.write(folder, "ids", (entry.id for entry in entries))
    Strings.write(folder, "texts", (entry.text for entry in entries))
    Strings.write(folder, "languages", (entry.language for entry in entries))
    Strings.write(folder, "groups", (entries[at].of for at in first.tolist()))


def current(folder: Path) -> Path:
    """The generation that counts. Raises `StoreError` where the folder is no index."""
    try:
        name = json.loads((folder / CURRENT).read_text(encoding="utf-8"))["generation"]
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{folder} is not an index: it has no readable {CURRENT}.", hint=HINT) from None
    if not isinstance(name, str) or not GENERATION.fullmatch(name):
        raise StoreError(f"{folder / CURRENT} names {name!r}, which is no generation.", hint=HINT)
    return folder / name


def owned(folder: Path) -> bool:
    """Whether a folder is an index, or the beginnings of one, and nothing else."""
    return all(
        path.name.lstrip(".").startswith(CURRENT) or GENERATION.fullmatch(path.name) for path in folder.iterdir()
    )


def sweep(folder: Path) -> None:
    """Removes generations that do not count; whoever has one open reads on."""
    kept = current(folder)
    for path in _generations(folder):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)


def _generations(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if GENERATION.fullmatch(path.name)] if folder.is_dir() else []


def _facts(folder: Path) -> dict[str, Any]:
    """What `facts.json` says. Raises `StoreError` where a file is missing, cut off, or of another format."""
    where = folder.parent
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        version, files = facts["format"], dict(facts["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{where} is not an index: {folder.name} has no readable {FACTS}.", hint=HINT) from None
    if version != FORMAT:
        raise StoreError(f"{where} has the format {version}.", expected=f"format {FORMAT}", hint=HINT)
    for name, size in files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            raise StoreError(f"The index {where} is not whole: {name} is missing or cut off.", hint=HINT)
    return facts


def _synced(file: Path) -> None:
    """Waits until a file is on disk."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
