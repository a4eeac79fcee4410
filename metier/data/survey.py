"""One pass over a data set that keeps numbers only: what the doctor needs of a million rows fits into 300 MB."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.data.clean import BLANK, HIDDEN, clean_series, clean_text, rust_class
from metier.data.dedup import NearIndex, batches, pair_keys, text_keys
from metier.data.mentions import place
from metier.data.rows import strings
from metier.data.source import split_name
from metier.data.targets import MISSING, SPAN_KINDS, missing, reader
from metier.types import Span, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from metier.data.columns import Columns

SAMPLE = 10_000
SAMPLE_LENGTH = 8_000
LABELS = 20_000
"""A head with more different labels than this is not counted any further."""
SHOWN = 3
OFFICIAL = ("train", "valid", "test")
NO_LABEL = np.uint64(0)


@dataclass
class HeadSurvey:
    """What one head's labels are: how often, where they are missing or cannot be read."""

    column: str
    kind: str
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Labels as they are written, by split (`""` where there is none)."""
    missing: int = 0
    unreadable: int = 0
    reasons: list[str] = field(default_factory=list)
    overflow: bool = False
    numbers: list[float] = field(default_factory=lambda: [float("inf"), float("-inf")])
    _codes: list[np.ndarray] = field(default_factory=list)
    _reader: Callable[[Any, str], Target | None] | None = None

    @property
    def codes(self) -> np.ndarray:
        """A key `(rows,)` of each target, 0 where there is none."""
        return np.concatenate(self._codes) if self._codes else np.empty(0, dtype=np.uint64)

    def total(self) -> Counter[str]:
        """The labels of all splits."""
        return sum(self.counts.values(), Counter())

    def add(self, cells: pl.Series, texts: Sequence[str], splits: Sequence[str], first: int) -> None:
        """Takes in the cells of a batch whose first row has the number `first`."""
        import polars as pl

        if self.kind in ("classify", "relate") and cells.dtype == pl.String:
            self._add_names(cells, splits)
            return
        self._reader = self._reader or reader(self.kind, cells.to_list())
        codes = np.zeros(len(cells), dtype=np.uint64)
        for index, (cell, text, split) in enumerate(zip(cells.to_list(), texts, splits, strict=True)):
            try:
                target = self._reader(cell, text)
            except ValueError as error:
                self.unreadable += 1
                if len(self.reasons) < SHOWN:
                    self.reasons.append(f"row {first + index + 1}: {error}")
                continue
            if target is None:
                self.missing += 1
                continue
            codes[index] = np.uint64(hash(_said(target)) & 0xFFFFFFFFFFFFFFFF) | np.uint64(1)
            self._count(target, split, cell)
        self._codes.append(codes)

    def _add_names(self, cells: pl.Series, splits: Sequence[str]) -> None:
        """The same for strings that name a class, by polars."""
        import polars as pl

        plain = cells.fill_null("").str.strip_chars()
        absent = plain.is_in(list(MISSING))
        self.missing += int(absent.sum())
        codes = plain.hash(seed=7).to_numpy() | np.uint64(1)
        self._codes.append(np.where(absent.to_numpy(), NO_LABEL, codes))
        table = pl.DataFrame({"label": cells, "split": pl.Series(list(splits), dtype=pl.String)}).filter(~absent)
        for label, split, count in table.group_by("label", "split").len().iter_rows():
            self._counter(split)[label] += count
        self._check_size()

    def _count(self, target: Target, split: str, cell: Any) -> None:
        counter = self._counter(split)
        if isinstance(target, float):
            self.numbers = [min(self.numbers[0], target), max(self.numbers[1], target)]
            counter["number"] += 1
        elif isinstance(target, tuple):
            counter.update(item.label if isinstance(item, Span) else item for item in target)
        else:
            counter[cell if isinstance(cell, str) else target] += 1
        if len(counter) > LABELS:
            self._check_size()

    def _counter(self, split: str) -> Counter[str]:
        return self.counts.setdefault(split, Counter())

    def _check_size(self) -> None:
        if sum(len(counter) for counter in self.counts.values()) > 3 * LABELS:
            self.overflow = True
            self.counts = {split: Counter(dict(counter.most_common(100))) for split, counter in self.counts.items()}


@dataclass
class Survey:
    """What is known of a data set after one pass."""

    columns: Columns
    rows: int = 0
    empty: list[int] = field(default_factory=list)
    empties: int = 0
    invisible: int = 0
    replaced: int = 0
    longest: int = 0
    characters: int = 0
    heads: dict[str, HeadSurvey] = field(default_factory=dict)
    splits: Counter[str] = field(default_factory=Counter)
    near: NearIndex = field(default_factory=NearIndex)
    sample: Sample = field(default_factory=lambda: Sample(SAMPLE))
    strays: dict[str, list[int]] = field(default_factory=dict)
    """By head, the rows with a label whose text does not hold the name that the label is about."""
    _keys: list[np.ndarray] = field(default_factory=list)
    _pairs: list[np.ndarray] = field(default_factory=list)
    _places: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = self.columns.mentions  # a row says one label, of the name in it
        self.heads = {
            head: HeadSurvey(name, "classify" if head in names else kind)
            for head, (name, kind) in self.columns.labels.items()
        }

    @property
    def keys(self) -> np.ndarray:
        """A key `(rows,)` of each text."""
        return np.concatenate(self._keys) if self._keys else np.empty(0, dtype=np.uint64)

    @property
    def pairs(self) -> np.ndarray | None:
        """A key `(rows,)` of the second text of each pair."""
        return np.concatenate(self._pairs) if self._pairs else None

    @property
    def places(self) -> np.ndarray:
        """The split `(rows,)` of each row: 0 train, 1 valid, 2 test, 3 another, 4 none."""
        return np.concatenate(self._places) if self._places else np.empty(0, dtype=np.int8)

    def add(self, frame: pl.DataFrame) -> None:
        """Takes in a batch of rows."""
        keep = any(kind in SPAN_KINDS for _, kind in self.columns.labels.values())
        raw = [strings(frame, name) for name in self.columns.text]
        clean = [clean_series(texts, keep_length=keep) for texts in raw]
        splits = self._add_splits(frame)
        texts = clean[0].to_list() if clean else [""] * frame.height
        for head in self.heads.values():
            head.add(frame[head.column], texts, splits, self.rows)
        if clean:
            self._add_mentions(frame, texts)
            self._add_texts(raw, clean)
            for name in dict.fromkeys(self.columns.mentions.values()):  # what is said of another name is no copy
                self._keys[-1] = pair_keys(self._keys[-1], text_keys(frame[name].cast(str).fill_null("")))
            for batch in batches(texts):
                self.near.add(batch)
            pairs = clean[1].to_list() if len(clean) > 1 else []
            self.sample.add([f"{one} {other}" for one, other in zip(texts, pairs, strict=True)] if pairs else texts)
        self.rows += frame.height

    def _add_mentions(self, frame: pl.DataFrame, texts: Sequence[str]) -> None:
        for head, name in self.columns.mentions.items():
            rows = zip(frame[name].to_list(), frame[self.heads[head].column].to_list(), texts, strict=True)
            self.strays.setdefault(head, []).extend(
                self.rows + at
                for at, (cell, label, text) in enumerate(rows)
                if not missing(label) and not missing(cell) and place(clean_text(str(cell)), text) is None
            )

    def _add_texts(self, raw: Sequence[pl.Series], clean: Sequence[pl.Series]) -> None:
        keys = text_keys(clean[0])
        if len(clean) > 1:
            self._pairs.append(text_keys(clean[1]))
            keys = pair_keys(keys, self._pairs[-1])
        self._keys.append(keys)
        blank = np.ones(len(keys), dtype=bool)
        for texts in clean:
            blank &= (texts.str.strip_chars(" ") == "").to_numpy()
        self.empties += int(blank.sum())
        if len(self.empty) < SHOWN:
            self.empty += [self.rows + int(index) for index in np.flatnonzero(blank)[:SHOWN]]
        # ordinary white space is no surprise to anybody
        odd = f"[{rust_class(BLANK)}{rust_class(HIDDEN)}&&[^ \\t\\r\\n\\x{{a0}}\\x{{3000}}]]"
        for texts in raw:
            self.invisible += int(texts.str.contains(odd).sum())
            self.replaced += int(texts.str.contains("\ufffd", literal=True).sum())
            lengths = texts.str.len_chars()
            self.longest = max(self.longest, int(lengths.max() or 0))  # type: ignore[arg-type]
            self.characters += int(lengths.sum())

    def _add_splits(self, frame: pl.DataFrame) -> list[str]:
        if self.columns.split is None:
            names = [""] * frame.height
        else:
            cells = frame[self.columns.split].to_list()
            known = {cell: split_name(cell) or "" for cell in set(cells)}
            names = [known[cell] for cell in cells]
        self.splits.update(names)
        codes = {name: OFFICIAL.index(name) if name in OFFICIAL else 3 if name else 4 for name in set(names)}
        self._places.append(np.array([codes[name] for name in names], dtype=np.int8))
        return names


class Sample:
    """`size` texts drawn evenly from a stream: those with the smallest random numbers."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.texts: list[str] = []
        self._ranks = np.empty(0)
        self._rng = np.random.default_rng(0)

    def add(self, texts: Sequence[str]) -> None:
        """Takes in a batch."""
        ranks = self._rng.random(len(texts))
        bar = self._ranks.max() if len(self._ranks) >= self.size else np.inf
        chosen = np.flatnonzero(ranks < bar)
        self._ranks = np.concatenate([self._ranks, ranks[chosen]])
        self.texts += [texts[index][:SAMPLE_LENGTH] for index in chosen.tolist()]
        if len(self.texts) > self.size:
            best = np.argpartition(self._ranks, self.size)[: self.size]
            self._ranks = self._ranks[best]
            self.texts = [self.texts[index] for index in best]


def _said(target: Target) -> object:
    """What two targets of the same text are compared by: of spans their words, for offsets shift with blanks."""
    if isinstance(target, tuple):
        return tuple((item.label, item.text) if isinstance(item, Span) else item for item in target)
    return target
