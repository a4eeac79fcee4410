"""The table of companies: `id, name, aliases, ticker, parent`, and, where there are, `sector` and `description`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metier.errors import DataError, nearest

REQUIRED = ("id", "name")
COLUMNS = ("id", "name", "aliases", "ticker", "parent", "sector", "description")
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Company:
    """One row of the table.

    Args:
        id: what series and alerts call it.
        name: its name in full, with or without the legal form.
        aliases: other names.
        tickers: with or without an exchange: `AAPL`, `NYSE:IBM`, `0700.HK`; several for share classes.
        parent: the id of the company that it is counted with; empty where there is none.
        about: its sector and description: their words tell it from others of the same name.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    tickers: tuple[str, ...] = ()
    parent: str = ""
    about: str = ""


def read_table(path: Path | str) -> list[Company]:
    """The companies of a CSV file, UTF-8.

    Raises:
        DataError: it is no such table; every mistake is told at once, with its line.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", expected="a CSV file of companies") from None
    except (ValueError, csv.Error) as error:  # no UTF-8, or a name that no file can have
        raise DataError(f"{path} is no CSV file in UTF-8: {error}.", hint="save it as CSV UTF-8") from None
    mistakes = [
        f"line {line}: {len(row)} fields, {len(header)} columns" for line, row in rows if len(row) != len(header)
    ]
    lines = [line for line, row in rows if len(row) == len(header)]
    companies = [_company(dict(zip(header, row, strict=True))) for _, row in rows if len(row) == len(header)]
    mistakes += _mistakes(companies, lines)
    if mistakes:
        raise _told(str(path), mistakes)
    return companies


def checked(companies: Iterable[Company]) -> list[Company]:
    """Companies made elsewhere, checked as those of a file.

    Raises:
        DataError: an id that is empty or there twice, an empty name, a parent that is unknown or its own.
    """
    found = list(companies)
    mistakes = _mistakes(found, None)
    if mistakes:
        raise _told("The table of companies", mistakes)
    return found


def _check_header(path: Path | str, header: Sequence[str]) -> None:
    expected = f"the columns {', '.join(COLUMNS)}, of which {' and '.join(REQUIRED)} must be there"
    twice = [name for name, times in Counter(header).items() if times > 1]
    for name in header:
        if name not in COLUMNS:
            raise DataError(f"{path} has a column {name!r}.{nearest(name, COLUMNS)}", expected=expected)
    if twice:
        raise DataError(f"{path} has the column {twice[0]!r} twice.", expected=expected)
    for name in REQUIRED:
        if name not in header:
            raise DataError(f"{path} has no column {name!r}.", expected=expected)


def _company(row: Mapping[str, str]) -> Company:
    fields = {name: row.get(name, "").strip() for name in COLUMNS}
    return Company(
        id=fields["id"],
        name=fields["name"],
        aliases=_split(fields["aliases"]),
        tickers=_split(fields["ticker"]),
        parent=fields["parent"],
        about=f"{fields['sector']} {fields['description']}".strip(),
    )


def _split(field: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in field.replace("\uff5c", "|").split("|") if part.strip()))


def _mistakes(companies: Sequence[Company], lines: Sequence[int] | None) -> list[str]:
    """What is wrong with the rows, each with its place."""
    found = []
    first: dict[str, str] = {}
    known = {company.id for company in companies}
    for at, company in enumerate(companies):
        place = f"line {lines[at]}" if lines else f"company {at + 1}"
        if not company.id:
            found.append(f"{place}: the id is empty")
        elif company.id in first:
            found.append(f"{place}: the id {company.id!r} is that of {first[company.id]}, too")
        first.setdefault(company.id, place)
        if not company.name:
            found.append(f"{place}: the name of {company.id!r} is empty")
        if company.parent and company.parent not in known:
            found.append(f"{place}: the parent {company.parent!r} is no id.{nearest(company.parent, known)}")
    return found + _circles({company.id: company.parent for company in companies})


def _circles(parents: Mapping[str, str]) -> list[str]:
    """Companies that are above themselves, each circle once."""
    found, done = [], set[str]()
    for start in parents:
        way: list[str] = []
        at = start
        while at in parents and at not in done and at not in way:
            way.append(at)
            at = parents[at]
        if at in way:
            found.append("a company is above itself: " + " -> ".join([*way[way.index(at) :], at]))
        done.update(way)
    return found


def _told(what: str, mistakes: Sequence[str]) -> DataError:
    shown = "\n".join(mistakes[:SHOWN]) + (f"\nand {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else "")
    return DataError(f"{what} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}:\n{shown}")
