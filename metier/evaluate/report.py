"""`report.html`: everything that is known of a run, on one page that needs nothing but a browser.

The page holds no script and loads nothing. Its own Content-Security-Policy forbids both, so that a text which looks
like markup stays text twice over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from metier.evaluate import figures, optimised, pages, phrases, race
from metier.evaluate.findings import Findings, HeadFindings, Verdict, verdicts
from metier.evaluate.phrases import Title

if TYPE_CHECKING:
    pass

FEW = 12
"""Classes, errors and suspects that are shown before the reader asks for the rest."""
RIGHT = {
    "tag": "An answer counts as right when every entity of the text is.",
    "mention": "Each mention of a text counts as an answer of its own.",
    "multilabel": "An answer counts as right when the whole set of labels is.",
    "score": "An answer counts as right within one standard deviation of the gold value.",
    "embed": "An answer counts as right on the right side of half of the greatest similarity.",
}
"""What `correct` means where it is not plain."""


def render(findings: Findings, out: Path, *, lang: str = "en") -> Path:
    """Writes the report.

    Args:
        lang: `en` or `zh`, the language that is shown first; the reader can change it.

    Returns:
        `out`.
    """
    return pages.write(page(findings, lang=lang), out)


def page(findings: Findings, *, lang: str = "en") -> str:
    """The report as one HTML document. Raises `ValueError` for a language that it does not speak."""
    return pages.page(
        "report.html.j2",
        lang,
        run=findings,
        method=findings.method or "?",
        backbone=findings.backbone.get("name", "?"),
        heads=[_head(name, head) for name, head in findings.heads.items()],
        race=race.section(findings.race) if findings.race else None,
        optimised=optimised.section(findings.optimised) if findings.optimised else None,
        training=_training(findings),
        data=_data(findings.data),
        rows=findings.data.get("rows") or {},
        costs=_costs(findings),
        stages=[(name, figures.duration(value)) for name, value in (findings.costs.get("stages") or {}).items()],
    )


def table(findings: Findings) -> list[list[str]]:
    """The summary for a terminal: a row of column names, then one row a head.

    The columns are head, task, split, metric, value, 95 % interval, one for each baseline that any head has, ECE, and
    the verdict on the baselines.
    """
    names = list(dict.fromkeys(name for head in findings.heads.values() for name in head.baselines))
    rows = [["head", "task", "split", "metric", "value", "95 % interval", *names, "ECE", "beats baselines"]]
    for name, head in findings.heads.items():
        headline = head.judged.get("headline") or {"name": "–", "value": None}
        metric = headline["name"]
        ece = (head.judged.get("calibration") or {}).get("ece")
        others = [figures.figure(metric, head.baselines.get(n, {}).get("headline", {}).get("value")) for n in names]
        own = [figures.figure(metric, headline["value"]), " – ".join(_bounds(headline) or ("",)) or "–"]
        rows.append([name, head.task, head.split, metric, *own, *others, _thousandths(ece), _outcome(verdicts(head))])
    return rows


def _thousandths(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _outcome(found: Sequence[Verdict]) -> str:
    outcomes = {verdict.outcome for verdict in found}
    if not outcomes:
        return "–"
    return "NO" if "not beaten" in outcomes else "unclear" if "unclear" in outcomes else "yes"


def _head(name: str, head: HeadFindings) -> dict[str, Any]:
    """What the template shows of one head."""
    judged = head.judged
    headline = judged.get("headline") or {"name": "–", "value": None}
    calibration = judged.get("calibration")
    confusion = head.confusion
    return {
        "name": name,
        "task": head.task,
        "split": "test split" if head.split == "test" else "validation split",
        "metric": headline["name"],
        "value": figures.figure(headline["name"], headline["value"]),
        "bounds": _bounds(headline),
        "documents": judged.get("documents"),
        "verdicts": _statements(head),
        "comparison": figures.comparison(head) if judged.get("headline") else None,
        "averages": _averages(judged),
        "classes": _classes(judged.get("per_class")),
        "class_title": "By entity type" if head.task == "tag" else "By class",
        "tokens": _classes((judged.get("tokens") or {}).get("per_class")),
        "matrix": figures.confusion(confusion) if confusion and confusion.get("matrix") else None,
        "confusion": confusion,
        "calibration": calibration,
        "reliability": figures.reliability(calibration) if calibration and calibration["reliability"] else None,
        "right": RIGHT.get(head.task),
        "risk": figures.risk(calibration) if calibration and calibration["reliability"] else None,
        "errors": [_error(error) for error in head.errors],
        "errors_title": _errors_title(head),
        "suspects": head.suspects,
        "notes": [phrases.note(note) for note in head.notes],
        "temperature": head.temperature,
    }


def _bounds(headline: Mapping[str, Any]) -> tuple[str, str] | None:
    low, high = headline.get("interval") or (None, None)
    if low is None or high is None:
        return None
    return figures.figure(headline["name"], low), figures.figure(headline["name"], high)


def _statements(head: HeadFindings) -> list[tuple[str, Markup]]:
    """What the baselines say of the model, the worst news first: `(class, sentences)`."""
    found = verdicts(head)
    bad = [_sentence(head, verdict) for verdict in found if verdict.outcome == "not beaten"]
    unclear = [_sentence(head, verdict) for verdict in found if verdict.outcome == "unclear"]
    if bad:
        bad.append(phrases.html("As it is, this head is not worth its cost."))
    if bad or unclear:
        looks = (("bad", bad), ("unclear", unclear))
        return [(look, Markup(" ").join(sentences)) for look, sentences in looks if sentences]
    if not found:
        return [("plain", phrases.html("Not compared with any baseline."))]
    if any(verdict.p_value is None for verdict in found):
        return [("good", phrases.html("Beats every baseline."))]
    return [("good", phrases.html("Beats every baseline beyond chance (paired bootstrap, p < 0.05)."))]


def _sentence(head: HeadFindings, verdict: Verdict) -> Markup:
    """One baseline that was not clearly beaten."""
    title = Title(figures.title_of(verdict.baseline, head.task))
    headline = head.judged["headline"]
    own = figures.figure(headline["name"], headline["value"])
    if verdict.outcome == "not beaten":
        theirs = figures.figure(headline["name"], head.baselines[verdict.baseline]["headline"]["value"])
        return phrases.html(
            "Does not beat “{baseline}”: {own} against {theirs}.", baseline=title, own=own, theirs=theirs
        )
    values = {"baseline": title, "p": f"{verdict.p_value:.2g}"}
    if own.endswith("%"):
        phrase, gap = (
            "Ahead of “{baseline}” by {gap} points, but that may be chance (p = {p}).",
            100 * verdict.difference,
        )
        return phrases.html(phrase, gap=f"{gap:.1f}", **values)
    phrase = "Ahead of “{baseline}” by {gap}, but that may be chance (p = {p})."
    return phrases.html(phrase, gap=f"{verdict.difference:.3f}", **values)


def _averages(judged: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The single figures of a head, and the F1 of its averages."""
    rows = []
    for name, value in judged.items():
        if isinstance(value, float):
            rows.append((name, figures.figure(name, value)))
        elif isinstance(value, Mapping) and name.endswith(" avg"):
            rows.append((f"{name.removesuffix(' avg')} F1", figures.figure("F1", value.get("f1-score"))))
    return rows


def _classes(per_class: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Rows of the class table: all of few classes in their order, of many the weakest first."""
    rows = [{"label": label, **row, "f1": row["f1-score"]} for label, row in (per_class or {}).items()]
    if len(rows) <= FEW:
        return {"shown": rows, "all": []}
    weakest = sorted((row for row in rows if row["support"]), key=lambda row: row["f1"])
    return {"shown": weakest[:10], "all": rows}


def _error(error: Mapping[str, Any]) -> dict[str, Any]:
    """An error with its answers as texts."""
    shown = {key: error.get(key) for key in ("id", "text", "pair")}
    shown["parts"] = isinstance(error.get("gold"), list)
    for key in ("gold", "predicted", "missed", "invented"):
        shown[key] = _texts(error.get(key))
    score = error.get("score")
    shown["score"] = None if score is None or isinstance(error.get("gold"), float | int) else f"{100 * score:.0f}%"
    return shown


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [str(part) for part in value]
    return [f"{value:.3g}" if isinstance(value, float) else str(value)]


def _errors_title(head: HeadFindings) -> str:
    if head.errors and isinstance(head.errors[0].get("gold"), list):
        return "The answers with most parts wrong."
    if head.errors and isinstance(head.errors[0].get("gold"), float | int):
        return "The answers farthest from the gold value."
    return "The mistakes that the model was surest of."


def _training(findings: Findings) -> dict[str, Any]:
    records = findings.curve
    valid = figures.validation(records, findings.heads)
    return {
        "loss": figures.curve(records, "loss"),
        "lr": figures.curve(records, "lr") or figures.curve(records, "rate"),
        "valid": valid[0] if valid else None,
        "heads": valid[1] if valid else [],
    }


def _data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines of the data summary that are known."""
    rows = [("Source", data.get("source")), ("Fingerprint", (data.get("fingerprint") or "")[:12])]
    rows += [
        ("Duplicates removed", _count(data.get("duplicates"))),
        ("Leaked rows removed from train", _count(data.get("leaked"))),
        ("Rows without text or label left out", _count(data.get("unlabelled"))),
        ("Rows of other splits left out", ", ".join(f"{name}: {n}" for name, n in (data.get("ignored") or {}).items())),
    ]
    rows += [
        ("Texts cut at the window", _share(data.get("truncated"))),
        ("Texts read in several windows", _share(data.get("windows"))),
    ]
    languages = data.get("languages")
    if isinstance(languages, Mapping):
        languages = ", ".join(f"{name} {_share(share)}" for name, share in languages.items())
    elif isinstance(languages, list | tuple):
        languages = ", ".join(map(str, languages))
    rows.append(("Languages", languages))
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _costs(findings: Findings) -> list[tuple[str, str]]:
    costs = findings.costs
    parameters = costs.get("parameters") or findings.backbone.get("parameters")
    rows = [
        ("Time", figures.duration(costs["seconds"]) if costs.get("seconds") is not None else None),
        ("Examples a second", f"{costs['examples_per_second']:,.0f}" if costs.get("examples_per_second") else None),
        ("Peak memory", figures.memory(costs["peak_memory"]) if costs.get("peak_memory") else None),
        ("Parameters", f"{parameters / 1e6:,.1f} M" if parameters else None),
        ("Weights trained", _count(costs.get("trained"))),
    ]
    return [(name, value) for name, value in rows if value]


def _count(value: Any) -> str | None:
    return None if value is None else f"{value:,}"


def _share(value: Any) -> str | None:
    return None if value is None else f"{100 * value:.1f}%"
