"""Reads one PDF in a process of its own, which may be slow, large or end in any way.

A PDF can ask for any amount of work. What is read goes to standard output as JSON: `title`, `pages` (a text each) and
`outline` (`[level, title, page]`), or `error` (one line).
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pypdf import PdfReader

DEEPEST = 6


def main(path: str, pages: int, characters: int, memory: int, seconds: int) -> dict[str, Any]:
    """What the file holds, or why not."""
    _bound(memory, seconds)
    logging.disable(logging.CRITICAL)  # what it warns of is nothing that its owner can mend
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, FileNotDecryptedError
    except ImportError:
        return {"missing": "pypdf"}
    try:
        reader = PdfReader(path, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            return {"error": "is encrypted: it opens with a password only", "hint": "save it without one"}
        return _content(reader, pages, characters)
    except (FileNotDecryptedError, DependencyError):
        return {"error": "is encrypted", "hint": "save it without encryption"}
    except MemoryError:
        return {"error": "needs more memory to read than it may have", "hint": "print it to a PDF again"}
    except RecursionError:
        return {"error": "is a broken PDF (it refers to itself)", "hint": "print it to a PDF again"}
    except Exception as error:  # noqa: BLE001 - a broken file meets any line of the parser
        return {
            "error": f"is a broken PDF ({type(error).__name__}: {str(error)[:200]})",
            "hint": "print it to a PDF again",
        }


def _bound(memory: int, seconds: int) -> None:
    import resource

    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 0)):
        try:
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
        except (ValueError, OSError):  # a system that does not know it: the deadline still holds
            continue


def _content(reader: PdfReader, pages: int, characters: int) -> dict[str, Any]:
    if len(reader.pages) > pages:
        return {
            "error": f"has {len(reader.pages):,} pages, more than {pages:,}",
            "hint": "split it, or raise the limit",
        }
    found: list[str] = []
    size = 0
    for page in reader.pages:
        found.append(page.extract_text() or "")
        size += len(found[-1])
        if size > characters:
            return {"error": f"has more than {characters:,} characters", "hint": "split it, or raise the limit"}
    title = reader.metadata.title if reader.metadata else None
    return {"title": str(title or ""), "pages": found, "outline": _outline(reader)}


def _outline(reader: PdfReader) -> list[list[Any]]:
    """The bookmarks; none where they are broken."""
    found: list[list[Any]] = []

    def walk(entries: list[Any], level: int) -> None:
        for entry in entries[:5_000]:
            if isinstance(entry, list):
                if level < DEEPEST:
                    walk(entry, level + 1)
            elif len(found) < 5_000:
                found.append([level, str(entry.title), (reader.get_destination_page_number(entry) or 0) + 1])

    try:
        walk(reader.outline, 1)
    except Exception:  # noqa: BLE001 - the text is worth more than its bookmarks
        return []
    return found


if __name__ == "__main__":
    numbers = [int(value) for value in sys.argv[2:6]]
    answer = orjson.dumps(main(sys.argv[1], *numbers), default=str)
    sys.stdout.buffer.write(answer)
