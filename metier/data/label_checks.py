"""What can be wrong with labels: none, one, too few of one, two spellings of one, ones that training never sees."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from metier.data.diagnosis import Finding, Problem, Severity, shortened
from metier.data.survey import HeadSurvey, Survey
from metier.data.text_checks import share

FEW = 10
"""A class with fewer training examples than this is hardly learned."""
MANY = 0.9
SHOWN = 3


def find(survey: Survey) -> list[Finding]:
    """Every problem of the labels of every head."""
    found = []
    for head, one in survey.heads.items():
        problems = [*_cells(head, one, survey.rows)]
        if one.counts and one.kind not in ("score", "embed"):
            problems += [*_spellings(head, one), *_classes(head, one)]
        elif one.counts and one.numbers[0] == one.numbers[1]:
            message = f"Every number of {head!r} is {one.numbers[0]:g}: there is nothing to learn."
            problems.append(Problem("one-value", "error", message, survey.rows))
        found += [Finding(problem) for problem in problems]
    return [*found, *_strays(survey)]


def _strays(survey: Survey) -> list[Finding]:
    """Labels about a name that does not stand in the text."""
    found = []
    for head, rows in survey.strays.items():
        if rows:
            column = survey.columns.mentions[head]
            message = f"Names in {column!r} that do not stand in their text: {share(len(rows), survey.rows)}."
            hint = "write each name as its text does, or empty the cell"
            problem = Problem("stray-mentions", "error", message, len(rows), (), hint)
            found.append(Finding(problem, tuple((row,) for row in rows[:SHOWN])))
    return found


def _cells(head: str, one: HeadSurvey, rows: int) -> list[Problem]:
    found = []
    if one.missing:
        severity: Severity = "error" if one.missing == rows else "warning" if one.missing > rows / 2 else "note"
        message = f"No label for {head!r} (empty, null or NaN): {share(one.missing, rows)}."
        found.append(Problem("missing-labels", severity, message, one.missing))
    if one.unreadable:
        message = f"Labels of {head!r} that a {one.kind} task cannot read: {share(one.unreadable, rows)}."
        hint = "mend these cells, or name another task"
        found.append(Problem("unreadable-labels", "error", message, one.unreadable, tuple(one.reasons), hint))
    return found


def _spellings(head: str, one: HeadSurvey) -> list[Problem]:
    """Labels that differ by letter case or white space only."""
    total = one.total()
    alike: dict[str, list[str]] = defaultdict(list)
    for label in total:
        alike[re.sub(r"\s+", "", label).casefold()].append(label)
    groups = [sorted(names, key=lambda name: -total[name]) for names in alike.values() if len(names) > 1]
    if not groups:
        return []
    shown = tuple(" / ".join(f"{name!r} ({total[name]:,})" for name in names) for names in groups[:SHOWN])
    message = f"Labels of {head!r} that differ by letter case or blanks only: {len(groups):,}."
    count = sum(total[name] for names in groups for name in names[1:])
    return [Problem("label-spellings", "warning", message, count, shown, "write each label in one way")]


def _classes(head: str, one: HeadSurvey) -> list[Problem]:
    held = {"valid", "test"} & set(one.counts)
    train = _stripped(sum((c for name, c in one.counts.items() if name in ("train", "")), Counter()))
    if not train:
        return []
    found = []
    if one.overflow:
        message = f"{head!r} has more than 20,000 different labels: this is hardly a {one.kind} task."
        return [Problem("too-many-labels", "error", message, 0, (), "name another label column or another task")]
    if len(train) == 1 and one.kind not in ("tag", "multilabel"):
        message = f"All training examples of {head!r} have one label, {next(iter(train))!r}: there is nothing to learn."
        found.append(Problem("one-class", "error", message, train.total(), (), "add examples of another class"))
    elif one.kind not in ("tag", "multilabel") and train.most_common(1)[0][1] >= MANY * train.total():
        label, count = train.most_common(1)[0]
        message = (
            f"{100 * count / train.total():.0f} % of the labels of {head!r} are {label!r}: accuracy says little here."
        )
        found.append(Problem("imbalance", "note", message, count, (), "watch macro F1; class weights may help"))
    few = sorted((count, label) for label, count in train.items() if count < FEW)
    if few:
        message = f"Classes of {head!r} with fewer than {FEW} training examples: {len(few):,}."
        shown = tuple(f"{shortened(label, 40)!r}: {count}" for count, label in few[:SHOWN])
        hint = "collect more of them, or join them with others"
        found.append(Problem("few-examples", "warning", message, sum(count for count, _ in few), shown, hint))
    unseen = _stripped(sum((one.counts[name] for name in held), Counter())).keys() - train.keys()
    if unseen:
        message = f"Labels of {head!r} that occur in valid or test but never in train: {len(unseen):,}."
        shown = tuple(repr(shortened(label, 40)) for label in sorted(unseen)[:SHOWN])
        found.append(Problem("unseen-labels", "warning", message, len(unseen), shown, "they cannot be predicted"))
    return found


def _stripped(counts: Counter[str]) -> Counter[str]:
    """Counts of labels as reading cleans them: without outer blanks."""
    found: Counter[str] = Counter()
    for label, count in counts.items():
        found[" ".join(label.split())] += count
    return found
