"""What can be wrong with texts: nothing in them, the same again, the same in two splits, too long, in two languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from metier.data.dedup import first_of_each
from metier.data.diagnosis import Finding, Problem, Severity
from metier.data.languages import language
from metier.data.survey import OFFICIAL, Survey

CountTokens = Callable[[list[str]], tuple[Sequence[int], int, int]]
"""Texts to `(tokens of each text, characters that the tokenizer does not know, characters)`."""
SHOWN = 3
TRAIN, OTHER = 0, 3
MUCH, MIXED, SOME = 0.05, 0.02, 0.01
"""Shares from which a problem of some texts is a warning, and from which it is worth a note."""
LEAST = 0.01
"""Percentages below this are not told apart."""


def find(survey: Survey) -> list[Finding]:
    """Every problem that the pass over all rows shows of the texts and of the splits."""
    return [*_contents(survey), *_splits(survey), *repeats(survey)]


def _contents(survey: Survey) -> list[Finding]:
    found = []
    if survey.empties:
        severity: Severity = "error" if survey.empties == survey.rows else "warning"
        message = f"Nothing but blanks as text: {share(survey.empties, survey.rows)}."
        hint = "remove them, or name another text column"
        problem = Problem("empty-text", severity, message, survey.empties, (), hint)
        found.append(Finding(problem, tuple((row,) for row in survey.empty[:SHOWN])))
    if survey.invisible:
        message = f"Control or zero-width characters, which cleaning removes: {share(survey.invisible, survey.rows)}."
        found.append(Finding(Problem("invisible-characters", "note", message, survey.invisible)))
    if survey.replaced:
        message = f"U+FFFD, the trace of a character that was lost: {share(survey.replaced, survey.rows)}."
        hint = "export the data again, in UTF-8"
        found.append(Finding(Problem("lost-characters", "warning", message, survey.replaced, (), hint)))
    return found


def _splits(survey: Survey) -> list[Finding]:
    if survey.columns.split is None:
        return []
    found = []
    others = {name or "(empty)": count for name, count in survey.splits.items() if name not in OFFICIAL}
    if not survey.splits.get("train"):
        hint = "call it train, or drop the column to have the data cut"
        found.append(Finding(Problem("no-train", "error", "No row belongs to the split 'train'.", 0, (), hint)))
    elif others:
        names = ", ".join(f"{name} ({count:,})" for name, count in others.items())
        message = f"Rows of other splits than train, valid and test are left out: {names}."
        found.append(Finding(Problem("other-splits", "note", message, sum(others.values()))))
    return found


# -- repetitions -------------------------------------------------------------------------------------------------
def repeats(survey: Survey) -> list[Finding]:
    """Duplicates, near-duplicates, contradictions and leakage."""
    keys, places = survey.keys, survey.places
    first = first_of_each(keys)
    repeated = first != np.arange(len(keys))
    found = [*_contradictions(survey, keys), *_leaks(keys, places)]
    if repeated.any():
        rows = np.flatnonzero(repeated)
        message = f"The same as an earlier text, but for letter case and blanks: {share(len(rows), survey.rows)}."
        problem = Problem("duplicates", "warning", message, len(rows), (), "dedup = 'exact' keeps one of each")
        found.append(Finding(problem, tuple((int(first[row]), int(row)) for row in rows[:SHOWN])))
    return found + _near(survey, keys, places)


def _near(survey: Survey, keys: np.ndarray, places: np.ndarray) -> list[Finding]:
    later, earlier = survey.near.pairs()
    differ = keys[later] != keys[earlier]
    if survey.pairs is not None:  # of a pair the first text is nearly the same and the second quite
        differ &= survey.pairs[later] == survey.pairs[earlier]
    later, earlier = later[differ], earlier[differ]
    if not len(later):
        return []
    rows, where = np.unique(later, return_index=True)
    message = f"Nearly the same as an earlier text (estimated): {share(len(rows), survey.rows)}."
    problem = Problem("near-duplicates", "note", message, len(rows), (), "dedup = 'near' keeps one of each kind")
    found = [Finding(problem, tuple((int(earlier[at]), int(later[at])) for at in where[:SHOWN]))]
    across = ((places[later] == TRAIN) != (places[earlier] == TRAIN)) & (np.maximum(places[later], places[earlier]) < 3)
    if across.any():
        count = len(np.unique(later[across]))
        message = f"Nearly the same text in train and in valid or test (estimated): {share(count, survey.rows)}."
        groups = tuple((int(a), int(b)) for a, b in zip(earlier[across][:SHOWN], later[across][:SHOWN], strict=True))
        found.append(Finding(Problem("near-leakage", "note", message, count), groups))
    return found


def _leaks(keys: np.ndarray, places: np.ndarray) -> list[Finding]:
    found = []
    held = (places > TRAIN) & (places < OTHER)
    leaked = np.flatnonzero((places == TRAIN) & np.isin(keys, keys[held]))
    if len(leaked):
        message = (
            f"Texts of train that are in valid or test too, which a fit leaves out: {share(len(leaked), len(keys))}."
        )
        problem = Problem("leakage", "warning", message, len(leaked), (), "remove them from one of the splits")
        found.append(Finding(problem, tuple((int(row), _other(keys, held, row)) for row in leaked[:SHOWN])))
    both = np.flatnonzero((places == 1) & np.isin(keys, keys[places == 2]))
    if len(both):
        message = f"Texts of valid that are in test too: {share(len(both), len(keys))}."
        problem = Problem("valid-in-test", "warning", message, len(both), (), "remove them from valid")
        found.append(Finding(problem, tuple((int(row), _other(keys, places == 2, row)) for row in both[:SHOWN])))
    return found


def _other(keys: np.ndarray, among: np.ndarray, row: int) -> int:
    return int(np.flatnonzero(among & (keys == keys[row]))[0])


def _contradictions(survey: Survey, keys: np.ndarray) -> list[Finding]:
    """The same text under two labels of one head."""
    found = []
    for head, one in survey.heads.items():
        rows = np.flatnonzero(one.codes)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        same = keys[rows][1:] == keys[rows][:-1]
        clash = np.flatnonzero(same & (one.codes[rows][1:] != one.codes[rows][:-1]))
        if len(clash):
            count = len(np.unique(keys[rows][clash]))
            message = f"Texts that stand under different labels of {head!r}: {count:,}."
            problem = Problem("contradictions", "warning", message, count, (), "decide for one label, or remove them")
            found.append(Finding(problem, tuple((int(rows[at]), int(rows[at + 1])) for at in clash[:SHOWN])))
    return found


# -- a sample of the texts ---------------------------------------------------------------------------------------
def judge_sample(texts: list[str], count_tokens: CountTokens | None, max_length: int) -> list[Finding]:
    """Languages, and what the tokenizer makes of the texts."""
    found = [_mixture(texts)]
    if count_tokens is not None and texts:
        lengths, unknown, characters = count_tokens(texts)
        counts = np.asarray(lengths)
        found += [_long(counts, max_length), _unknown(int(np.sum(unknown)), int(np.sum(characters)))]
    return [Finding(problem) for problem in found if problem is not None]


def _mixture(texts: list[str]) -> Problem | None:
    counts = Counter(name for name in map(language, texts) if name)
    total = sum(counts.values())
    second = counts.most_common(2)[1][1] if len(counts) > 1 else 0
    if second < MIXED * total or not second:
        return None
    shown = [(name, 100 * count / total) for name, count in counts.most_common(5)]
    names = ", ".join(f"{name} {part:.0f} %" for name, part in shown if part >= 1)
    severity: Severity = "warning" if second >= MUCH * total else "note"
    hint = "use a backbone that knows these languages, or train one model a language"
    return Problem("mixed-languages", severity, f"The texts mix languages (roughly): {names}.", second, (), hint)


def _long(lengths: np.ndarray, max_length: int) -> Problem | None:
    cut = int((lengths > max_length).sum())
    if not cut:
        return None
    severity: Severity = "warning" if cut >= MUCH * len(lengths) else "note"
    message = (
        f"{100 * cut / len(lengths):.1f} % of the texts are longer than {max_length} tokens "
        f"(median {int(np.median(lengths))}, 99 % within {int(np.quantile(lengths, 0.99))})."
    )
    return Problem("truncated", severity, message, cut, (), "a greater max_length, or windows over long texts")


def _unknown(unknown: int, characters: int) -> Problem | None:
    if not unknown or not characters:
        return None
    part = unknown / characters
    severity: Severity = "warning" if part >= SOME else "note"
    message = f"The tokenizer does not know {percent(part)} of the characters."
    return Problem("unknown-characters", severity, message, unknown, (), "a backbone made for this language")


def share(count: int, rows: int) -> str:
    """`"1,234 rows (12.3 %)"`."""
    return f"{count:,} row{'s' if count != 1 else ''} ({percent(count / max(1, rows))})"


def percent(part: float) -> str:
    """A share from 0 to 1 in two digits and never in powers of ten: `100 %`, `1.2 %`, `0.03 %`."""
    value = 100 * part
    if 0 < value < LEAST:
        return f"under {LEAST} %"
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"
