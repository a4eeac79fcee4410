"""Train, valid and test: the data's own where it has them, else cut by label, by group or by time.

Whatever is cut is cut from rows that belong to no official part, or from train; official parts are never moved.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.types import Example, Span, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

PARTS = ("train", "valid", "test")
TIE = 1e-6
"""Weight of the lack of examples beside the lack of a label: it only decides between equals."""
ENOUGH = 5
"""Rows that a part must be due before labels are taken out of train for it."""
BINS = 10
"""Numbers are stratified by as many quantiles."""


@dataclass(frozen=True, slots=True)
class How:
    """How to cut: `fractions` of train, valid and test; `group` and `time` are keys of `Document.meta`."""

    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    group: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Division:
    """Examples that are all in train, valid or test; the rows that were left out, by reason; how each part was made."""

    examples: list[Example]
    ignored: Mapping[str, int]
    made: Mapping[str, str]

    def part(self, name: str) -> list[Example]:
        """The examples of one part, in the order of the data."""
        return [example for example in self.examples if example.split == name]


def split(examples: Sequence[Example], how: How | None = None, *, seed: int = 0) -> Division:
    """Every example in train, valid or test.

    Rows whose split has another name (or none, where others have one) are left out and counted. A part that the data
    does not have is cut from train: by time (the latest) if `how.time`, by whole groups if `how.group`, else
    stratified by the labels of all heads.

    Raises:
        DataError: no row is left to train on, or the group or time of a row is missing or unreadable.
    """
    how = how or How()
    official = any(example.split is not None for example in examples)
    kept = [example for example in examples if not official or example.split in PARTS]
    ignored = Counter(example.split or "(empty)" for example in examples if official and example.split not in PARTS)
    present = {example.split for example in kept} - {None}
    if not kept or (official and "train" not in present):
        names = ", ".join(sorted({*ignored, *map(str, present)})) or "none"
        raise DataError(
            f"No row belongs to the training split (splits: {names}).",
            expected="rows whose split is train, and perhaps valid and test",
            hint="name the column with --split, or drop it to have the data cut",
        )
    pool = [index for index, example in enumerate(kept) if example.split in (None, "train")]
    wanted = _wanted(how.fractions, {str(name) for name in present})
    parts = _cut([kept[index] for index in pool], wanted, how, np.random.default_rng(seed))
    placed = list(kept)
    for index, part in zip(pool, parts, strict=True):
        placed[index] = replace(kept[index], split=part)
    method = f"by {how.time}" if how.time else f"by {how.group}" if how.group else "stratified"
    made = {part: "official" if part in present else method for part in PARTS}
    return Division(placed, dict(ignored), made)


def _wanted(fractions: Sequence[float], present: set[str]) -> np.ndarray:
    """The shares `(3,)` of the pool that go to train, valid and test; 0 for a part that the data has itself."""
    shares = np.array(
        [0.0 if part in present and part != "train" else f for part, f in zip(PARTS, fractions, strict=True)]
    )
    if min(fractions) < 0 or shares[0] <= 0:
        raise DataError(
            f"The fractions {tuple(fractions)} leave nothing to train on.", expected="such as 0.8, 0.1, 0.1"
        )
    total: np.ndarray = shares / shares.sum()
    return total


def _cut(pool: Sequence[Example], shares: np.ndarray, how: How, rng: np.random.Generator) -> list[str]:
    if how.time:
        codes = by_time([_time(example, how.time) for example in pool], shares)
    elif how.group:
        codes = by_group([_group(example, how.group) for example in pool], shares, rng)
    else:
        codes = stratified([label_set(example.targets) for example in pool], shares, rng)
    return [PARTS[code] for code in codes]


# -- by label ----------------------------------------------------------------------------------------------------
def label_set(targets: Mapping[str, Target]) -> frozenset[Hashable]:
    """What an example is stratified by: every `(head, label)`; for spans their kinds, for numbers the number itself."""
    found: set[Hashable] = set()
    for head, target in targets.items():
        if isinstance(target, tuple):
            found |= {(head, item.label if isinstance(item, Span) else item) for item in target} or {(head, None)}
        else:
            found.add((head, target))
    return frozenset(found)


def stratified(labels: Sequence[frozenset[Hashable]], shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Parts `(n,)`, 0 to 2, such that every label is spread in proportion to `shares` `(3,)`."""
    labels = _binned(labels)
    if all(len(one) <= 1 for one in labels):
        return _filled(_spread([next(iter(one), None) for one in labels], shares, rng), labels, shares, rng)
    return _filled(iterative(labels, shares, rng), labels, shares, rng)


def _filled(
    parts: np.ndarray, labels: Sequence[frozenset[Hashable]], shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The same parts, none of them empty that is due some rows: labels so rare that all went to train spare them.

    Train spares rows whose labels it has elsewhere. Only where it has none of these, labels are tested that were never
    seen: that is an error which the figures show, while a part without a row would show nothing at all.
    """
    for part in (2, 1):
        due = int(shares[part] * len(parts))
        if due >= ENOUGH and not (parts == part).any():
            train = rng.permutation(np.flatnonzero(parts == 0)).tolist()
            spared = _spared(train, labels)[:due]
            parts[spared or train[:due]] = part
    return parts


def _spared(rows: Sequence[int], labels: Sequence[frozenset[Hashable]]) -> list[int]:
    """The rows, taken out one after the other, without which every label still occurs in the rest."""
    left = Counter(label for index in rows for label in labels[index])
    spared = []
    for index in rows:
        if all(left[label] > 1 for label in labels[index]):
            left.subtract(labels[index])
            spared.append(index)
    return spared


def _binned(labels: Sequence[frozenset[Hashable]]) -> Sequence[frozenset[Hashable]]:
    """Labels with the numbers of each head replaced by the quantile that they lie in."""
    numbers: dict[str, list[float]] = defaultdict(list)
    for one in labels:
        for head, value in _pairs(one):
            if isinstance(value, float):
                numbers[head].append(value)
    if not numbers:
        return labels
    edges = {head: np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]) for head, values in numbers.items()}

    def bin_of(head: str, value: Any) -> tuple[str, Hashable]:
        return (head, int(np.searchsorted(edges[head], value))) if isinstance(value, float) else (head, value)

    return [frozenset(bin_of(head, value) for head, value in _pairs(one)) for one in labels]


def _pairs(one: frozenset[Hashable]) -> list[tuple[str, Any]]:
    return [pair for pair in one if isinstance(pair, tuple)]


def _spread(classes: Sequence[Hashable], shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One class an example: classes one after another, shuffled within, each example to the part that lacks most.

    The parts get their share of every class to within one or two examples, and of the whole exactly; the first
    example of a class goes to train, so that no class is tested that was never seen.
    """
    codes = {name: code for code, name in enumerate(dict.fromkeys(classes))}
    order = rng.permutation(len(classes))
    numbered = np.array([codes[name] for name in classes], dtype=np.int64)
    order = order[np.argsort(numbered[order], kind="stable")]
    parts = np.zeros(len(classes), dtype=np.int64)
    lack = [0.0, 0.0, 0.0]
    plan = [float(share) for share in shares]
    before = -1
    for index in order.tolist():
        lack = [owed + share for owed, share in zip(lack, plan, strict=True)]
        code = int(numbered[index])
        part = 0 if code != before else lack.index(max(lack))
        parts[index], before = part, code
        lack[part] -= 1.0
    return parts


def iterative(labels: Sequence[frozenset[Hashable]], shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Iterative stratification of examples with several labels (Sechidis, Tsoumakas & Vlahavas 2011).

    The rarest label is dealt out first: each example that has it goes to the part that lacks most of that label, of
    equals to the one that lacks most examples. Here the first example of a label goes to train, and of labels that are
    equally rare those come first that train does not have yet. The method is greedy: shares come out close on real
    data, without a bound for every conceivable one.
    """
    holders: dict[Hashable, list[int]] = defaultdict(list)
    for index, one in enumerate(labels):
        for label in sorted(one, key=repr):  # the order of a set changes from process to process
            holders[label].append(index)
    owed = {label: shares * len(rows) for label, rows in holders.items()}
    left = {label: len(rows) for label, rows in holders.items()}
    size = shares * len(labels)
    parts = np.full(len(labels), -1, dtype=np.int64)
    trained: set[Hashable] = set()
    while left:
        rarest = min(left, key=lambda label: (left[label], label in trained))
        rows = [index for index in holders[rarest] if parts[index] < 0]
        for index in rng.permutation(rows).tolist():
            lacks = np.where(shares > 0, owed[rarest] + TIE * size, -np.inf)
            part = int(lacks.argmax()) if rarest in trained else 0
            parts[index] = part
            size[part] -= 1.0
            trained |= labels[index] if part == 0 else frozenset()
            for label in labels[index]:
                owed[label][part] -= 1.0
                if label in left:
                    left[label] -= 1
        del left[rarest]
    for index in rng.permutation(np.flatnonzero(parts < 0)).tolist():
        part = int(np.where(shares > 0, size, -np.inf).argmax())
        parts[index] = part
        size[part] -= 1.0
    return parts


# -- by group ----------------------------------------------------------------------------------------------------
def by_group(groups: Sequence[Hashable], shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Parts `(n,)` in which no group is torn apart: the largest groups first, each to the part that lacks most."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    names = list(members)
    names = [names[place] for place in rng.permutation(len(names))]
    names.sort(key=lambda name: -len(members[name]))
    lack = shares * len(groups)
    parts = np.zeros(len(groups), dtype=np.int64)
    for name in names:
        part = int(np.where(shares > 0, lack, -np.inf).argmax())
        parts[members[name]] = part
        lack[part] -= len(members[name])
    return parts


def _group(example: Example, key: str) -> Hashable:
    value = example.document.meta.get(key)
    # a row without a group is a group of its own
    return ("", example.document.id) if value is None or value == "" else str(value)


# -- by time -----------------------------------------------------------------------------------------------------
def by_time(times: Sequence[float], shares: np.ndarray) -> np.ndarray:
    """Parts `(n,)`: the earliest are train, the latest test. Equal times stay together."""
    moments = np.asarray(times, dtype=np.float64)
    order = np.sort(moments)
    parts = np.zeros(len(moments), dtype=np.int64)
    for part, share in ((1, shares[0]), (2, shares[0] + shares[1])):
        place = round(float(share) * len(order))
        if shares[part] > 0 and place < len(order):
            edge = order[place]
            # at the beginning of the data there would be nothing before the edge: begin after it
            parts[(moments > edge) if edge == order[0] else (moments >= edge)] = part
    return parts


def _time(example: Example, key: str) -> float:
    value = example.document.meta.get(key)
    try:
        return moment(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"Column {key!r} of the row with id {example.document.id!r}: {str(value)[:60]!r} is no time.",
            expected="a date such as 2024-01-31, a time such as 2024-01-31T12:00:00Z, or a number",
            hint="mend or remove the row, or split another way",
        ) from None


def moment(value: Any) -> float:
    """A number that grows with time, from a number, a date or ISO 8601. Raises `ValueError` or `TypeError`."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return moment(datetime.fromisoformat(value.strip()))
    number = float(value)
    if not np.isfinite(number):
        raise ValueError("not finite")
    return number


# -- leakage -----------------------------------------------------------------------------------------------------
def leakage(
    examples: Sequence[Example], keys: Callable[[Sequence[Example]], np.ndarray] | None = None
) -> tuple[list[Example], int]:
    """The examples without those of train whose text is in valid or test too, and how many these were.

    Texts are compared as `metier.data.dedup.example_keys` does: NFKC, lower case, no white space.
    """
    from metier.data.dedup import example_keys

    found = (keys or example_keys)(examples)
    train = np.array([example.split == "train" for example in examples], dtype=bool)
    leaked = train & np.isin(found, found[~train])
    return [example for example, out in zip(examples, leaked, strict=True) if not out], int(leaked.sum())
