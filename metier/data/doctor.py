"""The doctor: everything that is wrong with a data set, gathered and said once, before any training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metier.data import label_checks, text_checks
from metier.data.columns import Columns, clashes, missing_columns
from metier.data.conll import repaired_tags
from metier.data.diagnosis import ORDER, Diagnosis, Finding, Problem, shortened
from metier.data.rows import frames, strings
from metier.data.source import Source, is_conll, parts
from metier.data.survey import Survey
from metier.data.targets import SPAN_KINDS
from metier.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import polars as pl

    from metier.data.text_checks import CountTokens

ROWS = 20_000


def examine(
    source: Source,
    columns: Columns,
    *,
    count_tokens: CountTokens | None = None,
    max_length: int = 256,
) -> Diagnosis:
    """Every problem of a data set, the gravest first. Reads it once, and once more to show the rows concerned.

    Args:
        source: see `metier.data.read.frames`.
        columns: the roles of its columns; ones that do not exist are problems, not exceptions
            (`resolve(..., strict=False)` gives them).
        count_tokens: a function from texts to the number of tokens of each, the number of characters that the
            tokenizer does not know, and the number of characters. It is given a sample of the texts. Without it
            nothing is said of lengths and unknown characters.
        max_length: the most tokens that a text may have before it is cut.
    """
    try:
        lost = missing_columns(source, columns)
    except DataError as error:
        return Diagnosis(0, (_unreadable(error),))
    problems = [
        Problem("missing-column", "error", f"There is no column {name!r}.", 1, (), near or "look at the header")
        for name, near in lost.items()
    ]
    problems += [
        Problem("column-twice", "error", sentence, 1, (), "give each column one role") for sentence in clashes(columns)
    ]
    survey, trouble = _survey(source, _existing(columns, lost))
    problems += [trouble] if trouble else []
    if survey.rows:
        findings = (text_checks.find(survey) if survey.columns.text else []) + label_checks.find(survey)
        findings += text_checks.judge_sample(survey.sample.texts, count_tokens, max_length)
        problems += _shown(source, survey.columns, findings)
        problems += _repaired(source)
    problems.sort(key=lambda problem: ORDER.index(problem.severity))
    return Diagnosis(survey.rows, tuple(problems), _figures(survey))


def _existing(columns: Columns, lost: Iterable[str]) -> Columns:
    gone = set(lost)
    return replace(
        columns,
        text=tuple(name for name in columns.text if name not in gone),
        labels={head: place for head, place in columns.labels.items() if place[0] not in gone},
        split=columns.split if columns.split not in gone else None,
        mentions={
            head: name
            for head, name in columns.mentions.items()
            if name not in gone and head in columns.labels and columns.labels[head][0] not in gone
        },
    )


def _survey(source: Source, columns: Columns) -> tuple[Survey, Problem | None]:
    """What was seen up to the end, or up to the row that could not be read."""
    survey = Survey(columns)
    try:
        for frame in frames(source, rows=ROWS):
            survey.add(frame)
    except DataError as error:
        return survey, _unreadable(error)
    return survey, None


def _unreadable(error: DataError) -> Problem:
    return Problem("unreadable", "error", str(error), 1)


def _repaired(source: Source) -> list[Problem]:
    if not is_conll(source):
        return []
    count = sum(repaired_tags(part.path) for part in parts(source))
    if not count:
        return []
    message = f"{count:,} tags continue no span (as IOB1 writes them) and were read as the beginning of one."
    return [Problem("repaired-tags", "note", message, count)]


# -- the rows concerned ------------------------------------------------------------------------------------------
def _shown(source: Source, columns: Columns, findings: Sequence[Finding]) -> list[Problem]:
    """The problems, with the rows that show them as samples."""
    wanted = {row for finding in findings for group in finding.groups for row in group}
    rows = _rows(source, columns, wanted) if wanted else {}
    return [
        replace(
            finding.problem,
            samples=(
                *finding.problem.samples,
                *(" | ".join(rows[row] for row in group if row in rows) for group in finding.groups),
            ),
        )
        for finding in findings
    ]


def _rows(source: Source, columns: Columns, wanted: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    first = 0
    for frame in frames(source, rows=ROWS):
        for row in sorted(row for row in wanted if first <= row < first + frame.height):
            found[row] = _row(frame[row - first], columns, row)
        first += frame.height
        if len(found) == len(wanted):
            break
    return found


def _row(frame: pl.DataFrame, columns: Columns, row: int) -> str:
    texts = " / ".join(shortened(strings(frame, name)[0], 60) for name in columns.text)
    labels = ", ".join(
        shortened(frame[name].to_list()[0], 30) for name, kind in columns.labels.values() if kind not in SPAN_KINDS
    )
    return f"row {row + 1}: {texts!r}" + (f" ({labels})" if labels else "")


# -- figures -----------------------------------------------------------------------------------------------------
def _figures(survey: Survey) -> dict[str, Any]:
    return {
        "text": list(survey.columns.text),
        "splits": {name or "(none)": count for name, count in survey.splits.most_common()},
        "heads": {
            head: {
                "column": one.column,
                "task": one.kind,
                "missing": one.missing,
                "labels": dict(one.total().most_common(200)),
            }
            for head, one in survey.heads.items()
        },
        "characters": {
            "mean": round(survey.characters / max(1, survey.rows), 1),
            "longest": survey.longest,
        },
    }
