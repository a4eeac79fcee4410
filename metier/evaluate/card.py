"""`card.md`: what a stranger must know before using a run, in the form of a Hugging Face model card."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metier.evaluate import figures
from metier.evaluate.findings import Findings, HeadFindings, verdicts

PIPELINES = {
    "classify": "text-classification",
    "multilabel": "text-classification",
    "relate": "text-classification",
    "score": "text-classification",
    "tag": "token-classification",
    "mention": "token-classification",
    "embed": "sentence-similarity",
}
"""What the hub calls each kind of task."""
DOES = {
    "classify": "chooses one of {count} labels for a text",
    "multilabel": "chooses any number of {count} labels for a text",
    "relate": "names the relation, one of {count}, between two marked spans of a text",
    "score": "gives a text a number",
    "mention": "chooses one of {count} labels for each of the given mentions in a text",
    "tag": "finds spans of {count} types in a text",
    "embed": "says how alike two texts are",
}
LABELS_SHOWN = 30


def write(findings: Findings, out: Path) -> Path:
    """Writes the card and returns its path."""
    out.write_bytes(card(findings).encode("utf-8", errors="replace"))
    return out


def card(findings: Findings) -> str:
    """The card as Markdown under a YAML header."""
    parts = [
        _header(findings),
        f"# {_plain(findings.name)}",
        _intended(findings),
        _data(findings),
        _evaluation(findings),
        _calibration(findings),
        _limitations(findings),
        _training(findings),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(findings: Findings) -> str:
    """The YAML header. Every value is written as JSON, which YAML reads as it is, and HTML never as markup."""
    kinds = [PIPELINES[head.task] for head in findings.heads.values() if head.task in PIPELINES]
    values: dict[str, Any] = {
        "library_name": "metier",
        "license": (findings.backbone.get("licence") or "unknown").lower(),
        "base_model": findings.backbone.get("repository") or findings.backbone.get("name"),
        "language": list(findings.data.get("languages") or ()),
        "pipeline_tag": kinds[0] if kinds else None,
        "tags": ["metier", *dict.fromkeys(head.task for head in findings.heads.values())],
        "model-index": [{"name": findings.name, "results": _results(findings)}],
    }
    lines = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}".replace("<", "\\u003c")
        for key, value in values.items()
        if value
    ]
    return "\n".join(["---", *lines, "---"])


def _results(findings: Findings) -> list[dict[str, Any]]:
    source = Path(str(findings.data.get("source") or "unnamed")).name
    return [
        {
            "task": {"type": PIPELINES.get(head.task, head.task), "name": name},
            "dataset": {"name": source, "type": source, "split": head.split},
            "metrics": [{"type": headline["name"], "value": headline["value"]}],
        }
        for name, head in findings.heads.items()
        if (headline := head.judged.get("headline")) and headline.get("value") is not None
    ]


def _intended(findings: Findings) -> str:
    lines = ["## Intended use", ""]
    lines.append(
        f"{_kind_of_model(findings)} It is meant for texts like those that it was fitted on, and for no others."
    )
    lines.append("")
    for name, head in findings.heads.items():
        labels = list((head.judged.get("per_class") or {}).keys())
        does = DOES.get(head.task, "answers").format(count=len(labels))
        shown = ", ".join(f"`{_code(label)}`" for label in labels[:LABELS_SHOWN])
        more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
        lines.append(f"- **{_plain(name)}** {does}{': ' + shown + more if labels else ''}.")
    return "\n".join(lines)


def _kind_of_model(findings: Findings) -> str:
    heads = "one head" if len(findings.heads) == 1 else f"{len(findings.heads)} heads"
    backbone, method = _plain(findings.backbone.get("name", "an encoder")), _plain(findings.method or "full")
    return f"An encoder with {heads}, fitted from `{backbone}` by the method `{method}`."


def _data(findings: Findings) -> str:
    data = findings.data
    rows = [(f"rows, {split}", f"{count:,}") for split, count in (data.get("rows") or {}).items()]
    for key, phrase in (("source", "source"), ("fingerprint", "SHA-256"), ("duplicates", "duplicates removed")):
        if data.get(key) not in (None, ""):
            # A card is published: the name of a file says enough, its folder may say too much.
            rows.append((phrase, Path(str(data[key])).name))
    if data.get("leaked") is not None:
        rows.append(("rows removed from train because they stand in valid or test", str(data["leaked"])))
    if data.get("unlabelled"):
        rows.append(("rows without text or label, left out", str(data["unlabelled"])))
    rows += [(f"rows of the split {_plain(name)}, left out", str(n)) for name, n in (data.get("ignored") or {}).items()]
    if data.get("truncated") is not None:
        rows.append(("texts cut at the window", f"{100 * data['truncated']:.1f}%"))
    return "## Data\n\n" + _table(["", ""], rows) if rows else ""


def _evaluation(findings: Findings) -> str:
    rows = []
    for name, head in findings.heads.items():
        headline = head.judged.get("headline")
        if not headline:
            continue
        metric = headline["name"]
        rows.append([f"**{_plain(name)}**", head.split, metric, *_value(metric, headline)])
        for other, baseline in head.baselines.items():
            title = figures.title_of(other, head.task)
            rows.append([f"{_plain(name)}: {title}", head.split, metric, *_value(metric, baseline["headline"])])
    if not rows:
        return ""
    warnings = [warning for name, head in findings.heads.items() for warning in _warnings(name, head)]
    table = _table(["head", "split", "metric", "value", "95 % interval"], rows)
    return "\n\n".join(["## Evaluation", table, "Intervals are percentile bootstraps over documents.", *warnings])


def _warnings(name: str, head: HeadFindings) -> list[str]:
    lost = [figures.title_of(v.baseline, head.task) for v in verdicts(head) if v.outcome == "not beaten"]
    return [f"> **Warning.** {_plain(name)} does not beat: {'; '.join(lost)}."] if lost else []


def _value(metric: str, headline: Mapping[str, Any]) -> list[str]:
    low, high = headline.get("interval") or (None, None)
    between = "–" if low is None else f"{figures.figure(metric, low)} – {figures.figure(metric, high)}"
    return [figures.figure(metric, headline.get("value")), between]


def _calibration(findings: Findings) -> str:
    rows = []
    for name, head in findings.heads.items():
        found = head.judged.get("calibration")
        if found:
            cells = [found.get("ece_before"), found.get("ece"), found.get("brier"), found.get("aurc")]
            rows.append([_plain(name), *("–" if cell is None else f"{cell:.3f}" for cell in cells)])
    if not rows:
        return ""
    text = (
        "Scores are calibrated by temperature on the validation split. "
        "ECE over bins of equal mass, 15 at most and of 20 documents at least."
    )
    return "\n\n".join(["## Calibration", text, _table(["head", "ECE before", "ECE", "Brier", "AURC"], rows)])


def _limitations(findings: Findings) -> str:
    lines = [
        "- It answers every text, also one that has nothing to do with its data: abstain below a floor of the score.",
        "- It has learned whatever bias its labels have; it was not checked for fairness between groups of people.",
        "- It was measured on held-out rows of the same source. Other sources, times and languages will do worse.",
    ]
    for name, head in findings.heads.items():
        weak = [label for label, row in (head.judged.get("per_class") or {}).items() if 0 < row["support"] < 10]
        if weak:
            shown = ", ".join(f"`{_code(label)}`" for label in weak[:10]) + (" …" if len(weak) > 10 else "")
            lines.append(
                f"- {_plain(name)}: fewer than ten {head.split} examples of {shown}; their figures say little."
            )
        lines += [f"- {_plain(name)}: {_plain(note['says'].format(**note))}" for note in head.notes]
    return "\n".join(["## Limitations", "", *lines])


def _training(findings: Findings) -> str:
    costs, parts = findings.costs, ["## Training"]
    facts = []
    if costs.get("seconds") is not None:
        facts.append(("time", figures.duration(costs["seconds"])))
    if costs.get("examples_per_second"):
        facts.append(("examples a second", f"{costs['examples_per_second']:,.0f}"))
    if costs.get("peak_memory"):
        facts.append(("peak memory", figures.memory(costs["peak_memory"])))
    if costs.get("parameters") and costs.get("trained"):
        share = 100 * costs["trained"] / costs["parameters"]
        facts.append(("weights trained", f"{costs['trained']:,} of {costs['parameters']:,} ({share:.1f}%)"))
    facts += [(str(key), str(value)) for key, value in findings.environment.items()]
    if findings.backbone:
        licence = findings.backbone.get("licence") or "unknown: look it up before you share the weights"
        facts.append(("licence of the backbone", licence))
    if facts:
        parts.append(_table(["", ""], facts))
    if findings.recipe:
        parts.append(_fenced(findings.recipe, "toml"))
    parts.append("Whether the fitted weights may be shared depends on the licence of the data, too.")
    return "\n\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " ")).replace("<", "&lt;")


def _plain(text: str) -> str:
    """A name that Markdown and HTML leave as it is."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", str(text).replace("\n", " ")).replace("<", "&lt;")


def _code(text: str) -> str:
    """A label between back quotes."""
    return str(text).replace("`", "'").replace("\n", " ")


def _fenced(text: str, language: str) -> str:
    """A block of code whose fence is longer than any that it holds."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
