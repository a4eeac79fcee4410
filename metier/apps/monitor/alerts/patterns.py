"""Patterns of matchers that cannot be made slow: read as RE2 reads them, matched in time linear in the text.

A pattern becomes a program of a non-deterministic automaton (Thompson 1968), which is run over the text with all its
threads at once and never goes back (Pike's machine, as described by Cox 2009). The time is at most
`characters × instructions`, and both are bounded, so that a pattern that an operator or an API client writes cannot
stop the monitor, as one of Python's `re` can.

Known: literals, `.`, `[a-z]`, `[^a]`, `\\d \\w \\s \\D \\W \\S` (ASCII, as in RE2), groups, `|`, `* + ? {m,n}` and
their lazy forms, `^ $`, a leading `(?i)`. Back-references and looking around are refused, as RE2 refuses them; classes
of Unicode and of POSIX, flags further in and `\\b`, which RE2 knows, are refused because labels need none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from metier.errors import RecipeError

LENGTH, DEPTH, REPEATS, PROGRAM = 1_000, 50, 1_000, 2_000
"""Most characters of a pattern, groups in groups, repetitions `{m,n}` (RE2's own), and instructions of a program."""
TEXT = 1_000
"""Characters of a text that are matched; a longer text matches nothing. No label is as long."""

Ranges = tuple[tuple[int, int], ...]
LAST = 0x10FFFF
_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 10), (12, 13), (32, 32))
CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
LETTERS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
ANY: Ranges = ((0, 9), (11, LAST))
"""What `.` stands for: everything but the end of a line."""


class _Refused(Exception):
    """What is wrong with a pattern, in words."""


@dataclass(frozen=True, slots=True)
class One:
    """One character out of some ranges."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Edge:
    """The begin (`^`) or the end (`$`) of the text."""

    end: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Parts one after another."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part `low` to `high` times; `None`: without an end."""

    part: Node
    low: int
    high: int | None


Node = One | Edge | Row | Either | Repeat


@dataclass(slots=True)
class Step:
    """One instruction: `one` takes a character, `begin` and `end` ask where we are, `split` goes both ways."""

    kind: str
    ranges: Ranges = ()
    first: int = 0
    second: int = 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that is ready. Equal where its text is."""

    text: str
    steps: tuple[Step, ...]
    folded: bool

    def matches(self, text: str) -> bool:
        """Whether the whole text fits (both ends are anchored, as in Alertmanager). Answers are kept for a while."""
        return len(text) <= TEXT and _matches(self.text, text)

    def run(self, text: str) -> bool:
        """As `matches`, worked out anew, for a text of any length."""
        threads = self._closure([0], at=0, end=len(text))
        for at, character in enumerate(text):
            codes = {ord(character)}
            if self.folded:
                codes |= {ord(form) for form in (character.lower(), character.upper()) if len(form) == 1}
            taken = [self.steps[thread].first for thread in threads if _takes(self.steps[thread], codes)]
            if not taken:
                return False
            threads = self._closure(taken, at + 1, len(text))
        return any(self.steps[thread].kind == "match" for thread in threads)

    def _closure(self, threads: list[int], at: int, end: int) -> set[int]:
        """Every instruction that is reached without taking a character."""
        seen: set[int] = set()
        waiting = list(threads)
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            step = self.steps[place]
            if step.kind == "split":
                waiting += [step.first, step.second]
            elif step.kind == "jump" or (step.kind == "begin" and at == 0) or (step.kind == "end" and at == end):
                waiting.append(step.first)
        return seen


@lru_cache(maxsize=10_000)
def _matches(text: str, label: str) -> bool:
    return pattern(text).run(label)


def _takes(step: Step, codes: set[int]) -> bool:
    return step.kind == "one" and any(low <= code <= high for code in codes for low, high in step.ranges)


@lru_cache(maxsize=1_024)
def pattern(text: str) -> Pattern:
    """A pattern, made ready. Raises `RecipeError` for one that is wrong, too long or too large."""
    try:
        if len(text) > LENGTH:
            raise _Refused(f"has {len(text)} characters, of which at most {LENGTH} are read")
        folded = text.startswith("(?i)")
        reader = _Reader(text[4:] if folded else text)
        tree = reader.choice()
        if reader.at < len(reader.text):
            raise _Refused("has a ')' that nothing opens")
        program: list[Step] = []
        _write(tree, program)
    except _Refused as error:
        raise RecipeError(
            f"The pattern {text[:80]!r} {error}.", expected="a regular expression as RE2 reads it"
        ) from None
    program.append(Step("match"))
    return Pattern(text, tuple(program), folded)


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def choice(self) -> Node:
        self.depth += 1
        if self.depth > DEPTH:
            raise _Refused(f"has more than {DEPTH} groups in one another")
        parts = [self._row()]
        while self._next("|"):
            parts.append(self._row())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _row(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return Row(tuple(parts))

    def _next(self, sign: str) -> bool:
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def _take(self) -> str:
        if self.at >= len(self.text):
            raise _Refused("ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def _atom(self) -> Node:
        sign = self._take()
        if sign == "(":
            if self._next("?") and not self._next(":"):
                raise _Refused("looks around or names a group, which is not known here")
            inside = self.choice()
            if not self._next(")"):
                raise _Refused("has a '(' that nothing closes")
            return inside
        if sign == "[":
            return One(self._bracket())
        if sign in "*+?":
            raise _Refused(f"repeats nothing with {sign!r}")
        if sign in "^$":
            return Edge(sign == "$")
        if sign == "\\":
            return One(self._escaped())
        return One(ANY if sign == "." else ((ord(sign), ord(sign)),))

    def _escaped(self) -> Ranges:
        sign = self._take()
        if sign.lower() in CLASSES:
            found = CLASSES[sign.lower()]
            return _others(found) if sign.isupper() else found
        if sign in LETTERS:
            return ((ord(LETTERS[sign]), ord(LETTERS[sign])),)
        if sign.isascii() and sign.isalnum():
            raise _Refused(f"holds \\{sign}, which is not known here")
        return ((ord(sign), ord(sign)),)

    def _bracket(self) -> Ranges:
        negated, ranges = self._next("^"), []
        first = True
        while first or not self._next("]"):
            first = False
            low = self._edge()
            alone = len(low) == 1 and low[0][0] == low[0][1]
            if alone and not self.text.startswith("-]", self.at) and self._next("-"):
                high = self._edge()
                if len(high) != 1 or high[0][0] < low[0][0]:
                    raise _Refused("has a range in brackets that runs backwards")
                low = ((low[0][0], high[0][1]),)
            ranges += list(low)
        return _others(tuple(ranges)) if negated else tuple(ranges)

    def _edge(self) -> Ranges:
        sign = self._take()
        return self._escaped() if sign == "\\" else ((ord(sign), ord(sign)),)

    def _repeated(self, part: Node) -> Node:
        counts = self._counts()
        if counts is None:
            return part
        self._next("?")  # lazy: what matches as a whole is the same
        if self._counts() is not None:
            raise _Refused("repeats a repetition; put it in a group")
        return Repeat(part, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._next(sign):
                return counts
        close = self.text.find("}", self.at)
        if not self.text.startswith("{", self.at) or close < 0:
            return None
        low, comma, high = self.text[self.at + 1 : close].partition(",")
        if not low.isdecimal() or (high and not high.isdecimal()) or not (low + high).isascii():
            return None  # a brace that counts nothing is a brace, as in RE2
        self.at = close + 1
        least, most = int(low), (int(high) if high else None) if comma else int(low)
        if max(least, most or 0) > REPEATS or (most is not None and most < least):
            raise _Refused(f"repeats {{{low}{comma}{high}}} times; at most {REPEATS}, the smaller number first")
        return least, most


def _others(ranges: Ranges) -> Ranges:
    """Every character that is in none of the ranges."""
    found, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return (*found, (start, LAST)) if start <= LAST else tuple(found)


def _write(node: Node, program: list[Step]) -> None:
    """Appends the instructions of a node; they end where the next one begins."""
    if len(program) > PROGRAM:
        raise _Refused(f"makes more than {PROGRAM} instructions")
    if isinstance(node, One):
        program.append(Step("one", node.ranges, len(program) + 1))
    elif isinstance(node, Edge):
        program.append(Step("end" if node.end else "begin", (), len(program) + 1))
    elif isinstance(node, Row):
        for part in node.parts:
            _write(part, program)
    elif isinstance(node, Either):
        _write_either(node.parts, program)
    else:
        _write_repeat(node, program)


def _write_either(parts: tuple[Node, ...], program: list[Step]) -> None:
    jumps = []
    for part in parts[:-1]:
        split = Step("split", (), len(program) + 1)
        program.append(split)
        _write(part, program)
        jumps.append(Step("jump"))
        program.append(jumps[-1])
        split.second = len(program)
    _write(parts[-1], program)
    for jump in jumps:
        jump.first = len(program)


def _write_repeat(node: Repeat, program: list[Step]) -> None:
    for _ in range(node.low):
        _write(node.part, program)
    if node.high is None:
        start = len(program)
        split = Step("split", (), start + 1)
        program.append(split)
        _write(node.part, program)
        program.append(Step("jump", (), start))
        split.second = len(program)
        return
    splits = []
    for _ in range(node.high - node.low):
        splits.append(Step("split", (), len(program) + 1))
        program.append(splits[-1])
        _write(node.part, program)
    for split in splits:
        split.second = len(program)
