"""DOCX (ECMA-376): a zip file of XML, read with limits, for both can be made to grow without end."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from metier.data.papers.paper import Limits, Piece
from metier.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAIN = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
TITLE = "{http://purl.org/dc/elements/1.1/}title"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
LEFT_OUT = frozenset(
    {f"{MAIN}{name}" for name in ("del", "moveFrom", "instrText", "delText", "rPr", "pPr")} | {FALLBACK}
)
SMALL = 1 << 20
"""Bytes up to which it does not matter how well something was compressed."""
DEEPEST = 200
_heading = re.compile(r"(?:heading|\u6807\u9898|titre|\u00fcberschrift|berschrift) ?([1-9])\Z", re.IGNORECASE)


def from_docx(path: Path, limits: Limits) -> tuple[str, list[Piece]]:
    """The title and the blocks of a document. Raises `DataError` for what is none, is broken, or grows too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(path, archive, limits)
            levels = _levels(_tree(path, archive, "word/styles.xml"))
            body = _tree(path, archive, "word/document.xml")
            title = _tree(path, archive, "docProps/core.xml")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _broken(path, str(error) or type(error).__name__) from error
    if body is None:
        raise DataError(
            f"{path.name} is no Word document: it holds no word/document.xml.", hint="save it as .docx again"
        )
    stated = title.findtext(f".//{TITLE}") if title is not None else ""
    container = body.find(f"{MAIN}body")
    return stated or "", list(_blocks(container, levels, 0)) if container is not None else []


def _check(path: Path, archive: zipfile.ZipFile, limits: Limits) -> None:
    entries = archive.infolist()
    size, packed = sum(entry.file_size for entry in entries), max(1, path.stat().st_size)
    if len(entries) > limits.entries:
        found = f"{len(entries):,} files"
    elif size > limits.unzipped:
        found = f"{size:,} bytes when unzipped"
    elif size > SMALL and size / packed > limits.ratio:
        found = f"{size // packed} times its size when unzipped"
    else:
        return
    raise DataError(
        f"{path.name} holds {found}, more than any document.",
        expected=f"at most {limits.entries:,} files, {limits.unzipped:,} bytes and {limits.ratio} times its size",
        hint="save it as .docx again without pictures, or leave it out",
    )


def _tree(path: Path, archive: zipfile.ZipFile, name: str) -> Element | None:
    """The XML of a file of the archive; `None` where there is none. What it says about its size was checked."""
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    except ImportError:
        raise MissingExtra("defusedxml", "apps") from None
    try:
        entry = archive.getinfo(name)
    except KeyError:
        return None
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)
    try:
        parse: Any = fromstring
        root: Element = parse(content, forbid_dtd=True)
        return root
    except DefusedXmlException as error:
        raise DataError(f"{path.name} declares XML entities, which no document needs.", hint="leave it out") from error
    except (ParseError, ValueError, LookupError) as error:
        raise _broken(path, f"{name}: {error}") from error


def _broken(path: Path, why: str) -> DataError:
    return DataError(f"{path.name} is a broken Word document ({why}).", hint="open it and save it as .docx again")


def _levels(styles: Element | None) -> dict[str, int]:
    """The level of each paragraph style that is a heading's, by its outline level or its name."""
    found: dict[str, int] = {}
    for style in styles.iter(f"{MAIN}style") if styles is not None else ():
        name = style.find(f"{MAIN}name")
        named = _heading.match(name.get(f"{MAIN}val", "")) if name is not None else None
        outline = style.find(f"{MAIN}pPr/{MAIN}outlineLvl")
        if named:
            found[style.get(f"{MAIN}styleId", "")] = int(named[1])
        elif outline is not None and outline.get(f"{MAIN}val", "9") in "012345678":
            found[style.get(f"{MAIN}styleId", "")] = int(outline.get(f"{MAIN}val", "0")) + 1
    return found


def _blocks(parent: Element, levels: dict[str, int], depth: int) -> Iterator[Piece]:
    if depth > DEEPEST:
        return
    for child in parent:
        if child.tag == f"{MAIN}p":
            yield _paragraph(child, levels)
        elif child.tag == f"{MAIN}tbl":
            rows = (" | ".join(filter(None, map(_cell, _cells(row)))) for row in child.iter(f"{MAIN}tr"))
            yield Piece("lines", "\n".join(rows))
        elif child.tag not in LEFT_OUT:  # content controls, insertions
            yield from _blocks(child, levels, depth + 1)


def _cells(row: Element) -> Iterator[Element]:
    """The cells of a row, also those in content controls; rows of a table in a cell are rows of their own."""
    yield from row.findall(f"{MAIN}tc")
    yield from row.findall(f"{MAIN}sdt/{MAIN}sdtContent/{MAIN}tc")


def _cell(cell: Element) -> str:
    return " ".join(" ".join(_text(part) for part in cell.findall(f"{MAIN}p")).split())


def _paragraph(paragraph: Element, levels: dict[str, int]) -> Piece:
    style = paragraph.find(f"{MAIN}pPr/{MAIN}pStyle")
    name = style.get(f"{MAIN}val", "") if style is not None else ""
    outline = paragraph.find(f"{MAIN}pPr/{MAIN}outlineLvl")
    level = levels.get(name, 0)
    if outline is not None and outline.get(f"{MAIN}val", "9") in "012345678":
        level = int(outline.get(f"{MAIN}val", "0")) + 1
    if not level and (named := re.fullmatch(r"Heading([1-9])", name)):
        level = int(named[1])
    return Piece("heading" if level else "text", _text(paragraph), level)


def _text(element: Element) -> str:
    """The text below an element, without what was deleted; walked without recursion, for it may be nested deeply."""
    found: list[str] = []
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag == f"{MAIN}t":
            found.append(child.text or "")
        elif child.tag in (f"{MAIN}tab", f"{MAIN}br", f"{MAIN}cr"):
            found.append(" ")
        elif child.tag == f"{MAIN}noBreakHyphen":
            found.append("-")
        elif child.tag not in LEFT_OUT:
            stack.append(iter(child))
    return "".join(found)
