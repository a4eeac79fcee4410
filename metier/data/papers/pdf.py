"""PDF: the text of its pages, read by a process with a deadline, put together to paragraphs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from metier.data.papers.paper import Limits, Piece
from metier.data.papers.written import unwrapped
from metier.errors import DataError, MissingExtra

EDGES = 2
"""Lines at the top and at the foot of a page that may be the same on each."""
_number = re.compile(r"[0-9]+")
_page = re.compile(r"(?:page |\u7b2c ?)?[0-9ivxlc]{1,5}(?: ?(?:of|/) ?[0-9]{1,5}| ?\u9875)?\Z", re.IGNORECASE)
_numbered = re.compile(r"(?P<number>[1-9][0-9]?(?:\.[0-9]{1,2}){0,3})\.? +(?P<text>[A-Z\u4e00-\u9fff].{1,70})\Z")
_hyphen = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_stops = ".!?;:,\u3002\uff01\uff1f\uff1b\uff0c\uff1a"


def from_pdf(path: Path, limits: Limits) -> tuple[str, list[Piece]]:
    """The title and the blocks of a PDF, with their pages. Raises `DataError` for what cannot be read in time."""
    found = _read(path, limits)
    pages = [[line.strip() for line in text.splitlines()] for text in found["pages"]]
    repeated = _repeated(pages)
    headings = {(page, _plain(title)): level for level, title, page in found["outline"]}
    pieces = [
        piece
        for number, lines in enumerate(pages, 1)
        for piece in _blocks([line for line in lines if _key(line) not in repeated], number, headings)
    ]
    return found["title"], pieces


def _read(path: Path, limits: Limits) -> dict[str, Any]:
    numbers = (limits.pages, limits.characters, limits.memory, int(limits.seconds) + 1)
    command = [sys.executable, "-P", "-m", "metier.data.papers.pdf_worker", str(path.resolve()), *map(str, numbers)]
    places = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    try:
        done = subprocess.run(command, capture_output=True, timeout=limits.seconds, env=environment, check=False)
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{path.name} takes longer than {limits.seconds:g} s to read.", hint="print it to a PDF again, or split it"
        ) from None
    try:
        found: dict[str, Any] = orjson.loads(done.stdout)
    except orjson.JSONDecodeError:
        raise DataError(
            f"{path.name} is a PDF that cannot be read (the reader ended with {done.returncode}).",
            hint="print it to a PDF again",
        ) from None
    if "missing" in found:
        raise MissingExtra(found["missing"], "apps")
    if "error" in found:
        raise DataError(f"{path.name} {found['error']}.", hint=found["hint"])
    return found


def _repeated(pages: Sequence[Sequence[str]]) -> set[str]:
    """Lines that stand at the edge of most pages, whatever numbers are in them: running titles and page numbers."""
    counts = Counter(key for lines in pages for key in {_key(line) for line in [*_first(lines), *_first(lines[::-1])]})
    return {key for key, count in counts.items() if count >= 3 and count > len(pages) / 2}


def _first(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line][:EDGES]


def _key(line: str) -> str:
    return _number.sub("#", line)


def _plain(text: str) -> str:
    return "".join(text.split()).lower()


def _blocks(lines: Sequence[str], page: int, headings: dict[tuple[int, str], int]) -> Iterator[Piece]:
    """The paragraphs of a page: they end at empty lines, headings, and lines that are short and end with a stop."""
    while lines and (not lines[-1] or _page.match(lines[-1])):
        lines = lines[:-1]
    usual = median([len(line) for line in lines if line] or [0])
    held: list[str] = []
    for line in lines:
        level = _level(line, page, headings, usual)
        if level or not line:
            yield _paragraph(held, page)
            held = []
        if level:
            yield Piece("heading", line, level, page)
        elif line:
            held.append(line)
            if len(line) < 0.7 * usual and line[-1] in ".!?\u3002\uff01\uff1f":
                yield _paragraph(held, page)
                held = []
    yield _paragraph(held, page)


def _paragraph(lines: Sequence[str], page: int) -> Piece:
    return Piece("text", unwrapped(_hyphen.sub("", "\n".join(lines))), 0, page)


def _level(line: str, page: int, headings: dict[tuple[int, str], int], usual: float) -> int:
    """The level of a heading: one of the bookmarks, or a short numbered line without a stop; 0 for none."""
    if not line or len(line) > 200:
        return 0
    if level := headings.get((page, _plain(line))):
        return level
    numbered = _numbered.match(line)
    if numbered and line[-1] not in _stops and len(line) < 0.8 * usual:
        return numbered["number"].count(".") + 1
    return 0
