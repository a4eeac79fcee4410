"""The documents of a folder: which there are, what they hold, and which changed since."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from metier.data.encoding import BOM_UTF16, GZIP_MAGIC, utf8_stream
from metier.data.papers.paper import Limits, Paper, Piece, paper_of, too_long
from metier.data.papers.pdf import from_pdf
from metier.data.papers.webpage import from_html
from metier.data.papers.word import from_docx
from metier.data.papers.written import from_markdown, from_text
from metier.errors import DataError, MissingExtra

FORMATS = {
    ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html", ".txt": "text",
    ".text": "text", ".pdf": "pdf", ".docx": "docx",
}  # fmt: skip
LIMITS = Limits()
SETTLED = 2_000_000_000
"""Nanoseconds for which a file is looked into again: a second change may bear the time of the first."""
DEEPEST = 50
_charset = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]{2,20})", re.IGNORECASE)
WESTERN = frozenset({"iso8859-1", "iso8859-15", "cp1252", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1250", "cp1251"})
"""Encodings of a page that its own word is taken for."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that was not read, and why: one line."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The documents of a folder, sorted by their paths."""

    papers: tuple[Paper, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a file is known again by: bytes, time of its change in ns, inode, a hash of what it holds.

    `settled`: whether it had been left alone for a while when it was looked at.
    """

    size: int
    modified: int
    inode: int
    digest: str
    settled: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of the files of a folder: their marks now, the paths to read anew and those that are gone."""

    marks: dict[str, Mark]
    fresh: tuple[str, ...]
    gone: tuple[str, ...]


def read_folder(folder: Path, limits: Limits = LIMITS) -> Reading:
    """All documents of a folder. What cannot be read is refused and stops nothing. Raises `DataError` for no folder."""
    papers, refused = [], []
    for path, _ in _files(folder, limits):
        try:
            papers.append(read_paper(folder, path, limits))
        except MissingExtra:
            raise
        except DataError as error:
            refused.append(Refused(path, str(error)))
    return Reading(tuple(papers), tuple(refused))


def read_paper(folder: Path, path: str, limits: Limits = LIMITS) -> Paper:
    """One document, by its path below the folder. Raises `DataError` for one that cannot be read."""
    file = folder / path
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise DataError(f"{path} is no document that is read here.", expected=f"one of {' '.join(FORMATS)}")
    if not _inside(file, folder.resolve()) or not file.is_file():
        raise DataError(f"{path} is no file inside the folder.", hint="copy it there")
    size = file.stat().st_size
    if size > limits.size:
        raise DataError(
            f"{path} has {size:,} bytes.", expected=f"at most {limits.size:,}", hint="split it, or raise the limit"
        )
    _check_content(file, path, kind)
    title, pieces = _read(file, kind, limits)
    return paper_of(path, title, pieces, limits)


def changed(folder: Path, known: Mapping[str, Mark], limits: Limits = LIMITS) -> Changed:
    """Which documents of a folder came, changed or went since `known` (the marks of the last look; `{}` for none).

    Where size, time and inode are the same, nothing is opened, unless the file had changed just before the last look.
    Raises `DataError` for no folder.
    """
    marks: dict[str, Mark] = {}
    fresh: list[str] = []
    now = time.time_ns()
    for path, state in _files(folder, limits):
        before = known.get(path)
        same = before is not None and (before.size, before.modified, before.inode) == (
            state.st_size, state.st_mtime_ns, state.st_ino,
        )  # fmt: skip
        if before is not None and same and before.settled:
            marks[path] = before
            continue
        try:
            digest = _digest(folder / path, limits)
        except OSError:  # gone, or closed to us, since the folder was listed
            if before is not None:
                marks[path] = before
            continue
        marks[path] = Mark(state.st_size, state.st_mtime_ns, state.st_ino, digest, now - state.st_mtime_ns > SETTLED)
        if before is None or before.digest != digest:
            fresh.append(path)
    return Changed(marks, tuple(sorted(fresh)), tuple(sorted(set(known) - set(marks))))


def _digest(file: Path, limits: Limits) -> str:
    """A hash of a file; one that is too large to be read is known by its size and time."""
    state = file.stat()
    if state.st_size > limits.size:
        return f"{state.st_size}:{state.st_mtime_ns}"
    return blake2b(file.read_bytes(), digest_size=16).hexdigest()


def _files(folder: Path, limits: Limits) -> list[tuple[str, os.stat_result]]:
    """The documents of a folder, sorted: no hidden files, nothing that a link fetches from outside."""
    try:
        root = folder.resolve(strict=True)
        found = sorted(_walk(root, "", {root}, root))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.", expected="a folder with documents") from error
    if len(found) > limits.files:
        raise DataError(f"{folder} holds {len(found):,} documents.", expected=f"at most {limits.files:,}")
    return found


def _walk(folder: Path, prefix: str, above: set[Path], root: Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        if entry.name.startswith((".", "~$")):  # hidden; the lock file of an open Word document
            continue
        path = f"{prefix}{entry.name}"
        try:
            target = Path(entry.path).resolve() if entry.is_symlink() else None
            if target is not None and not target.is_relative_to(root):
                continue
            if entry.is_dir():
                place = target or Path(entry.path)
                if place not in above and len(above) < DEEPEST:
                    yield from _walk(place, f"{path}/", above | {place}, root)
            elif os.path.splitext(entry.name)[1].lower() in FORMATS and entry.is_file():
                yield path, entry.stat()
        except FileNotFoundError:  # gone since it was listed
            continue
        except PermissionError:
            continue


def _inside(file: Path, root: Path) -> bool:
    return file.resolve().is_relative_to(root)


def _check_content(file: Path, path: str, kind: str) -> None:
    """Raises `DataError` where a file begins like one of another format than its name says."""
    try:
        with file.open("rb") as opened:
            start = opened.read(1024)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", hint="check its permissions") from error
    seen = _seen(start)
    if not start.strip():
        raise DataError(f"{path} is empty.", hint="leave it out")
    if seen == "encrypted or old Office" and kind == "docx":
        raise DataError(
            f"{path} is an encrypted or an old (.doc) Word file.", hint="save it as .docx without a password"
        )
    wanted = {"pdf": "PDF", "docx": "zip"}.get(kind, "text")
    if seen != wanted:
        name = {"docx": "a Word document (zip)", "pdf": "a PDF"}.get(kind, "text")
        raise DataError(f"{path} is no {kind} file: it begins like {seen}.", expected=name, hint="give it its own name")


def _seen(start: bytes) -> str:
    if b"%PDF-" in start:
        return "PDF"
    for magic, name in ((b"PK\x03\x04", "zip"), (b"\xd0\xcf\x11\xe0", "encrypted or old Office"), (GZIP_MAGIC, "gzip"),
                        (b"{\\rtf", "RTF"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture")):  # fmt: skip
        if start.startswith(magic):
            return name
    return "binary data" if b"\0" in start and start[:2] not in BOM_UTF16 else "text"


def _read(file: Path, kind: str, limits: Limits) -> tuple[str, list[Piece]]:
    if kind == "pdf":
        return from_pdf(file, limits)
    if kind == "docx":
        return from_docx(file, limits)
    text = _text(file, kind)
    if len(text) > limits.characters * (4 if kind == "html" else 1):
        raise too_long(file.name, limits)
    return {"markdown": from_markdown, "html": from_html, "text": from_text}[kind](text)


def _text(file: Path, kind: str) -> str:
    """The characters of a file. A page in another encoding than UTF-8 and GB18030 may say so itself."""
    try:
        with utf8_stream(file) as stream:
            return stream.read().decode("utf-8")
    except DataError:
        content = file.read_bytes()
        stated = _charset.search(content[:2048]) if kind == "html" else None
        try:
            name = codecs.lookup(stated[1].decode()).name if stated else ""
            if name in WESTERN:
                return content.decode(name)
        except (LookupError, UnicodeDecodeError):
            raise DataError(f"{file.name} is not in the encoding that it states.", hint="save it in UTF-8") from None
        raise
