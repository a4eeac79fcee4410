"""What a rung of a race said of the texts that all rungs are judged by, as counts that can be resampled and paired."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metier.evaluate import baselines, bootstrap
from metier.models.table import Table, golds
from metier.pipeline.judged import Judged
from metier.pipeline.race.cuts import Cut
from metier.pipeline.trial import Trial
from metier.tasks.task import Task
from metier.types import Document, Example, Prediction

RESAMPLES = 400

Scorer = Callable[[np.ndarray], np.ndarray]
"""The mean headline of all heads from summed counts, `(..., columns)` to `(...)`."""


@dataclass(frozen=True)
class Sheet:
    """Counts `(texts, columns)` of all heads; the first `valid` rows are those of the validation split, once."""

    counts: np.ndarray
    valid: int
    widths: tuple[int, ...]
    """Columns of each head."""
    scorer: Scorer

    def score(self, *, valid: bool = False) -> float:
        """The mean headline over all texts, or over the validation split."""
        return float(self.scorer(self._rows(valid).sum(axis=0, dtype=np.float64)))

    def interval(self, *, valid: bool = False, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """The bootstrap interval of `score`."""
        return bootstrap.interval(self._rows(valid), self.scorer, resamples=RESAMPLES, level=level, seed=seed)

    def deviation(self, *, valid: bool = False) -> float:
        """The standard error of `score`, from its bootstrap interval."""
        return _error(self.interval(valid=valid, level=0.68), len(self._rows(valid)))

    def gain(self, other: Sheet, *, valid: bool = False) -> tuple[float, float]:
        """How much better this is than another on the texts that judged both, and the standard error of that."""
        texts = min(len(self._rows(valid)), len(other._rows(valid)))
        own, others = self._rows(valid)[:texts], other._rows(valid)[:texts]
        found = bootstrap.paired(own, others, self.scorer, resamples=RESAMPLES, level=0.68)
        return float(found["difference"]), _error(found["interval"], texts)

    def first(self, texts: int) -> Sheet:
        """The first so many texts alone: those of the first draws."""
        return replace(self, counts=self.counts[:texts], valid=min(self.valid, texts))

    def _rows(self, valid: bool) -> np.ndarray:
        return self.counts[: self.valid] if valid else self.counts


def _error(interval: tuple[float, float], texts: int) -> float:
    """The standard error that a bootstrap interval of 68 % says.

    Texts that are all alike, three right ones of three, have no spread to draw from. No error is below the deviation of
    a proportion that was seen without an exception (Laplace's rule of succession), which is about 1 / (texts + 2).
    """
    low, high = interval
    return max((high - low) / 2 if np.isfinite(high - low) else 0.0, 1.0 / (texts + 2))


def joined(sheets: Sequence[Sheet]) -> Sheet:
    """Several draws as one, draw by draw: what fewer draws said is its beginning."""
    alike = [sheet for sheet in sheets if sheet.counts.shape[1] == sheets[0].counts.shape[1]]
    return replace(sheets[0], counts=np.concatenate([sheet.counts for sheet in alike]))


def scorer(tasks: Mapping[str, Task], widths: Sequence[int]) -> Scorer:
    """The mean headline over heads whose counts lie side by side. Undefined ones count as nought.

    A head without columns, one that no judged text carries, has no part in it.
    """
    bounds = np.cumsum([0, *widths])

    def mean(sums: np.ndarray) -> np.ndarray:
        each = [
            np.nan_to_num(np.asarray(task.headline(sums[..., low:high]), dtype=np.float64))
            for task, low, high in zip(tasks.values(), bounds[:-1], bounds[1:], strict=True)
            if high > low
        ]
        found: np.ndarray = np.mean(each, axis=0)
        return found

    return mean


def sheet(tasks: Mapping[str, Task], said: Mapping[str, Sequence[Prediction]], cut: Cut) -> Sheet:
    """Predictions of every head, each for the judged texts that carry it, as counts of all judged texts."""
    examples = cut.judged
    parts = []
    for name, task in tasks.items():
        there = [row for row, example in enumerate(examples) if name in example.targets]
        counts = task.statistics(golds(examples, name), said[name]) if there else np.zeros((0, 0))
        whole = np.zeros((len(examples), counts.shape[1]))
        whole[there] = counts
        parts.append(whole)
    valid = len(cut.dataset.examples["valid"])
    widths = tuple(part.shape[1] for part in parts)
    return Sheet(np.hstack(parts), valid, widths, scorer(tasks, widths))


def of_trial(trial: Trial, cut: Cut) -> Sheet:
    """What a fitted network says of the judged texts, calibrated on the validation split alone."""
    prepared = trial.prepared
    tasks = {name: copy.copy(task) for name, task in prepared.heads.items()}
    rest = Table.of([example.document for example in cut.rest], prepared.runtime.tokeniser, tasks) if cut.rest else None
    logits = prepared.runtime.logits(rest) if rest is not None else {}
    said: dict[str, list[Prediction]] = {}
    for name, task in tasks.items():
        valid = Judged(name, task, prepared.tables["valid"], cut.dataset.examples["valid"], trial.logits)
        if valid.golds:
            task.calibrate(valid.logits, valid.golds, valid.pieces)
        said[name] = valid.predictions() if valid.golds else []
        if rest is not None:
            held = Judged(name, task, rest, cut.rest, logits)
            said[name] += held.predictions() if held.golds else []
    return sheet(tasks, said, cut)


def of_baseline(name: str, tasks: Mapping[str, Task], cut: Cut, seed: int) -> Sheet | None:
    """What `majority` or `lexical` says of them; `None` where a head has no such baseline."""
    said = {}
    for head, task in tasks.items():
        found = _baseline(name, task, head, cut, seed)
        if found is None:
            return None
        said[head] = found
    return sheet(tasks, said, cut)


def _baseline(name: str, task: Task, head: str, cut: Cut, seed: int) -> list[Prediction] | None:
    if task.kind not in baselines.TITLES[name]:
        return None
    train = [example for example in cut.dataset.examples["train"] if head in example.targets]
    unseen = _documents(cut.judged, head)
    if name == "majority":
        return baselines.majority(task.kind, golds(train, head), unseen)
    return baselines.by_words(task.kind, _documents(train, head), golds(train, head), unseen, seed=seed)


def _documents(examples: Sequence[Example], head: str) -> list[Document]:
    return [example.document for example in examples if head in example.targets]
