"""What a run's evaluation found: plain values, kept as `evaluation.json`, from which the report can be drawn again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from metier.errors import RunError
from metier.evaluate.evaluation import finite

SIGNIFICANT = 0.05
CURVE = 500
"""Records of the training that are kept: `metrics.jsonl` has the others."""


@dataclass(frozen=True, slots=True)
class HeadFindings:
    """One head. Every value is what JSON can hold.

    Attributes:
        task: the kind of task.
        test, valid: what `evaluation.judge` returned for each split; empty where there is none.
        baselines: what `evaluation.beside` returned, on the test split (the validation split where there is no test).
        confusion: what `evaluation.confusion` returned.
        errors: what `evaluation.worst_errors` returned.
        suspects: `{"id", "text", "given", "suggested", "score"}`, the surest first.
        temperature: what the logits are divided by.
        notes: what the reader should know, e.g. that texts were cut: `{"says": a phrase, ...}` with what fills it.
    """

    task: str
    test: Mapping[str, Any] = field(default_factory=dict)
    valid: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    confusion: Mapping[str, Any] | None = None
    errors: list[Mapping[str, Any]] = field(default_factory=list)
    suspects: list[Mapping[str, Any]] = field(default_factory=list)
    temperature: float | None = None
    notes: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def judged(self) -> Mapping[str, Any]:
        """The figures that count: those of the test split, else those of the validation split."""
        return self.test or self.valid

    @property
    def split(self) -> str:
        """Which split `judged` is about."""
        return "test" if self.test else "valid"


@dataclass(frozen=True, slots=True)
class Findings:
    """One run. Every value is what JSON can hold.

    Attributes:
        name: of the run; created: ISO 8601.
        heads: by name.
        data: `source`, `fingerprint`, `rows` (by split), `duplicates`, `leaked`, `truncated` (share of the texts),
            `windows` (share of the texts that were cut in several), `languages`; all optional.
        curve: the records of `metrics.jsonl`: `step`, `epoch`, `loss`, `lr` (or `rate`, the share of its peak), `valid`
            (headline by head); all optional. Of more than 500 a part is kept.
        costs: `seconds`, `examples_per_second`, `peak_memory` (bytes), `parameters`, `stages` (seconds by name).
        recipe: the resolved recipe as TOML. environment: versions and machine.
        backbone: `name`, `licence`, `parameters`, `sha256`; all optional.
        optimised: of a run that `metier optimise` made: `of`, `parent`, `tolerance`, `bytes` (before and after) and
            `steps`, each with its `heads` (`evaluate.parity.Parity`); see `evaluate.optimised`.
        race: of `method = "auto"`, what every rung came to; see `evaluate.race`.
    """

    name: str
    heads: Mapping[str, HeadFindings]
    created: str = ""
    metier: str = ""
    method: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    curve: list[Mapping[str, Any]] = field(default_factory=list)
    costs: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    backbone: Mapping[str, Any] = field(default_factory=dict)
    race: Mapping[str, Any] = field(default_factory=dict)
    optimised: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values; NaN and the infinities become `None`."""
        plain: dict[str, Any] = finite({**asdict(self), "curve": _thinned(self.curve)})
        return plain

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Findings:
        """What `to_json` returned. Keys of a later version are passed over."""
        heads = {name: HeadFindings(**_known(HeadFindings, head)) for name, head in saved["heads"].items()}
        return cls(**{**_known(cls, saved), "heads": heads})

    def write(self, path: Path) -> None:
        """Saves as JSON."""
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
        path.write_bytes(text.encode("utf-8", errors="replace"))  # a lone surrogate has no UTF-8

    @classmethod
    def read(cls, path: Path) -> Findings:
        """Loads what `write` saved. Raises `RunError` where the file is missing or is not that."""
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path} cannot be read: {error}.", expected="the evaluation of a run") from error


def _thinned(records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Evenly chosen records, and all those with an evaluation."""
    stride = -(-len(records) // CURVE)
    return [record for at, record in enumerate(records) if at % max(stride, 1) == 0 or record.get("valid")]


def _known(cls: type, saved: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(cls)}
    return {key: value for key, value in saved.items() if key in names}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a baseline says of a model: `beaten`, `unclear` (better, but it may be chance) or `not beaten`."""

    baseline: str
    outcome: str
    difference: float
    p_value: float | None


def verdicts(head: HeadFindings) -> list[Verdict]:
    """The model against each baseline on the headline: beaten only where the paired bootstrap says so (p < .05)."""
    own = head.judged.get("headline", {}).get("value")
    found = []
    for name, baseline in head.baselines.items():
        versus = baseline.get("versus") or {}
        value, p_value = baseline.get("headline", {}).get("value"), versus.get("p_value")
        if own is None or value is None:
            continue
        difference = own - value
        if difference <= 0:
            outcome = "not beaten"
        else:
            outcome = "beaten" if p_value is None or p_value < SIGNIFICANT else "unclear"
        found.append(Verdict(name, outcome, difference, p_value))
    return found
