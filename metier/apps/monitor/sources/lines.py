"""Lines of bytes to `Received`: JSON objects and rows of CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from metier.apps.monitor.item import Received
from metier.apps.monitor.sources import DOCUMENT
from metier.errors import DataError

ENCODINGS = ("utf-8", "gb18030", "gbk", "gb2312", "big5", "shift_jis", "euc-jp", "euc-kr", "latin-1", "cp1252")
"""Those in which the byte of a line's end is never part of another character."""
DELIMITERS = ",;\t|"
ROW = 1_000
"""Lines that a row of CSV may go over."""
SHOWN = 1_000
"""Bytes of an overlong line that are kept."""


def json_line(line: bytes, source: str, at: float, encoding: str = "utf-8") -> Received:
    """The object in a line; a `Received` with a fault, and the line as it is, where there is none."""
    try:
        value = orjson.loads(line if encoding == "utf-8" else line.decode(encoding).encode())
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        value, fault = _with_care(line, encoding)
        if fault:
            return Received(source, readable(line, encoding), at, fault)
    if type(value) is dict:
        return Received(source, value, at)
    return Received(source, readable(line, encoding), at, f"{_kind(value)} instead of an object with fields")


def overlong(line: bytes, source: str, at: float, encoding: str = "utf-8") -> Received:
    """What is kept of a line of more than `DOCUMENT` bytes, given its beginning."""
    fault = f"longer than {DOCUMENT >> 20} MB; only its beginning was kept"
    return Received(source, readable(line[:SHOWN], encoding), at, fault)


def numbered(received: Received, line: int) -> Received:
    """The same with the number of its line in what is wrong with it."""
    return replace(received, fault=f"line {line}: {received.fault}")


def readable(line: bytes, encoding: str = "utf-8") -> str:
    r"""A line as text, with `\x..` for the bytes that are none."""
    return line.decode(encoding, "backslashreplace")


def checked_encoding(name: str) -> str:
    """The name of an encoding that files may have. Raises `DataError` for another."""
    plain = name.lower().replace("_", "-").replace("utf8", "utf-8").replace("shift-jis", "shift_jis")
    if plain not in ENCODINGS:
        raise DataError(
            f"Files that grow cannot be read as {name!r}.", expected=f"one of {', '.join(ENCODINGS)}",
            hint="convert it on its way, for example with iconv",
        )  # fmt: skip
    return plain


def _with_care(line: bytes, encoding: str) -> tuple[Any, str]:
    """`(value, fault)` of what orjson refuses: half surrogates, NaN and infinities are in files of this world."""
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        return None, f"not {encoding.upper()}: byte 0x{line[error.start]:02x} at {error.start}"
    try:
        return json.loads(text), ""
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error.msg} at character {error.pos + 1}"
    except (RecursionError, ValueError) as error:
        return None, "not JSON: nested too deep" if isinstance(error, RecursionError) else f"not JSON: {error}"


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", str: "a text"}
    return names.get(type(value), "nothing")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How lines are read: how many documents at most, when they arrived, the number of the line before the first one,
    and whether nothing follows the last one."""

    limit: int
    at: float
    before: int = 0
    final: bool = False


class JsonLines:
    """One JSON object a line; blank lines are nothing."""

    def __init__(self, source: str, encoding: str = "utf-8") -> None:
        self.source, self.encoding = source, encoding

    def read(self, lines: Sequence[bytes], wanted: Wanted) -> tuple[list[Received], int]:
        """`(documents, lines that they took)`."""
        found = []
        taken = 0
        for taken, line in enumerate(lines, 1):
            if not line or line.isspace():
                continue
            received = json_line(line, self.source, wanted.at, self.encoding)
            found.append(numbered(received, wanted.before + taken) if received.fault else received)
            if len(found) == wanted.limit:
                break
        return found, taken


class Csv:
    """Rows of a CSV file (RFC 4180) under the names in its first row; a row may go over several lines.

    Of a row that is wrong its first line is set aside, and the next line is tried as a row.
    """

    def __init__(self, source: str, encoding: str = "utf-8") -> None:
        # the module's own limit of 128 KB is far below that of a document
        csv.field_size_limit(max(csv.field_size_limit(), DOCUMENT))
        self.source, self.encoding = source, encoding
        self.names: list[str] = []
        self.delimiter = ","

    def named(self, header: bytes) -> None:
        """Takes the names of the columns, and what stands between them, from the first line."""
        first = header.decode(self.encoding, "replace").strip("\r\n \ufeff")
        self.delimiter = max(DELIMITERS, key=first.count)
        self.names = [name.strip() for name in next(csv.reader([first], delimiter=self.delimiter), [])]

    def read(self, lines: Sequence[bytes], wanted: Wanted) -> tuple[list[Received], int]:
        """`(documents, lines that they took)`; ends before a row whose end is not there yet."""
        found: list[Received] = []
        taken = 0
        while taken < len(lines) and len(found) < wanted.limit:
            if not lines[taken] or lines[taken].isspace():
                taken += 1
                continue
            if not self.names:
                self.named(lines[taken])
                taken += 1
                continue
            row = self._row(lines, taken, wanted)
            if row is None:
                break
            found.append(numbered(row[0], wanted.before + taken + 1) if row[0].fault else row[0])
            taken += row[1]
        return found, taken

    def _row(self, lines: Sequence[bytes], start: int, wanted: Wanted) -> tuple[Received, int] | None:
        """`(row, lines that it took)` of the row that begins at a line."""
        at = wanted.at
        reader = csv.reader(
            (self._line(line) for line in lines[start : start + ROW]), delimiter=self.delimiter, strict=True
        )
        try:
            values = next(reader)
        except csv.Error as error:
            if "end of data" in str(error) and len(lines) - start < ROW and not wanted.final:
                return None
            return self._fault(lines[start], at, f"not CSV: {error}"), 1
        except UnicodeDecodeError:
            return self._fault(lines[start], at, f"not {self.encoding.upper()}"), 1
        if len(values) != len(self.names):
            said = f"{len(values)} values, where the first line names {len(self.names)} columns"
            return self._fault(lines[start], at, said), 1
        return Received(self.source, dict(zip(self.names, values, strict=True)), at), reader.line_num

    def _line(self, line: bytes) -> str:
        return line.decode(self.encoding).removesuffix("\r") + "\n"

    def _fault(self, line: bytes, at: float, fault: str) -> Received:
        return Received(self.source, readable(line, self.encoding), at, fault)
