"""Tickers in a text: `$AAPL`, `(AAPL)`, `<AAPL.O>`, `NYSE:IBM`, `600519.SH`, and bare where they are no word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metier.apps.monitor.companies.names import WORDS

BARE = 0.8
"""How sure a ticker without any sign of one is."""
_EXCHANGE = (
    r"(?:NYSE|NASDAQ|NASD|NASQ|AMEX|LSE|LON|TSE|TYO|TSX|HKEX|HKG|HKSE|SSE|SZSE|SHA|SHE|BSE|NSE|ASX|ETR|FRA|EPA"
    r"|OTC(?:MKTS)?)"
)
_SYMBOL = r"[A-Z0-9]{1,6}(?:[.\-/][A-Z]{1,3})?"
_FORMAL = re.compile(
    rf"\$(?P<cash>[A-Za-z]{{1,6}}(?:\.[A-Za-z]{{1,2}})?)(?![A-Za-z0-9])"
    rf"|(?<![A-Za-z0-9]){_EXCHANGE}\s?:\s?(?P<exchange>{_SYMBOL})(?![A-Za-z0-9])"
    rf"|<(?P<angle>{_SYMBOL})>"
    rf"|[(\[](?P<bracket>{_SYMBOL})[)\]]"
    r"|(?<![A-Za-z0-9.])(?P<suffix>(?:\d{4,6}|[A-Z]{1,5})\.(?:SH|SZ|SS|BJ|HK|US|L|O|N|OQ|T|DE|PA|AX|TO|KS|NS|BO))(?![A-Za-z0-9])"
)
_PLAIN = re.compile(r"(?<![A-Za-z0-9$&.\-])[A-Z][A-Z0-9]{1,5}(?![A-Za-z0-9&\-])")
_PREFIX = re.compile(rf"^(?:{_EXCHANGE})\s*:\s*", re.IGNORECASE)
_CODE = re.compile(r"[.](?:SH|SZ|SS|BJ|HK|US|L|O|N|OQ|T|DE|PA|AX|TO|KS|NS|BO)$")


@dataclass(frozen=True, slots=True)
class Ticker:
    """Characters `start` to `end` of a text, whose ticker that is, and whether it stands there in the form of one."""

    start: int
    end: int
    companies: tuple[str, ...]
    formal: bool
    score: float


class Tickers:
    """The tickers of the companies.

    Args:
        pairs: ticker and id of a company.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._companies: dict[str, list[str]] = {}
        for ticker, company in pairs:
            for form in _forms(ticker):
                owners = self._companies.setdefault(form, [])
                if company not in owners:
                    owners.append(company)

    def shared(self) -> list[tuple[str, Sequence[str]]]:
        """Tickers of several companies."""
        return sorted((ticker, sorted(ids)) for ticker, ids in self._companies.items() if len(ids) > 1)

    def find(self, text: str, shouted: bool) -> list[Ticker]:
        """The tickers in a narrowed text; known ones without the form of a ticker only where case says something."""
        found = []
        for match in _FORMAL.finditer(text):
            symbol = next(group for group in match.groups() if group)
            companies = self._whose(symbol.upper())
            certain = match.lastgroup != "bracket" and (match.lastgroup != "cash" or symbol.isupper())
            if companies or (certain and not symbol.isdigit()):
                found.append(Ticker(match.start(), match.end(), companies, True, 1.0))
        if not shouted:
            taken = {at for one in found for at in range(one.start, one.end)}
            for match in _PLAIN.finditer(text):
                symbol = match.group()
                if symbol in self._companies and symbol.lower() not in WORDS and match.start() not in taken:
                    found.append(Ticker(match.start(), match.end(), self._whose(symbol), False, BARE))
        return found

    def _whose(self, symbol: str) -> tuple[str, ...]:
        for form in _forms(symbol):
            if form in self._companies:
                return tuple(self._companies[form])
        return ()


def _forms(ticker: str) -> list[str]:
    """A ticker as it is written, without its exchange, and without the code of one behind it, in capitals."""
    symbol = _PREFIX.sub("", ticker.strip()).upper()
    short = _CODE.sub("", symbol)
    forms = [symbol, short, symbol.replace("-", ".").replace("/", ".")]
    if short.isdigit():
        forms.append(short.lstrip("0"))
    return list(dict.fromkeys(form for form in forms if form))
