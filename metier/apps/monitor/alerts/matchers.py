"""Labels and what matches them, as in Prometheus Alertmanager.

The syntax and the meaning are those of its documentation ("Label matchers" in
https://prometheus.io/docs/alerting/latest/configuration/): four operators, patterns anchored at both ends, a label that
is missing is the same as one that is empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from metier.apps.monitor.alerts.patterns import pattern
from metier.errors import RecipeError

Labels = Mapping[str, str]
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
RESERVED = frozenset("{}!=~,\\\"'`")
"""Signs that a value holds only in quotes."""
OFFSET, PRIME, WIDTH = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
"""Of the hash FNV-1a with 64 bits (Fowler, Noll and Vo)."""


@dataclass(frozen=True, slots=True, order=True)
class Matcher:
    """What one label has to be. Raises `RecipeError` for a pattern that is wrong.

    Args:
        name: of the label.
        value: the text or the pattern.
        operator: `=`, `!=`, `=~` or `!~`.
    """

    name: str
    value: str
    operator: str = "="

    def __post_init__(self) -> None:
        if "~" in self.operator:
            pattern(self.value)

    def matches(self, labels: Labels) -> bool:
        """Whether the labels fulfil it."""
        found = labels.get(self.name, "")
        hit = pattern(self.value).matches(found) if "~" in self.operator else found == self.value
        return hit != self.operator.startswith("!")

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{quoted(self.value)}"


def matching(matchers: Sequence[Matcher], labels: Labels) -> bool:
    """Whether the labels fulfil all of them; without any, everything matches."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse(text: str) -> tuple[Matcher, ...]:
    """Matchers, separated by commas, in braces or not: `{severity="critical", company=~"Acme.*"}`.

    Raises:
        RecipeError: for a text that is none, and for a pattern that is wrong.
    """
    inside = text.strip()
    if inside.startswith("{") != inside.endswith("}"):
        raise _wrong(text)
    inside = inside[1:-1] if inside.startswith("{") else inside
    pieces = _pieces(inside)
    if len(pieces) > 1 and not pieces[-1].strip():
        pieces = pieces[:-1]  # one comma may come last
    found = tuple(_one(piece) for piece in pieces) if inside.strip() else ()
    return found


def as_json(matchers: Sequence[Matcher]) -> list[dict[str, Any]]:
    """Matchers as the API of Alertmanager writes them; see `from_json`."""
    return [
        {
            "name": one.name,
            "value": one.value,
            "isRegex": one.operator.endswith("~"),
            "isEqual": not one.operator.startswith("!"),
        }
        for one in matchers
    ]


def from_json(plain: Any) -> tuple[Matcher, ...]:
    """The matchers that `as_json` wrote, or a client did. Raises `RecipeError` for what is none."""
    found = []
    for one in plain if isinstance(plain, list) else [plain]:
        name, value = (one.get("name"), one.get("value")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(value, str):
            raise _wrong(str(one))
        equal, regex = one.get("isEqual", True) is not False, one.get("isRegex", False) is True
        found.append(Matcher(name, value, {(1, 0): "=", (0, 0): "!=", (1, 1): "=~", (0, 1): "!~"}[equal, regex]))
    return tuple(found)


def group_name(matchers: Sequence[Matcher]) -> str:
    """Matchers as Alertmanager writes them into a group key: in order, in braces."""
    return "{" + ",".join(str(matcher) for matcher in sorted(matchers)) + "}"


def label_text(labels: Labels) -> str:
    """Labels as Alertmanager writes them into a group key: `{company="Acme", topic="fraud"}`."""
    return "{" + ", ".join(f"{name}={quoted(labels[name])}" for name in sorted(labels)) + "}"


def quoted(value: str) -> str:
    """A value in double quotes, with a backslash before those, before backslashes, and for the end of a line."""
    return '"' + value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') + '"'


def fingerprint(labels: Labels) -> str:
    """The 16 hexadecimal digits by which Alertmanager knows a set of labels.

    FNV-1a over each name and value in the order of the names, a byte 255, which UTF-8 never holds, after each
    (`LabelSet.Fingerprint` of Prometheus).
    """
    return _hashed(tuple(sorted(labels.items())))


@lru_cache(maxsize=10_000)
def _hashed(pairs: tuple[tuple[str, str], ...]) -> str:
    found = OFFSET
    for pair in pairs:
        for part in pair:
            for byte in part.encode("utf-8", errors="replace") + b"\xff":
                found = (found ^ byte) * PRIME & WIDTH
    return f"{found:016x}"


def _pieces(text: str) -> list[str]:
    """A text cut at the commas that are in no quotes."""
    pieces, start, inside, escaped = [], 0, False, False
    for place, sign in enumerate(text):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif sign == '"':
            inside = not inside
        elif sign == "," and not inside:
            pieces.append(text[start:place])
            start = place + 1
    return [*pieces, text[start:]]


def _one(text: str) -> Matcher:
    found = MATCHER.fullmatch(text)
    if not found:
        raise _wrong(text)
    name, operator, value = found.groups()
    if value.startswith('"'):
        if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', value, re.DOTALL):
            raise _wrong(text)
        signs = {"n": "\n", '"': '"', "\\": "\\"}
        value = re.sub(r"\\(.)", lambda sign: signs.get(sign[1], sign[0]), value[1:-1], flags=re.DOTALL)
    elif not value or (RESERVED | set(" \t\r\n")) & set(value):
        raise _wrong(text)
    return Matcher(name, value, operator)


def _wrong(text: str) -> RecipeError:
    return RecipeError(
        f"{text[:80]!r} is no matcher.",
        expected='a label, one of = != =~ !~ and a value in double quotes, such as severity="critical"',
    )
