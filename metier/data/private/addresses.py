"""E-mail addresses, also written out (`ann (at) example (dot) com`), and public internet addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from metier.data.private.cues import Cues
from metier.data.private.numbers import Span

LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-'"
"""Characters that are used before the @ (RFC 5322 allows more, which nobody uses)."""
LONGEST = 64
_at = re.compile(r" ?[(\[{<] ?(?:at|@|艾特) ?[)\]}>] ?|@", re.IGNORECASE)
_domain = re.compile(
    r" ?[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:(?:\.| ?[(\[{] ?(?:dot|点) ?[)\]}] ?)[A-Za-z0-9-]{1,63}){0,6}?"
    r"(?:\.| ?[(\[{] ?(?:dot|点) ?[)\]}] ?)(?:[A-Za-z]{2,24})(?![A-Za-z0-9-])(?!\.[A-Za-z0-9])",
    re.IGNORECASE,
)
_dot = re.compile(r" ?[(\[{] ?(?:dot|点) ?[)\]}] ?", re.IGNORECASE)
_four = re.compile(r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_six = re.compile(r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![0-9A-Za-z:])")


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses. What stands before the @ is read backwards, so that long words cost nothing."""
    done = 0
    for match in _at.finditer(text):
        window = text[max(done, match.start() - LONGEST) : match.start()]
        local = window[len(window.rstrip(LOCAL)) :].lstrip(".-'")
        domain = _domain.match(text, match.end()) if local else None
        if domain:
            done = domain.end()
            yield match.start() - len(local), done, "email", f"{local}@{_dot.sub('.', domain[0]).strip()}".lower()


def addresses(text: str, cues: Cues) -> Iterator[Span]:
    """Internet addresses that are seen from outside; 192.168.0.1 says nothing about anybody, 1.2.3.4 is a version."""
    for pattern in (_four, _six):
        for match in pattern.finditer(text):
            if cues.before(match.start())[0] != "code" and _public(match[0]):
                yield match.start(), match.end(), "ip", match[0].lower()


def _public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False
