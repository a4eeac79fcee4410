"""What a source is made of: one file, or a folder with a file a split, or a folder of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metier.data.encoding import BLOCK
from metier.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Source = Any
"""A path (`str` or `Path`), a polars or pandas DataFrame, or a list of dictionaries."""

FORMATS = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xls": "excel", ".xlsb": "excel", ".ods": "excel",
    ".conll": "conll", ".bio": "conll", ".iob": "conll", ".bioes": "conll", ".bmes": "conll", ".txt": "lines",
}  # fmt: skip
SPLITS = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "devel": "valid", "development": "valid", "test": "test", "testing": "test",
}  # fmt: skip
"""The names that a split goes by."""


ORIGIN = "heads.path"
"""Where `Document.meta` says which source a text is from, where a run has several."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a source, its format, and the split that it is where its name says so."""

    path: Path
    format: str
    split: str | None = None


def split_name(value: object) -> str | None:
    """`train`, `valid` or `test` for the usual names of these, another name as it is, `None` for an empty one."""
    if value is None:
        return None
    name = str(value).strip()
    return SPLITS.get(name.lower(), name) or None


def parts(source: str | Path) -> list[Part]:
    """The files of a path. Raises `DataError` for what does not exist or cannot be read."""
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise DataError(f"There is no file {path}.{_neighbour(path)}", hint="check the path")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty.", expected="a header and rows", hint="look at how it was written")
    return [Part(path, _format(path))]


def _format(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    form = FORMATS.get(Path(name).suffix)
    if form is None:
        raise DataError(
            f"{path.name} is of no known format.",
            expected="one of " + ", ".join(sorted(FORMATS)) + ", each also .gz",
            hint="rename or convert it",
        )
    return form


def _neighbour(path: Path) -> str:
    from metier.errors import nearest

    folder = path.parent
    return nearest(path.name, [item.name for item in folder.iterdir()]) if folder.is_dir() else ""


def _folder(folder: Path) -> list[Part]:
    """A folder is `train.*`, `valid.*`, `test.*` of one format, or else a folder of text files."""
    found: dict[str, Part] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower().removesuffix(".gz")
        split, form = SPLITS.get(Path(name).stem), FORMATS.get(Path(name).suffix)
        if path.is_file() and split and form and form != "lines":
            if split in found:
                raise DataError(f"{folder.name} holds both {found[split].path.name} and {path.name}.",
                                expected="one file a split", hint="move one of them away")  # fmt: skip
            found[split] = Part(path, form, split)
    if found:
        return [found[split] for split in ("train", "valid", "test") if split in found]
    if next(folder.rglob("*.txt"), None) is None and next(folder.rglob("*.txt.gz"), None) is None:
        raise DataError(
            f"The folder {folder} holds nothing to read.",
            expected="train/valid/test files (.conll, .csv, ...) or text files (.txt)",
            hint="name the file itself",
        )
    return [Part(folder, "folder")]


def is_path(source: Source) -> bool:
    """Whether a source is a path rather than a table in memory."""
    return isinstance(source, str | Path)


def is_conll(source: Source) -> bool:
    """Whether a source is a tagging data set with one token a line."""
    return is_path(source) and all(part.format == "conll" for part in parts(source))


def fingerprint(source: Source) -> str:
    """SHA-256 of the content, as hexadecimal digits: equal for equal bytes, whatever the file is called."""
    digest = hashlib.sha256()
    if not is_path(source):
        _hash_table(source, digest)
        return digest.hexdigest()
    for part in parts(source):
        files = [part.path] if part.path.is_file() else sorted(item for item in part.path.rglob("*") if item.is_file())
        for file in files:
            name = file.relative_to(part.path) if part.path.is_dir() else part.split or ""
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
    return digest.hexdigest()


def _hash_table(source: Source, digest: Any) -> None:
    from metier.data.tables import table_frame

    frame: pl.DataFrame = table_frame(source)
    digest.update(str(frame.schema).encode())
    for batch in frame.iter_slices(10_000):
        digest.update(batch.write_ndjson().encode())


def sequence_of_dicts(source: Source) -> bool:
    """Whether a source is a list (or tuple) of dictionaries."""
    return isinstance(source, Sequence) and not isinstance(source, str) and all(isinstance(row, dict) for row in source)
